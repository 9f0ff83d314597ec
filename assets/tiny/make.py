"""Makes this folder's capture: a bust of three ellipsoids on a plinth before a striped wall, ray cast with exact poses.

    pip install numpy pillow && python3 make.py

Writes images/*.png, transforms.json (OpenGL camera-to-world) and points.ply. Deterministic.
"""
import json, math, pathlib
import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).parent
SIZE, VIEWS, SAMPLES = 96, 24, 3
# centre, radii, colour
BODIES = [
    ((0, 0, 0.42), (0.26, 0.30, 0.34), (0.85, 0.62, 0.48)),
    ((0, -0.29, 0.40), (0.06, 0.08, 0.07), (0.80, 0.45, 0.38)),
    ((0, 0.04, 0.62), (0.28, 0.30, 0.20), (0.30, 0.18, 0.10)),
    ((0, 0, -0.12), (0.52, 0.30, 0.30), (0.20, 0.35, 0.62)),
]


def shade(normal, colour):
    light = np.array([-0.4, -0.7, 0.6]) / np.linalg.norm([-0.4, -0.7, 0.6])
    return colour * (0.35 + 0.65 * np.clip(normal @ light, 0, 1))[..., None]


def trace(o, d):
    """Rays [n,3] → colours [n,3]; world z is up."""
    best = np.full(len(o), np.inf)
    out = np.tile(np.array([0.55, 0.62, 0.70]), (len(o), 1))
    for centre, radii, colour in BODIES:
        c, r = np.array(centre, float), np.array(radii, float)
        p, q = (o - c) / r, d / r
        a, b, k = (q * q).sum(1), (p * q).sum(1), (p * p).sum(1) - 1
        disc = b * b - a * k
        t = (-b - np.sqrt(np.maximum(disc, 0))) / a
        hit = (disc > 0) & (t > 1e-4) & (t < best)
        x = o + t[:, None] * d
        n = (x - c) / r**2
        n /= np.linalg.norm(n, axis=1, keepdims=True)
        out[hit] = shade(n, np.array(colour))[hit]
        best[hit] = t[hit]
    # floor z = -0.42 with rings, wall y = 1.2 with stripes
    for axis, level in ((2, -0.42), (1, 1.2)):
        t = (level - o[:, axis]) / np.where(np.abs(d[:, axis]) < 1e-9, 1e-9, d[:, axis])
        x = o + t[:, None] * d
        hit = (t > 1e-4) & (t < best) & (np.abs(x).max(1) < 2.2)
        if axis == 2:
            ring = (np.floor(np.hypot(x[:, 0], x[:, 1]) * 4) % 2)[:, None]
            colour = ring * np.array([0.72, 0.66, 0.55]) + (1 - ring) * np.array([0.50, 0.42, 0.34])
        else:
            stripe = (np.floor(x[:, 0] * 3) % 2)[:, None]
            colour = stripe * np.array([0.66, 0.70, 0.60]) + (1 - stripe) * np.array([0.52, 0.58, 0.50])
        out[hit] = colour[hit]
        best[hit] = t[hit]
    return out, best


def pose(angle, height, distance):
    eye = np.array([distance * math.sin(angle), -distance * math.cos(angle), height])
    z = eye - np.array([0, 0, 0.15])
    z /= np.linalg.norm(z)
    x = np.cross([0, 0, 1], z)
    x /= np.linalg.norm(x)
    m = np.eye(4)
    m[:3, 0], m[:3, 1], m[:3, 2], m[:3, 3] = x, np.cross(z, x), z, eye
    return m


def main():
    (HERE / "images").mkdir(exist_ok=True)
    focal = SIZE * 1.15
    frames, points, colours = [], [], []
    rng = np.random.default_rng(1)
    for i in range(VIEWS):
        angle = math.radians(-75 + 150 * i / (VIEWS - 1))
        m = pose(angle, (0.15, 0.75, 0.40)[i % 3], 1.9)
        grid = (np.arange(SIZE * SAMPLES) + 0.5) / SAMPLES
        u, v = np.meshgrid(grid, grid)
        d = np.stack([(u - SIZE / 2) / focal, -(v - SIZE / 2) / focal, -np.ones_like(u)], -1).reshape(-1, 3) @ m[:3, :3].T
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        colour, depth = trace(np.tile(m[:3, 3], (len(d), 1)), d)
        picture = colour.reshape(SIZE, SAMPLES, SIZE, SAMPLES, 3).mean((1, 3))
        name = f"images/view_{i:02}.png"
        Image.fromarray((picture.clip(0, 1) * 255 + 0.5).astype(np.uint8)).save(HERE / name, optimize=True)
        frames.append({"file_path": name, "transform_matrix": m.tolist()})
        pick = rng.choice(np.flatnonzero(np.isfinite(depth)), 120, replace=False)
        points.append(m[:3, 3] + depth[pick, None] * d[pick])
        colours.append(colour[pick])
    points, colours = np.concatenate(points), (np.concatenate(colours).clip(0, 1) * 255).astype(np.uint8)
    with open(HERE / "points.ply", "w") as f:
        f.write(f"ply\nformat ascii 1.0\nelement vertex {len(points)}\nproperty float x\nproperty float y\nproperty float z\n"
                "property uchar red\nproperty uchar green\nproperty uchar blue\nend_header\n")
        for p, c in zip(points, colours):
            f.write("%.4f %.4f %.4f %d %d %d\n" % (*p, *c))
    json.dump({"fl_x": focal, "fl_y": focal, "cx": SIZE / 2, "cy": SIZE / 2, "w": SIZE, "h": SIZE,
               "ply_file_path": "points.ply", "frames": frames}, open(HERE / "transforms.json", "w"), indent=1)


main()
