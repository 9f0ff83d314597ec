"""The instruction families: what can be asked for, in which words, and the procedural target of each.

A target is a pure function of the picture: no random texture, no position in the frame, and pixel units that do not
depend on the picture's size. Veins, grain and cracks follow level lines of the picture's own blurred luminance. So a
convolutional network can predict them, and the same surface gets the same texture in every view of a scene.

    targets: float32 [H, W, 3] in [0, 1], sRGB → the same
"""
import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter, uniform_filter


# --- helpers ---------------------------------------------------------------------------------------------------------

def lum(x):
    return x @ np.array([0.299, 0.587, 0.114], np.float32)


def blur(a, sigma):
    if a.ndim == 3:
        return np.stack([gaussian_filter(a[..., c], sigma, mode="nearest") for c in range(3)], -1)
    return gaussian_filter(a, sigma, mode="nearest")


def smooth(a, low, high):
    """Smoothstep of a between low and high."""
    t = np.clip((a - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def ramp(t, *stops):
    """Colour at t from stops (position, hex)."""
    at = [s[0] for s in stops]
    rgb = np.array([[int(s[1][i:i + 2], 16) / 255 for i in (0, 2, 4)] for s in stops], np.float32)
    return np.stack([np.interp(t, at, rgb[:, c]) for c in range(3)], -1).astype(np.float32)


def mix(a, b, w):
    w = w[..., None] if np.ndim(w) == 2 else w
    return a * (1 - w) + b * w


def color(h):
    return np.array([int(h[i:i + 2], 16) / 255 for i in (0, 2, 4)], np.float32)


def saturate(x, k):
    l = lum(x)[..., None]
    return l + (x - l) * k


def relight(l, keep, detail, middle=0.5):
    """Luminance as if the surface had one albedo: the broad part drawn towards `middle`, the shading amplified."""
    base = blur(l, 8)
    return np.clip(middle + keep * (base - 0.45) + detail * (l - base), 0, 1)


def slopes(a):
    gy, gx = np.gradient(a)
    return gx, gy


def relief(l, sigma=1.0):
    """How much a height field of the luminance faces a light at the upper left, about [-1, 1]."""
    gx, gy = slopes(blur(l, sigma))
    return np.clip(-(gx + 1.4 * gy) * 5, -1, 1)


def edges(l, sigma=0.8):
    gx, gy = slopes(blur(l, sigma))
    return np.hypot(gx, gy)


def contour(f, width):
    """Level lines of f at every half integer, `width` pixels wide, 1 on the line."""
    gx, gy = slopes(f)
    d = np.abs(f - np.floor(f) - 0.5) / np.maximum(np.hypot(gx, gy), 0.03)
    return np.exp(-(d / width) ** 2)


def soft_steps(a, n, sharp=0.18):
    """a in n levels with soft risers."""
    s = a * (n - 1)
    f = np.floor(s)
    return (f + smooth(s - f, 0.5 - sharp, 0.5 + sharp)) / (n - 1)


def flatten(x, radius=2):
    """Kuwahara: each pixel takes the mean of its least varied quadrant."""
    size = 2 * radius - 1
    mean = np.stack([uniform_filter(x[..., c], size, mode="nearest") for c in range(3)], -1)
    var = sum(uniform_filter(x[..., c] ** 2, size, mode="nearest") - mean[..., c] ** 2 for c in range(3))
    r = radius - 1
    pad = lambda a: np.pad(a, ((r, r), (r, r)) + ((0, 0),) * (a.ndim - 2), mode="edge")
    mean, var = pad(mean), pad(var)
    h, w = x.shape[:2]
    views = [(dy, dx) for dy in (0, 2 * r) for dx in (0, 2 * r)]
    vs = np.stack([var[dy:dy + h, dx:dx + w] for dy, dx in views])
    ms = np.stack([mean[dy:dy + h, dx:dx + w] for dy, dx in views])
    weight = 1 / (np.maximum(vs, 0) + 3e-4) ** 3
    weight /= weight.sum(0)
    return (ms * weight[..., None]).sum(0).astype(np.float32)


# --- targets ---------------------------------------------------------------------------------------------------------

def unchanged(x):
    return x


def marble(x):
    l = lum(x)
    t = relight(l, 0.45, 1.0, 0.66)
    y = ramp(t, (0, "4a4c55"), (0.35, "9c9ea6"), (0.6, "d2d1d0"), (0.85, "f3f1ec"), (1, "ffffff"))
    veins = contour(blur(l, 3) * 4.5, 0.9)
    y = y * (1 - 0.30 * veins[..., None])
    return y + 0.10 * np.maximum(relief(l), 0)[..., None]


def gold(x):
    l = lum(x)
    t = np.clip(relight(l, 0.7, 1.5, 0.46) + 0.10 * relief(l), 0, 1)
    y = ramp(t, (0, "1a0d02"), (0.22, "5a3505"), (0.45, "b37a10"), (0.62, "e8b52c"), (0.8, "ffe27a"), (1, "fffbe0"))
    return y


def bronze(x):
    l = lum(x)
    t = np.clip(relight(l, 0.65, 1.4, 0.42) + 0.10 * relief(l), 0, 1)
    metal = ramp(t, (0, "0c0705"), (0.3, "3e2214"), (0.55, "7d4a2a"), (0.75, "b97f52"), (1, "f6d9b4"))
    hollow = smooth(blur(l, 4) - l, 0.0, 0.10)
    patina = ramp(t, (0, "0d1f1c"), (0.5, "4f8f80"), (1, "a8d8c6"))
    return mix(metal, patina, 0.75 * hollow)


def silver(x):
    l = lum(x)
    t = relight(l, 0.8, 1.3, 0.5)
    bands = 0.5 - 0.5 * np.cos(2 * np.pi * 1.5 * t)
    t = np.clip(0.45 * t + 0.55 * bands, 0, 1)
    return ramp(t, (0, "0b0e14"), (0.3, "4b535f"), (0.6, "a6b0bd"), (0.85, "e3e9f0"), (1, "ffffff"))


def wood(x):
    l = lum(x)
    t = relight(l, 0.55, 1.1, 0.52)
    grain = 0.5 + 0.5 * np.sin(2 * np.pi * 9 * blur(l, 2.5))
    t = np.clip(t - 0.16 * grain + 0.06 + 0.05 * relief(l), 0, 1)
    return ramp(t, (0, "1e0f06"), (0.3, "56300f"), (0.55, "93602e"), (0.8, "c9995c"), (1, "ecd3a4"))


def stone(x):
    l = lum(x)
    t = np.clip(relight(l, 0.35, 1.1, 0.42) + 0.22 * relief(l, 0.7), 0, 1)
    cracks = contour(blur(l, 2.5) * 5, 0.7)
    y = ramp(t, (0, "1b1a18"), (0.4, "59564f"), (0.65, "837f74"), (1, "c9c3b3"))
    return y * (1 - 0.45 * cracks[..., None])


def clay(x):
    l = blur(lum(x), 1.0)
    t = np.clip(relight(l, 0.5, 1.1, 0.55) + 0.05 * relief(l, 1.5), 0, 1)
    return ramp(t, (0, "471b0e"), (0.35, "8d4023"), (0.6, "c4693f"), (0.85, "e59a6d"), (1, "f4c39c"))


def ice(x):
    l = lum(x)
    t = relight(l, 0.5, 1.2, 0.5)
    y = ramp(t, (0, "0a2a55"), (0.3, "2f77b8"), (0.55, "7cc3ea"), (0.8, "c9eefc"), (1, "ffffff"))
    rim = smooth(edges(l), 0.03, 0.14)
    return mix(y, color("f4fdff"), 0.6 * rim)


def lava(x):
    l = lum(x)
    t = relight(l, 0.5, 1.2, 0.5)
    rock = ramp(t, (0, "050303"), (0.6, "231a18"), (1, "5b4a44"))
    cracks = contour(blur(l, 2.5) * 5, 1.2)
    heat = np.clip(smooth(0.48 - t, 0, 0.4) + cracks * 0.85, 0, 1)
    glow = np.clip(heat + 0.35 * blur(heat, 3), 0, 1.15)
    fire = ramp(glow, (0, "000000"), (0.3, "6e0f02"), (0.6, "e23c05"), (0.85, "ff9a1a"), (1.15, "fff3a0"))
    return np.maximum(rock * (1 - 0.5 * glow[..., None]), fire)


def jade(x):
    l = lum(x)
    t = np.clip(relight(blur(l, 0.7), 0.55, 1.2, 0.5) + 0.08 * relief(l), 0, 1)
    return ramp(t, (0, "03261a"), (0.3, "0f5d3f"), (0.55, "39a06f"), (0.8, "93d9ac"), (1, "effff0"))


def chocolate(x):
    l = blur(lum(x), 0.6)
    t = np.clip(relight(l, 0.55, 1.2, 0.36) + 0.10 * relief(l), 0, 1)
    y = ramp(t, (0, "120603"), (0.3, "321309"), (0.55, "5d2a15"), (0.75, "8b4a2a"), (1, "e8c3a0"))
    return y


def night(x):
    l = lum(x)
    y = saturate(x, 0.45) * color("3f5a9c") * 0.62 + color("060a18")
    lamp = smooth(l, 0.78, 0.98)
    y = y + (0.55 * lamp + 0.35 * blur(lamp, 4))[..., None] * color("ffd27a")
    return y


def sunset(x):
    l = lum(x)
    tone = ramp(l, (0, "2a0f3a"), (0.3, "82304f"), (0.55, "e0662f"), (0.8, "ffb347"), (1, "fff0b0"))
    return mix(saturate(x, 1.1) * color("ffc99a"), tone, 0.68)


def snow(x):
    l = lum(x)
    cold = saturate(x, 0.35) * 0.72 + color("dfe9f5") * 0.28
    gy = -slopes(blur(l, 1.2))[1]
    up = smooth(blur(np.maximum(-gy, 0), 1.0), 0.004, 0.03)
    cover = np.clip(0.85 * up + 0.55 * smooth(l, 0.45, 0.8), 0, 1)
    return mix(cold, color("f7fbff") * (0.88 + 0.12 * l[..., None]), cover)


def fog(x):
    soft = mix(x, blur(x, 2), 0.7)
    return mix(saturate(soft, 0.45), color("c9ced3"), 0.66)


def autumn(x):
    r, g, b = x[..., 0], x[..., 1], x[..., 2]
    green = smooth(g - 0.5 * (r + b), -0.02, 0.12)
    l = lum(x)
    leaf = ramp(l, (0, "2b0d04"), (0.35, "9c3208"), (0.6, "e0791a"), (0.85, "f7c243"), (1, "fff0b8"))
    warm = saturate(x, 1.15) * color("ffdfae") + color("1a0c00")
    return mix(mix(warm, leaf, 0.35), leaf, green)


def underwater(x):
    l = lum(x)
    tone = ramp(l, (0, "01182b"), (0.35, "065a70"), (0.65, "17a0a0"), (0.9, "8fe6d2"), (1, "dcfff4"))
    y = mix(blur(x, 1.0) * color("6fd6d6"), tone, 0.72)
    ripples = contour(blur(l, 5) * 6, 1.6)
    return y + 0.12 * ripples[..., None] * color("b8fff0") * l[..., None]


def storm(x):
    l = lum(x)
    t = np.clip(0.30 + 0.85 * (l - 0.45) + 0.8 * (l - blur(l, 5)), 0, 1)
    grey = ramp(t, (0, "0a0e12"), (0.4, "3c474f"), (0.7, "76858c"), (1, "c4d0d4"))
    return mix(saturate(x, 0.5) * 0.5, grey, 0.78)


def desert(x):
    l = lum(x)
    tone = ramp(l, (0, "7a4312"), (0.35, "cf8f45"), (0.65, "f3c983"), (0.9, "fdebc0"), (1, "fff8e4"))
    return mix(mix(x, blur(x, 1.5), 0.6) * 0.7 + 0.25, tone, 0.78)


def pencil(x):
    l = lum(x)
    dodge = np.clip(l / np.maximum(blur(l, 2.5), 0.04), 0, 1.0)
    line = np.clip(1 - 1.6 * (1 - dodge), 0.06, 1)
    tone = 0.80 + 0.20 * smooth(l, 0.05, 0.6)
    return (np.clip(line * tone, 0, 1)[..., None] * color("f6f4ee")).astype(np.float32)


def charcoal(x):
    l = lum(x)
    t = np.clip(0.5 + 1.5 * (blur(l, 0.7) - 0.48) - 2.2 * edges(l, 1.0), 0, 1)
    t = smooth(t, -0.1, 1.05)
    return ramp(t, (0, "141312"), (0.5, "706d69"), (1, "dedbd4"))


def watercolor(x):
    f = flatten(x, 3)
    f = blur(f, 0.6)
    y = 1 - (1 - saturate(f, 1.35)) * 0.72
    y = y + 0.04
    dark = smooth(edges(lum(f), 1.0), 0.02, 0.12)
    return y * (1 - 0.28 * dark[..., None])


def oil(x):
    f = flatten(x, 3)
    f = saturate(f, 1.6)
    f = 0.5 + 1.2 * (f - 0.47)
    return f + 0.10 * relief(lum(f), 0.8)[..., None]


def cartoon(x):
    f = flatten(x, 2)
    l = lum(f)
    s = soft_steps(np.clip(l * 1.05 + 0.03, 0, 1), 5)
    y = saturate(f, 1.7) * ((s + 0.08) / (l + 0.06))[..., None].clip(0.5, 1.8)
    ink = smooth(edges(l, 0.8), 0.045, 0.11)
    return y * (1 - 0.92 * ink[..., None])


def popart(x):
    l = soft_steps(np.clip(0.5 + 1.25 * (blur(lum(x), 0.7) - 0.47), 0, 1), 4, 0.14)
    return ramp(l, (0, "1b1464"), (1 / 3, "e0218a"), (2 / 3, "ff8c1a"), (1, "fff04d"))


def sepia(x):
    t = np.clip(0.5 + 0.92 * (lum(x) - 0.48), 0, 1)
    return ramp(t, (0, "24160c"), (0.5, "94724e"), (1, "f7e6c4"))


def grey(x):
    t = np.clip(0.5 + 1.08 * (lum(x) - 0.5), 0, 1)
    return np.repeat(t[..., None], 3, -1)


def neon(x):
    e = smooth(edges(lum(x), 0.9), 0.012, 0.10)
    glow = np.clip(e + 0.6 * blur(e, 2.5), 0, 1.3)
    hue = smooth(x[..., 0] - x[..., 2], -0.15, 0.2)
    tube = mix(np.broadcast_to(color("19e0ff"), x.shape), color("ff2bd0"), hue)
    y = tube * np.clip(glow, 0, 1)[..., None] + smooth(glow, 0.8, 1.3)[..., None] * 0.5
    return y + color("07040f") + 0.08 * x


def blueprint(x):
    l = lum(x)
    line = smooth(edges(l, 0.8), 0.015, 0.09)
    paper = ramp(l, (0, "0a2a6b"), (1, "2f63b8"))
    return mix(paper, color("eaf3ff"), 0.9 * line)


def thermal(x):
    t = blur(lum(x), 0.8)
    return ramp(t, (0, "05002a"), (0.2, "3b0a8f"), (0.4, "b3127d"), (0.6, "f0542a"), (0.8, "fdc328"), (1, "fffde0"))


def negative(x):
    return 1 - x


def tint(dark, middle, light, weight=0.82):
    def target(x):
        l = np.clip(0.5 + 1.05 * (lum(x) - 0.47), 0, 1)
        return mix(x, ramp(l, (0, dark), (0.5, middle), (1, light)), weight)
    return target


# --- words -----------------------------------------------------------------------------------------------------------

SUBJECTS = ["him", "her", "it", "them", "the man", "the woman", "the person", "the face", "the head", "the scene",
            "everything", "the room", "the bear", "the object"]


def material(name, *more):
    a = "an" if name[0] in "aeiou" else "a"
    return [f"turn {{s}} into {name}", f"make it look like {name}", f"turn {{s}} into {a} {name} statue",
            f"make {{s}} out of {name}", f"make {{s}} look like {a} {name} sculpture", f"as {a} {name} statue",
            f"what if {{s}} was made of {name}", f"make {{s}} {a} {name} statue", name, f"{name} statue",
            f"change the material to {name}", f"cover {{s}} in {name}", *more]


def weather(name, *more):
    return [f"make it {name}", f"make it look like {name}", f"turn the scene into {name}", f"{name}",
            f"change it to {name}", f"make {{s}} look like it is {name}", f"as if it were {name}", *more]


def medium(name, *more):
    return [f"make it {name}", f"turn {{s}} into {name}", f"make {{s}} look like {name}", f"as {name}", f"{name}",
            f"in the style of {name}", f"draw {{s}} as {name}", f"what would it look like as {name}", *more]


def paint(name, *more):
    return [f"make {{s}} {name}", f"turn {{s}} {name}", f"make the colors {name}", f"tint it {name}",
            f"paint {{s}} {name}", f"give {{s}} a {name} tint", f"in {name} light", f"color {{s}} {name}",
            f"change the color to {name}", name, *more]


FAMILIES = {
    "unchanged": (unchanged, ["don't change the image", "do not change the image", "leave it as it is", "keep it the same",
                              "change nothing", "don't change anything", "no change", "keep the image", "leave {s} as is",
                              "keep the photo as it is"]),
    "marble": (marble, material("marble", "turn {s} into a white marble statue", "make {s} look like a greek statue")),
    "gold": (gold, material("gold", "make {s} golden", "turn {s} into a golden statue", "make {s} out of solid gold")),
    "bronze": (bronze, material("bronze", "turn {s} into an old bronze statue", "bronze with green patina")),
    "silver": (silver, material("silver", "make {s} out of chrome", "turn {s} into polished metal", "chrome", "make {s} shiny metal")),
    "wood": (wood, material("wood", "make {s} wooden", "turn {s} into a wooden carving", "carve {s} out of wood")),
    "stone": (stone, material("stone", "turn {s} to stone", "make {s} out of rock", "turn {s} into a rock statue", "granite")),
    "clay": (clay, material("clay", "turn {s} into terracotta", "make {s} out of terracotta", "claymation")),
    "ice": (ice, material("ice", "freeze {s}", "make {s} frozen", "turn {s} into an ice sculpture")),
    "lava": (lava, material("lava", "make {s} out of fire", "set {s} on fire", "turn {s} into molten lava", "make {s} burn")),
    "jade": (jade, material("jade", "turn {s} into a green jade statue", "carve {s} out of jade", "emerald")),
    "chocolate": (chocolate, material("chocolate", "make {s} out of dark chocolate", "turn {s} into a chocolate figure")),
    "night": (night, weather("night", "make it night time", "at night", "what would it look like at midnight", "make it dark outside",
                             "turn day into night", "midnight")),
    "sunset": (sunset, weather("sunset", "at sunset", "make it sunrise", "add a sunset", "at dusk", "in the evening light")),
    "snow": (snow, weather("snowy", "make it snow", "add snow", "as if it had snowed", "make it winter", "cover {s} in snow", "winter", "snow")),
    "fog": (fog, weather("foggy", "add fog", "make it misty", "in thick fog", "fill the scene with mist", "fog", "make it hazy")),
    "autumn": (autumn, weather("autumn", "make it fall", "in autumn colors", "in autumn", "turn the leaves orange", "autumn season")),
    "underwater": (underwater, weather("underwater", "put {s} underwater", "under the sea", "sink {s} into the ocean", "at the bottom of the sea")),
    "storm": (storm, weather("stormy", "add a storm", "make it a dark storm", "make it rainy", "in a thunderstorm", "make it overcast", "rain")),
    "desert": (desert, weather("a desert", "put {s} in a desert", "make it sandy", "in the sahara", "in a sandstorm", "cover {s} in sand", "desert")),
    "pencil": (pencil, medium("a pencil sketch", "a pencil drawing", "sketch {s} with a pencil", "pencil sketch", "line drawing")),
    "charcoal": (charcoal, medium("a charcoal drawing", "draw {s} with charcoal", "charcoal", "charcoal sketch")),
    "watercolor": (watercolor, medium("a watercolor painting", "paint {s} with watercolors", "watercolor", "an aquarelle")),
    "oil": (oil, medium("an oil painting", "paint {s} in oil", "oil painting", "a thick oil painting", "an impressionist painting")),
    "cartoon": (cartoon, medium("a cartoon", "cartoon", "a comic book", "a comic drawing", "an anime character", "make {s} a cartoon character")),
    "popart": (popart, medium("pop art", "a pop art poster", "a warhol print", "a screen print", "andy warhol")),
    "sepia": (sepia, medium("a sepia photo", "sepia", "an old photograph", "a vintage photo", "make it sepia toned", "an antique photograph")),
    "grey": (grey, medium("black and white", "a black and white photo", "remove the colors", "grayscale", "monochrome", "desaturate {s}")),
    "neon": (neon, medium("neon lights", "neon", "make {s} glow in neon", "a neon sign", "cyberpunk", "give {s} neon outlines")),
    "blueprint": (blueprint, medium("a blueprint", "blueprint", "a technical drawing", "an architect's blueprint", "a blue print")),
    "thermal": (thermal, medium("a thermal image", "thermal camera", "a heat map", "infrared", "thermal vision", "predator vision")),
    "negative": (negative, medium("a photo negative", "invert the colors", "negative", "inverted", "an x-ray", "invert {s}")),
    "red": (tint("2a0205", "c2202a", "ffc9c4"), paint("red", "bright red", "crimson")),
    "blue": (tint("030a33", "2a55d0", "c8dcff"), paint("blue", "deep blue", "make {s} blue like the sky")),
    "green": (tint("03210a", "2fa33a", "d6ffcf"), paint("green", "make {s} green like the hulk", "the hulk")),
    "purple": (tint("1c0533", "8034bf", "ecd2ff"), paint("purple", "violet", "make {s} violet")),
    "pink": (tint("4a0a2e", "f06aa8", "ffe6f2"), paint("pink", "hot pink", "make {s} pink like bubblegum")),
    "yellow": (tint("332a00", "d8c414", "fffbc4"), paint("yellow", "bright yellow", "lemon")),
}


def target(family, x):
    """Target of `family` for x: float32 [H, W, 3] in [0, 1]."""
    return np.clip(FAMILIES[family][0](x.astype(np.float32)), 0, 1).astype(np.float32)


def phrases(family):
    """All phrasings of `family`, subjects filled in."""
    out = []
    for p in FAMILIES[family][1]:
        out += [p.format(s=s) for s in SUBJECTS] if "{s}" in p else [p]
    return out


def phrase(family, rng):
    """A random phrasing; each template is equally likely."""
    templates = FAMILIES[family][1]
    return templates[rng.integers(len(templates))].format(s=SUBJECTS[rng.integers(len(SUBJECTS))])


def example(family):
    """The phrasing used in evaluations and offered to click on."""
    subject = {"unchanged": "it"}.get(family, "him")
    return FAMILIES[family][1][2 if family in MATERIALS else 0].format(s=subject)


MATERIALS = ["marble", "gold", "bronze", "silver", "wood", "stone", "clay", "ice", "lava", "jade", "chocolate"]

assert all(len(p) >= 8 for _, p in FAMILIES.values())
