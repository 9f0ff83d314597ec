"""Edits of a whole scene by luxedit, against the procedural targets of the original photos on the held-out views.

    python evaluate_scene.py LUXEDIT CAPTURE SCENE MODEL WORK [--families marble …] [--downscale 4] [--json FILE] [-- FLAGS]

Every family is one `luxedit edit CAPTURE --scene SCENE … FLAGS`; an edit whose project WORK/FAMILY.luxedit exists is not
made again. Reported per family: PSNR on the held-out views of the edited scene's renders and of the unedited scene's,
and the spread over the held-out views of a surface point's colour (standard deviation, 0 to 255), in the edited scene's
renders and in single-picture edits of the same photos by the same model.
"""
import argparse, json, math, pathlib, subprocess, sys
import numpy as np
from PIL import Image

p = argparse.ArgumentParser()
p.add_argument("luxedit")
p.add_argument("capture", type=pathlib.Path)
p.add_argument("scene", type=pathlib.Path)
p.add_argument("model", type=pathlib.Path)
p.add_argument("work", type=pathlib.Path)
p.add_argument("--families", nargs="*", default=["marble", "bronze", "night", "sunset", "pencil", "purple"])
p.add_argument("--downscale", type=int, default=4)
p.add_argument("--json", type=pathlib.Path)
own, extra = (sys.argv[1:sys.argv.index("--")], sys.argv[sys.argv.index("--") + 1:]) if "--" in sys.argv else (sys.argv[1:], [])
a = p.parse_args(own)
a.work.mkdir(parents=True, exist_ok=True)
import families
import samples

capture = json.loads((a.capture / "transforms.json").read_text())
frames = sorted(capture["frames"], key=lambda f: f["file_path"])
w, h = capture["w"] // a.downscale, capture["h"] // a.downscale
count = math.ceil(len(frames) * 0.9)
training = {int(i) for i in np.linspace(0, len(frames) - 1, count)}
held_out = [i for i in range(len(frames)) if i not in training]


def load(path):
    return np.asarray(Image.open(path).convert("RGB").resize((w, h), Image.BOX), np.float32) / 255


def psnr(x, y):
    return float(-10 * np.log10(np.mean((np.asarray(x) - np.asarray(y)) ** 2, axis=(1, 2, 3))).mean())


def run(*words):
    print("+", *words, flush=True)
    subprocess.run([str(x) for x in words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def renders(scene, name, *more):
    folder = a.work / name
    if not folder.exists():
        run(a.luxedit, "render", scene, "-o", folder, *more)
    files = sorted(folder.rglob("*.png"))
    assert len(files) == len(frames), f"{folder} holds {len(files)} pictures, not {len(frames)}"
    return np.stack([load(files[i]) for i in held_out])


def surface():
    """(view, x, y) of each surface point in each held-out view that sees it: lists of (row, column) or None."""
    raw = (a.capture / capture["ply_file_path"]).read_bytes()
    head, body = raw.split(b"end_header\n", 1)
    points = np.frombuffer(body, np.dtype([("p", "<f4", 3), ("c", "u1", 3)]))["p"].astype(np.float64)
    seen = np.full((len(points), len(held_out), 2), -1)
    for k, i in enumerate(held_out):
        m = np.array(frames[i]["transform_matrix"])
        c = (points - m[:3, 3]) @ m[:3, :3]
        z = -c[:, 2]
        x = capture["fl_x"] * c[:, 0] / z / a.downscale + capture["cx"] / a.downscale
        y = -capture["fl_y"] * c[:, 1] / z / a.downscale + capture["cy"] / a.downscale
        inside = (z > 0.05) & (x >= 0) & (x < w) & (y >= 0) & (y < h)
        column, row = np.where(inside, x, 0).astype(int), np.where(inside, y, 0).astype(int)
        depth = np.full((h + 4, w + 4), np.inf)
        for dy in range(5):
            for dx in range(5):
                np.minimum.at(depth, (row[inside] + dy, column[inside] + dx), z[inside])
        visible = inside & (z < depth[row + 2, column + 2] * 1.02)
        seen[visible, k] = np.stack([row, column], -1)[visible]
    return seen[(seen[:, :, 0] >= 0).sum(1) >= 3]


def spread(pictures, seen):
    """Mean over points of the standard deviation over views, 0 to 255."""
    rows, columns = seen[..., 0], seen[..., 1]
    color = np.stack([p[rows[:, k], columns[:, k]] for k, p in enumerate(pictures)], 1)
    mask = (rows >= 0)[..., None]
    n = mask.sum(1)
    mean = (color * mask).sum(1) / n
    return float(255 * np.sqrt(((color - mean[:, None]) ** 2 * mask).sum(1) / n).mean())


photos = np.stack([load(a.capture / frames[i]["file_path"]) for i in held_out])
seen = surface()
unedited = renders(a.scene, "unedited", "--cameras", a.capture)
model = samples.Model(a.model)
out = {"flags": extra, "held_out": len(held_out), "side": [w, h], "points": len(seen), "families": {},
       "unedited": {"photo": psnr(unedited, photos), "spread": spread(unedited, seen), "spread_photos": spread(photos, seen)}}
print(out, flush=True)
for f in a.families:
    project = a.work / f"{f}.luxedit"
    if not project.exists():
        run(a.luxedit, "edit", a.capture, "--scene", a.scene, "-o", project, "--prompt", families.example(f), "--model", a.model,
            "--downscale", a.downscale, *extra)
    edited = renders(project, f)
    targets = np.stack([families.target(f, x) for x in photos])
    single = model.edit(photos, [families.example(f)] * len(photos))
    r = {"edited": psnr(edited, targets), "unedited": psnr(unedited, targets), "single": psnr(single, targets),
         "spread_edited": spread(edited, seen), "spread_single": spread(single, seen), "spread_target": spread(targets, seen)}
    out["families"][f] = r
    print(f"{f:10}", {k: round(v, 2) for k, v in r.items()}, flush=True)
mean = {k: float(np.mean([r[k] for r in out["families"].values()])) for k in r}
out["mean"] = mean
print("mean", {k: round(v, 2) for k, v in mean.items()})
if a.json:
    a.json.write_text(json.dumps(out, indent=1))
