"""Edits of pictures that the training never saw, against their procedural targets.

    python evaluate.py MODEL PICTURE... [--side 96] [--crops 1] [--steps 10] [--text 1.5] [--image 1.5] [--sheet OUT.png]

Per family: PSNR of the edit to the target, of the unedited picture to the target, of the autoencoder's round trip of the
target (the ceiling), and how often the edit is nearer to its own family's target than to any other's. `--guidance`
also prints the mean change against both guidances.
"""
import argparse, json, pathlib
import numpy as np
from PIL import Image
import families, samples

p = argparse.ArgumentParser()
p.add_argument("model", type=pathlib.Path)
p.add_argument("pictures", nargs="+", type=pathlib.Path)
p.add_argument("--side", type=int, default=96)
p.add_argument("--crops", type=int, default=1, help="crops of each picture")
p.add_argument("--steps", type=int, default=10)
p.add_argument("--text", type=float, default=1.5)
p.add_argument("--image", type=float, default=1.5)
p.add_argument("--seed", type=int, default=0)
p.add_argument("--threads", type=int, default=2)
p.add_argument("--families", nargs="*")
p.add_argument("--sheet", type=pathlib.Path)
p.add_argument("--json", type=pathlib.Path)
p.add_argument("--guidance", action="store_true")
a = p.parse_args()
model = samples.Model(a.model, a.steps, a.text, a.image, a.threads)
edit = model.edit
rng = np.random.default_rng(a.seed)


def psnr(x, y):
    return -10 * np.log10(np.maximum(((x - y) ** 2).mean(tuple(range(1, x.ndim))), 1e-8))


crops = []
for path in a.pictures:
    im = Image.open(path).convert("RGBA")
    im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im).convert("RGB")
    for _ in range(a.crops):
        s = int(min(im.size) * (1.0 if a.crops == 1 else rng.uniform(0.5, 1.0)))
        x0 = (im.width - s) // 2 if a.crops == 1 else int(rng.integers(im.width - s + 1))
        y0 = (im.height - s) // 2 if a.crops == 1 else int(rng.integers(im.height - s + 1))
        crops.append(np.asarray(im.crop((x0, y0, x0 + s, y0 + s)).resize((a.side, a.side), Image.LANCZOS), np.float32) / 255)
crops = np.stack(crops)
every = list(families.FAMILIES)
names = a.families or every
targets = {f: np.stack([families.target(f, x) for x in crops]) for f in every}
rows, sheet = {}, []
for f in names:
    y = edit(crops, [families.example(f)] * len(crops), seed=a.seed)
    distance = np.stack([((y - targets[g]) ** 2).mean((1, 2, 3)) for g in every])
    near = [every[i] for i in distance.argmin(0)]
    ceiling = model.decode(model.encode(targets[f]))
    rows[f] = {"edit": float(psnr(y, targets[f]).mean()), "unedited": float(psnr(crops, targets[f]).mean()),
               "ceiling": float(psnr(ceiling, targets[f]).mean()), "own": float(np.mean([g == f for g in near])), "nearest": near}
    r = rows[f]
    print(f"{f:11} edit {r['edit']:5.2f} unedited {min(r['unedited'], 99):5.2f} ceiling {r['ceiling']:5.2f} own {r['own']:.2f} "
          f"{'' if r['own'] == 1 else sorted(set(near) - {f})}", flush=True)
    if a.sheet:
        k = min(2, len(crops))
        sheet.append(np.concatenate([np.concatenate([crops[i], y[i], targets[f][i]], 1) for i in range(k)], 1))
changed = [r for f, r in rows.items() if f != "unchanged"]
mean = {k: float(np.mean([r[k] for r in changed])) for k in ("edit", "unedited", "ceiling")}
mean["own"] = float(np.mean([r["own"] for r in changed]))
print("mean of the families that change something:", {k: round(v, 2) for k, v in mean.items()}, f"{len(crops)} crops at {a.side}, "
      f"{a.steps} steps, text {a.text}, image {a.image}")
if a.guidance:
    some = [f for f in names if f != "unchanged"][::4]
    for what, values in (("text", (1, 2, 3, 5, 7.5)), ("image", (1, 1.5, 2, 3))):
        out = []
        for v in values:
            t, i = (v, a.image) if what == "text" else (a.text, v)
            d = [np.sqrt(((edit(crops[:2], [families.example(f)] * len(crops[:2]), t, i) - crops[:2]) ** 2).mean()) for f in some]
            out.append(round(float(np.mean(d)), 4))
        print("mean change against", what, "guidance", dict(zip(values, out)))
        mean[f"change_{what}"] = dict(zip(map(str, values), out))
if a.sheet:
    half = -(-len(sheet) // 2)
    sheet += [np.ones_like(sheet[0])] * (2 * half - len(sheet))
    Image.fromarray((np.concatenate([np.concatenate(sheet[:half]), np.concatenate(sheet[half:])], 1) * 255 + 0.5).astype(np.uint8)).save(a.sheet)
if a.json:
    a.json.write_text(json.dumps({"mean": mean, "families": rows, "settings": {k: str(v) for k, v in vars(a).items()}}, indent=1))
