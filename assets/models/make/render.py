"""Training pictures of people and objects: path-traced figures of Debian's `sweethome3d-furniture` under the CC0 HDRIs
of npm `@pmndrs/assets`. The demo capture's figure (`male03`) is never among them.

    python render.py FURNITURE_DIR HDRI_DIR OUT [--count N]

FURNITURE_DIR holds `Reallusion.sh3f` unzipped into `reallusion/` and `BlendSwap-CC-0.sh3f` into `cc0/`.
Runs on from the pictures that OUT has already.
"""
import argparse, pathlib, re, tempfile
import numpy as np
import mitsuba as mi

a = argparse.ArgumentParser()
a.add_argument("furniture", type=pathlib.Path)
a.add_argument("hdri", type=pathlib.Path)
a.add_argument("out", type=pathlib.Path)
a.add_argument("--count", type=int, default=160)
a.add_argument("--side", type=int, default=224)
a.add_argument("--samples", type=int, default=96)
a = a.parse_args()
mi.set_variant("scalar_rgb")
from PIL import Image

people = ["female01", "female02", "female03", "male01", "male02", "boyStanding", "girlStanding", "holdingFemale01",
          "holdingFemale02", "holdingFemale03", "holdingMale01", "sitFemale01", "sitFemale03", "sitMale01", "boySitting",
          "girlSittingTable"]
# CC0 1.0 by the licence file in each object's own folder, as by the catalogue of the package.
things = ["teddyBear", "antiqueChair", "cactus", "orchids", "chicken", "horse2", "deer", "motorbike", "stoneLantern",
          "lantern", "plant", "couch"]


def load_obj(folder):
    """Groups by material: (texture or None, colour, positions, normals, uvs, faces); doubled faces dropped."""
    path = next(folder.glob("*.obj"))
    materials, name = {}, None
    for mtl in folder.glob("*.mtl"):
        for line in mtl.read_text(errors="replace").splitlines():
            w = line.split()
            if not w:
                continue
            if w[0] == "newmtl":
                name = " ".join(w[1:]); materials[name] = [None, (0.6, 0.6, 0.6)]
            elif w[0] == "Kd":
                materials[name][1] = tuple(float(v) for v in w[1:4])
            elif w[0] == "map_Kd":
                t = folder / re.sub(r"^.*[\\/]", "", line.split(None, 1)[1].strip())
                materials[name][0] = t if t.is_file() else None
    v, vt, groups, current, seen = [], [], {}, None, set()
    for line in path.read_text(errors="replace").splitlines():
        w = line.split()
        if not w:
            continue
        if w[0] == "v": v.append([float(x) for x in w[1:4]])
        elif w[0] == "vt": vt.append([float(x) for x in w[1:3]])
        elif w[0] == "usemtl": current = " ".join(w[1:])
        elif w[0] == "f":
            c = [p.split("/") for p in w[1:]]
            ids = [(int(p[0]) if int(p[0]) > 0 else len(v) + 1 + int(p[0])) - 1 for p in c]
            uvs = [((int(p[1]) if int(p[1]) > 0 else len(vt) + 1 + int(p[1])) - 1) if len(p) > 1 and p[1] else -1 for p in c]
            key = tuple(sorted(ids))
            if key in seen:
                continue
            seen.add(key)
            for i in range(1, len(ids) - 1):
                groups.setdefault(current, []).append([(ids[j], uvs[j]) for j in (0, i, i + 1)])
    v = np.array(v, np.float32)
    vt = np.array(vt or [[0, 0]], np.float32)
    return v, vt, groups, materials


