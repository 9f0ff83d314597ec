"""The training pictures, and random crops of them.

    python pictures.py --skimage --lomiri DIR --hdri DIR --renders DIR OUT

writes OUT/NAME.jpg (longest side at most 1600) and OUT/CREDITS.txt. Sources and licences:

- PyPI scikit-image: astronaut (NASA, public domain), coffee, chelsea, camera, brick, grass, gravel, retina,
  microaneurysms, horse, cell (CC0), rocket (SpaceX, public domain), hubble_deep_field (NASA, public domain),
  clock_motion, moon (public domain);
- Debian lomiri-wallpapers-16.04: only the pictures under CC BY 4.0 and CC0;
- npm @pmndrs/assets: perspective crops of the HDRIs (CC0);
- render.py: figures (Reallusion, CC BY 3.0 US) and objects (CC0) of Debian sweethome3d-furniture under those HDRIs;
- smooth colour gradients, discs, stripes and noise, made here.
"""
import argparse, pathlib
import numpy as np
from PIL import Image

SKIMAGE = ["astronaut.png", "coffee.png", "chelsea.png", "camera.png", "brick.png", "grass.png", "gravel.png", "retina.jpg",
           "rocket.jpg", "hubble_deep_field.jpg", "clock_motion.png", "moon.png"]
LOMIRI = {"aitzgorri_by_Aitzol_Berasategi": "CC BY 4.0", "friends_by_Aitzol_Berasategi": "CC BY 4.0",
          "life_by_Aitzol_Berasategi": "CC BY 4.0", "picosdeeuropa_by_Aitzol_Berasategi": "CC BY 4.0",
          "Picture_0B_by_freespace": "CC BY 4.0", "Picture_1A_by_freespace": "CC BY 4.0",
          "seeding_by_Clements_Engelhardt": "CC0 1.0", "sunset_by_Aitzol_Berasategi": "CC BY 4.0",
          "umang_by_Abhishek_Mudgal": "CC BY 4.0", "Wine_by_Jakkub_Mede": "CC BY 4.0"}
# How often a crop is taken from each kind of picture.
WEIGHTS = {"skimage": 0.25, "lomiri": 0.25, "hdri": 0.14, "render": 0.30, "made": 0.06}


def panorama_views(exr, count, side=320):
    """`count` level perspective views of an equirectangular HDRI, tone-mapped."""
    import mitsuba as mi
    mi.set_variant("scalar_rgb")
    env = np.array(mi.Bitmap(str(exr)).convert(mi.Bitmap.PixelFormat.RGB, mi.Struct.Type.Float32))
    env = np.clip(np.nan_to_num(env), 0, 200)
    h, w = env.shape[:2]
    rng = np.random.default_rng(sum(map(ord, exr.stem)))
    for k in range(count):
        fov, yaw, pitch = rng.uniform(55, 85), 360 * (k + rng.random()) / count, rng.uniform(-25, 15)
        t = np.tan(np.radians(fov) / 2)
        u, v = np.meshgrid(np.linspace(-t, t, side), np.linspace(t, -t, side))
        d = np.stack([u, v, np.ones_like(u)], -1)
        d /= np.linalg.norm(d, axis=-1, keepdims=True)
        p, y = np.radians(pitch), np.radians(yaw)
        d = d @ np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
        d = d @ np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
        px = (np.arctan2(d[..., 0], d[..., 2]) / (2 * np.pi) + 0.5) * w - 0.5
        py = np.arccos(np.clip(d[..., 1], -1, 1)) / np.pi * h - 0.5
        x0, y0 = np.floor(px).astype(int), np.floor(py).astype(int)
        fx, fy = (px - x0)[..., None], (py - y0)[..., None]
        at = lambda yy, xx: env[np.clip(yy, 0, h - 1), xx % w]
        c = (at(y0, x0) * (1 - fx) + at(y0, x0 + 1) * fx) * (1 - fy) + (at(y0 + 1, x0) * (1 - fx) + at(y0 + 1, x0 + 1) * fx) * fy
        c = c * 0.24 / max(np.median(c.mean(-1)), 0.01)
        c = c / (1 + 0.3 * c)
        yield np.clip(np.where(c <= 0.0031308, 12.92 * c, 1.055 * np.maximum(c, 1e-8) ** (1 / 2.4) - 0.055), 0, 1)


