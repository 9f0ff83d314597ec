"""The room's procedural pictures: wallpaper, planks, panels, rug, framed prints. float [h,w,3] of sRGB values in 0..1."""

import numpy as np


def noise(rng, height, width, cells, octaves=4):
    """Smooth value noise, about zero mean and unit variance."""
    out = np.zeros((height, width))
    for octave in range(octaves):
        n = cells * 2**octave
        ny, nx = max(2, n * height // max(height, width)), max(2, n * width // max(height, width))
        grid = rng.standard_normal((ny + 2, nx + 2))
        y, x = np.linspace(0, ny, height), np.linspace(0, nx, width)
        iy, ix = y.astype(int), x.astype(int)
        fy, fx = y - iy, x - ix
        fy, fx = (fy * fy * (3 - 2 * fy))[:, None], (fx * fx * (3 - 2 * fx))[None]
        top = grid[iy][:, ix] * (1 - fx) + grid[iy][:, ix + 1] * fx
        low = grid[iy + 1][:, ix] * (1 - fx) + grid[iy + 1][:, ix + 1] * fx
        out += (top * (1 - fy) + low * fy) * 0.6**octave
    return out / out.std()


def mix(a, b, t):
    t = np.asarray(t)[..., None]
    return np.asarray(a) * (1 - t) + np.asarray(b) * t


def wallpaper(rng, height, width, tiles, ground, figure):
    """A leaf pattern in two near colours, `tiles` across, on paper that is not quite even."""
    v, u = np.mgrid[0:height, 0:width] / width * tiles
    row = np.floor(v)
    u = u + 0.5 * (row % 2)
    x, y = u % 1 - 0.5, v % 1 - 0.5
    stem = np.exp(-((x / 0.025) ** 2)) * (np.abs(y) < 0.42)
    leaves = np.zeros_like(x)
    for k in range(4):
        cy = -0.30 + 0.19 * k
        for side in (-1, 1):
            lx, ly = side * x - 0.13, y - cy + 0.6 * (side * x - 0.13)
            leaves = np.maximum(leaves, 1 - (lx / 0.13) ** 2 - (ly / 0.045) ** 2)
    t = np.clip(np.maximum(stem, np.clip(leaves * 3, 0, 1)), 0, 1)
    paper = mix(ground, figure, t)
    return paper * (1 + 0.030 * noise(rng, height, width, 6)[..., None])


def planks(rng, height, width, across, along, tint):
    """Boards that run along the width, each with a tone and a grain of its own and a dark joint."""
    out = np.zeros((height, width, 3))
    edges = np.linspace(0, height, across + 1).astype(int)
    for top, low in zip(edges, edges[1:]):
        n = low - top
        grain = noise(rng, n, width, 10, 3) * 0.3
        stretched = noise(rng, n * 8, max(width // 12, 8), 40, 3)[::8]
        columns = np.linspace(0, stretched.shape[1] - 1, width).astype(int)
        grain = grain + stretched[:, columns]
        start = rng.uniform(0, 1 / along)
        board = np.floor((np.arange(width) / width + start) * along).astype(int)
        tone = 1 + 0.10 * rng.standard_normal(board.max() + 1)[board]
        out[top:low] = np.asarray(tint) * (tone[None] * (1 + 0.07 * grain))[..., None]
        out[low - max(1, n // 24) : low] *= 0.55
        joints = np.flatnonzero(np.diff(board))
        for j in joints:
            out[top:low, j : j + max(1, n // 24)] *= 0.6
    return out


def panels(rng, height, width, count, tint):
    """A painted wainscot: `count` recessed panels with a rail above and below."""
    v, u = np.mgrid[0:height, 0:width]
    u = u / width * count % 1
    v = v / height
    aspect = height / (width / count)
    distance = np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v) * aspect)
    shade = np.ones((height, width))
    for at, depth in ((0.13, -0.30), (0.16, 0.12), (0.20, -0.16)):
        shade += depth * np.exp(-(((distance - at) / 0.011) ** 2))
    shade = shade * (1 + 0.02 * noise(rng, height, width, 24))
    return np.asarray(tint) * shade[..., None]


def rug(rng, size):
    """A woven rug of concentric borders and diamonds."""
    v, u = np.mgrid[0:size, 0:size] / size - 0.5
    r = np.maximum(np.abs(u), np.abs(v))
    diamond = (np.abs(u * 8 % 1 - 0.5) + np.abs(v * 8 % 1 - 0.5)) < 0.3
    colours = np.array([[0.62, 0.24, 0.20], [0.87, 0.78, 0.62], [0.20, 0.28, 0.40], [0.74, 0.50, 0.28]])
    out = mix(colours[0], colours[1], diamond.astype(float))
    for inner, outer, colour in ((0.36, 0.40, 2), (0.40, 0.43, 3), (0.43, 0.47, 0), (0.47, 0.5, 1)):
        out[(r >= inner) & (r < outer)] = colours[colour]
    weave = 1 + 0.06 * np.sin(np.arange(size) * np.pi / 2)[:, None] + 0.05 * noise(rng, size, size, 30)
    return out * weave[..., None]


def landscape(rng, height, width, sky, far, near, sun=(0.65, 0.4)):
    """Layered hills under a low sun."""
    v, u = np.mgrid[0:height, 0:width] / height
    aspect = width / height
    out = mix(sky[0], sky[1], np.clip(v / 0.7, 0, 1))
    disc = np.hypot(u - sun[0] * aspect, v - sun[1])
    out = mix(out, [1.0, 0.93, 0.75], np.clip((0.10 - disc) * 60, 0, 1))
    out = out + 0.25 * np.exp(-disc * 6)[..., None] * np.array([1, 0.7, 0.4])
    layers = 5
    for k in range(layers):
        ridge = 0.45 + 0.11 * k + 0.05 * noise(rng, 2, width, 4 + k, 3)[0]
        colour = mix(far, near, k / (layers - 1))
        inside = np.clip((v - ridge[None]) * height / 2, 0, 1)
        texture = 1 + 0.08 * noise(rng, height, width, 14)
        out = mix(out, colour * texture[..., None], inside)
    return out


def blocks(rng, height, width, colours):
    """An abstract print of circles and bars."""
    v, u = np.mgrid[0:height, 0:width] / min(height, width)
    out = np.tile(np.asarray(colours[0], float), (height, width, 1))
    h, w = height / min(height, width), width / min(height, width)
    for k in range(11):
        colour = colours[1 + k % (len(colours) - 1)]
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.08, 0.26)
        if k % 3 == 2:
            inside = (np.abs(u - cx) < r * 1.6) & (np.abs(v - cy) < 0.04)
        elif k % 3 == 1:
            inside = (np.hypot(u - cx, v - cy) < r) & (v < cy)
        else:
            inside = np.hypot(u - cx, v - cy) < r
        out[inside] = colour
    return out * (1 + 0.02 * noise(rng, height, width, 12)[..., None])


def spine(rng, colour, size=128):
    """A book's cover: bands and a label on cloth."""
    v, u = np.mgrid[0:size, 0:size] / size
    cloth = 1 + 0.04 * noise(rng, size, size, 16)
    out = np.asarray(colour) * cloth[..., None]
    gold = np.array([0.85, 0.72, 0.42])
    for at in (0.10, 0.14, 0.86, 0.90):
        out[np.abs(v - at) < 0.012] = gold
    label = (np.abs(v - 0.35) < 0.13) & (np.abs(u - 0.5) < 0.42)
    out[label] = mix(colour, [0.93, 0.90, 0.80], 0.85)
    letters = label & (np.sin(v * 190) > 0.2) & (np.sin(u * 60 + rng.uniform(0, 6)) > -0.3)
    out[letters] = [0.15, 0.12, 0.10]
    return out