def shapes(folder):
    v, vt, groups, materials = load_obj(folder)
    low, high = v.min(0), v.max(0)
    scale = 1 / (high - low).max()
    v = (v - (low + high) / 2) * scale
    out = {}
    for g, (name, faces) in enumerate(groups.items()):
        f = np.array(faces)                                 # [n, 3, 2]
        pairs, inverse = np.unique(f.reshape(-1, 2), axis=0, return_inverse=True)
        p, uv = v[pairs[:, 0]], vt[np.maximum(pairs[:, 1], 0)] * [1, -1] + [0, 1]   # Mitsuba counts v from the top
        tri = inverse.reshape(-1, 3)
        # Smooth normals over coinciding positions.
        n = np.zeros_like(v)
        c = np.cross(v[f[:, 1, 0]] - v[f[:, 0, 0]], v[f[:, 2, 0]] - v[f[:, 0, 0]])
        for k in range(3):
            np.add.at(n, f[:, k, 0], c)
        normal = n[pairs[:, 0]]
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        texture, kd = materials.get(name, [None, (0.6, 0.6, 0.6)])
        reflectance = ({"type": "bitmap", "filename": str(texture)} if texture
                       else {"type": "rgb", "value": list(np.clip(kd, 0.02, 0.9))})
        props = mi.Properties()
        props["bsdf"] = mi.load_dict({"type": "twosided", "b": {"type": "roughplastic", "diffuse_reflectance": reflectance,
                                                                "alpha": 0.35}})
        mesh = mi.Mesh(f"g{g}", len(p), len(tri), has_vertex_normals=True, has_vertex_texcoords=True, props=props)
        t = mi.traverse(mesh)
        t["vertex_positions"], t["vertex_normals"] = p.ravel(), normal.astype(np.float32).ravel()
        t["vertex_texcoords"], t["faces"] = uv.astype(np.float32).ravel(), tri.astype(np.uint32).ravel()
        t.update()
        out[f"g{g}"] = mesh
    size = (high - low) * scale
    return out, size


hdris = sorted(a.hdri.glob("*.exr"))
a.out.mkdir(parents=True, exist_ok=True)
cache = {}
for i in range(a.count):
    out = a.out / f"render_{i:04}.png"
    rng = np.random.default_rng(i)
    person = rng.random() < 0.75
    name = people[rng.integers(len(people))] if person else things[rng.integers(len(things))]
    light = hdris[rng.integers(len(hdris))]
    turn, azimuth, elevation = rng.uniform(0, 360), rng.uniform(-70, 70), rng.uniform(-10, 25)
    bust, distance, dx = rng.random() < 0.75, rng.uniform(0.45, 0.9), rng.uniform(-0.06, 0.06)
    if out.exists():
        continue
    try:
        if name not in cache:
            cache[name] = shapes(a.furniture / ("reallusion/reallusion" if person else "cc0/blendswap-cc-0") / name)
        figure, size = cache[name]
        env = np.clip(np.nan_to_num(np.array(mi.Bitmap(str(light)).convert(mi.Bitmap.PixelFormat.RGB, mi.Struct.Type.Float32))), 0, 60)
        level = np.median(env @ np.array([0.299, 0.587, 0.114]))
        env *= 0.22 / max(level, 0.02)
        focus = np.array([dx, size[1] * (0.36 if person and bust else 0.0), 0])
        d = distance * (1.0 if person and bust else 2.2)
        az, el = np.radians(azimuth), np.radians(elevation)
        eye = focus + d * np.array([np.sin(az) * np.cos(el), np.sin(el), np.cos(az) * np.cos(el)])
        T = mi.ScalarTransform4f
        scene = mi.load_dict({
            "type": "scene", "integrator": {"type": "path", "max_depth": 4}, **figure,
            "floor": {"type": "rectangle", "to_world": T().translate([0, -size[1] / 2 - 0.002, 0]).rotate([1, 0, 0], -90).scale(3),
                      "bsdf": {"type": "diffuse", "reflectance": {"type": "rgb", "value": list(rng.uniform(0.15, 0.6) * rng.uniform(0.8, 1.2, 3))}}},
            "light": {"type": "envmap", "bitmap": mi.Bitmap(env), "to_world": T().rotate([0, 1, 0], turn)},
            "camera": {"type": "perspective", "fov": 38, "to_world": T().look_at(eye.tolist(), focus.tolist(), [0, 1, 0]),
                       "film": {"type": "hdrfilm", "width": a.side, "height": a.side, "rfilter": {"type": "gaussian"}},
                       "sampler": {"type": "independent", "sample_count": a.samples}}})
        rgb = np.array(mi.render(scene, seed=i))[..., :3]
        rgb = rgb / (1 + 0.25 * rgb)
        srgb = np.where(rgb <= 0.0031308, 12.92 * rgb, 1.055 * np.maximum(rgb, 1e-8) ** (1 / 2.4) - 0.055)
        Image.fromarray((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)).save(out)
        print(out.name, name, light.stem, flush=True)
    except Exception as e:
        print("skipped", out.name, name, repr(e)[:200], flush=True)