class Pictures:
    """All pictures of a folder made by this script, and random crops of them."""

    def __init__(self, folder):
        self.by_kind = {}
        for p in sorted(pathlib.Path(folder).glob("*.jpg")):
            self.by_kind.setdefault(p.name.split("_")[0], []).append(np.asarray(Image.open(p).convert("RGB")))
        self.by_kind["made"] = [None]
        self.kinds = [k for k in WEIGHTS if self.by_kind.get(k)]
        w = np.array([WEIGHTS[k] for k in self.kinds])
        self.weights = w / w.sum()

    def crop(self, side, rng):
        """Random crop, scale, flip and colour jitter: float32 [side, side, 3] in [0, 1]."""
        kind = self.kinds[rng.choice(len(self.kinds), p=self.weights)]
        if kind == "made":
            x = made(side, rng)
        else:
            group = self.by_kind[kind]
            im = group[rng.integers(len(group))]
            h, w = im.shape[:2]
            small = min(h, w)
            least = min(small, side * 0.8)
            s = int(np.exp(rng.uniform(np.log(max(least, small * 0.25)), np.log(small))))
            aspect = np.exp(rng.uniform(-0.12, 0.12))
            sw, sh = min(int(s * aspect), w), min(int(s / aspect), h)
            x0, y0 = rng.integers(w - sw + 1), rng.integers(h - sh + 1)
            c = Image.fromarray(im[y0:y0 + sh, x0:x0 + sw]).resize((side, side), Image.LANCZOS if rng.random() < 0.7 else Image.BILINEAR)
            x = np.asarray(c, np.float32) / 255
        if rng.random() < 0.5:
            x = x[:, ::-1]
        if rng.random() < 0.75:
            gain = np.exp(rng.normal(0, 0.10, 3) + rng.normal(0, 0.12)).astype(np.float32)
            gamma = np.exp(rng.normal(0, 0.22))
            x = np.clip(x, 1e-4, 1) ** np.float32(gamma) * gain
            l = (x @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]
            x = l + (x - l) * np.float32(np.exp(rng.normal(0, 0.25)))
            x = 0.5 + (x - 0.5) * np.float32(np.exp(rng.normal(0, 0.12)))
        if rng.random() < 0.08:
            x = x[..., rng.permutation(3)]
        return np.ascontiguousarray(np.clip(x, 0, 1), np.float32)


def made(side, rng):
    """A gradient with discs, stripes or noise."""
    from scipy.ndimage import gaussian_filter
    v, u = np.mgrid[0:side, 0:side].astype(np.float32) / side
    angle = rng.uniform(0, 2 * np.pi)
    t = (u * np.cos(angle) + v * np.sin(angle))[..., None]
    x = rng.random(3) * (1 - t) + rng.random(3) * t
    for _ in range(rng.integers(2, 9)):
        cx, cy, r = rng.random(), rng.random(), rng.uniform(0.05, 0.35)
        d = np.hypot(u - cx, v - cy) / r
        m = np.clip((1 - d) * r * side, 0, 1)[..., None]
        shade = np.clip(1 - 0.6 * np.hypot(u - cx + 0.3 * r, v - cy + 0.3 * r) / r, 0.1, 1)[..., None]
        c = rng.random(3)
        if rng.random() < 0.3:
            c = np.where(np.sin(2 * np.pi * rng.uniform(3, 12) * (u + v * rng.normal()))[..., None] > 0, c, rng.random(3))
        x = x * (1 - m) + m * c * (0.4 + 0.8 * shade)
    n = gaussian_filter(rng.normal(size=(side, side)), rng.uniform(0.6, 4))
    return np.clip(x + (n / n.std() * rng.uniform(0, 0.06))[..., None], 0, 1).astype(np.float32)


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("--skimage", action="store_true")
    a.add_argument("--lomiri", type=pathlib.Path)
    a.add_argument("--hdri", type=pathlib.Path)
    a.add_argument("--renders", type=pathlib.Path)
    a.add_argument("out", type=pathlib.Path)
    a = a.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)

    def keep(im, name):
        im = im.convert("RGB")
        im.thumbnail((1600, 1600), Image.LANCZOS)
        im.save(a.out / f"{name}.jpg", quality=95, subsampling=0)

    if a.skimage:
        import skimage
        for n in SKIMAGE:
            keep(Image.open(pathlib.Path(skimage.__file__).parent / "data" / n), "skimage_" + n.split(".")[0])
    if a.lomiri:
        for n in LOMIRI:
            keep(Image.open(next(a.lomiri.rglob(n + ".jpg"))), "lomiri_" + n)
    if a.hdri:
        for p in sorted(a.hdri.glob("*.exr")):
            for k, x in enumerate(panorama_views(p, 6)):
                keep(Image.fromarray((x * 255 + 0.5).astype(np.uint8)), f"hdri_{p.stem}_{k}")
    if a.renders:
        for p in sorted(a.renders.glob("*.png")):
            keep(Image.open(p), "render_" + p.stem)
    (a.out / "CREDITS.txt").write_text(__doc__ + "".join(f"lomiri {k}: {v}\n" for k, v in LOMIRI.items()))
    print(len(list(a.out.glob("*.jpg"))), "pictures")
