"""Makes the capture of the rendered passes: ../images/*.jpg, ../transforms.json and ../points.ply.

`finish.py --keep-photos` leaves photos that are there as they are, and makes only the rest.
"""

import argparse
import json

import mitsuba as mi
import numpy as np
import pyoidn
from PIL import Image

import render
import views

OUT = render.HERE.parent
EXPOSURE = 1.8
JPEG_QUALITY = 90
# Points are thinned to one in each cube of this edge (metres), on the man and in the room.
MAN_CUBE, ROOM_CUBE = 0.010, 0.035
MAN_POINTS, ROOM_POINTS = 8000, 12000
RAYS_PER_VIEW = 6000


def denoised(total, passes):
    """Radiance [h,w,3], by Open Image Denoise guided by albedo and normals."""
    radiance, albedo, normal = (np.ascontiguousarray(total[..., k : k + 3] / passes) for k in (0, 3, 6))
    return pyoidn.denoise(radiance, albedo=np.clip(albedo, 0, 1), normal=normal, hdr=True)


def developed(radiance):
    """u8 sRGB: exposure, highlights rolled off above a knee."""
    x, knee = radiance * EXPOSURE, 0.55
    x = np.where(x < knee, x, knee + (1 - knee) * np.tanh((x - knee) / (1 - knee)))
    x = np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-9) ** (1 / 2.4) - 0.055)
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def rays(pose, pixels):
    """World directions [n,3] through pixel centres (column, row) [n,2] of a camera-to-world pose."""
    middle = views.SIZE / 2
    x, y = (pixels + 0.5 - middle).T / views.focal()
    directions = np.stack([x, -y, -np.ones_like(x)], -1) @ pose[:3, :3].T
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def check(sensor, pose, pixels):
    """The written pose is the renderer's camera."""
    film = mi.Point2f((pixels.T + 0.5) / views.SIZE)
    ray, _ = sensor.sample_ray(0.0, 0.5, film, mi.Point2f(0.5))
    worst = np.abs(np.array(ray.d).T - rays(pose, pixels)).max()
    if worst > 1e-5:
        raise SystemExit(f"the written poses disagree with the renderer's rays by {worst}")


def thin(points, colours, cube, count, rng):
    """One point of each cube, and of those at most `count`."""
    order = rng.permutation(len(points))
    points, colours = points[order], colours[order]
    _, first = np.unique(np.floor(points / cube).astype(int), axis=0, return_index=True)
    chosen = rng.permutation(first)[:count]
    return points[chosen], colours[chosen]


def write_ply(path, points, colours):
    layout = np.dtype([("position", "<f4", 3), ("colour", "u1", 3)])
    vertices = np.empty(len(points), layout)
    vertices["position"], vertices["colour"] = points, colours
    properties = [f"property float {c}" for c in "xyz"] + [f"property uchar {c}" for c in ("red", "green", "blue")]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(points)}", *properties, "end_header", ""]
    path.write_bytes("\n".join(header).encode() + vertices.tobytes())


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep-photos", action="store_true")
    keep = parser.parse_args().keep_photos
    (OUT / "images").mkdir(exist_ok=True)
    rng = np.random.default_rng(3)
    world = render.scene()
    frames, points, colours, samples = [], [], [], []
    for index, (eye, target) in enumerate(views.cameras()):
        total, passes = render.load(index)
        if passes == 0:
            continue
        name = f"images/view_{index:02}.jpg"
        if not (keep and (OUT / name).exists()):
            photo = Image.fromarray(developed(denoised(total, passes)))
            photo.save(OUT / name, quality=JPEG_QUALITY, optimize=True)
        picture = np.array(Image.open(OUT / name))
        pose = views.camera_to_world(eye, target)
        frames.append({"file_path": name, "transform_matrix": pose.round(9).tolist()})
        samples.append(passes * render.SAMPLES)

        pixels = rng.integers(0, views.SIZE, (RAYS_PER_VIEW, 2))
        check(render.sensor(eye, target), pose, pixels)
        hit = world.ray_intersect_preliminary(mi.Ray3f(mi.Point3f(eye), mi.Vector3f(rays(pose, pixels).T)))
        distance = np.array(hit.t)
        seen = np.isfinite(distance)
        points.append(eye + distance[seen, None] * rays(pose, pixels[seen]))
        colours.append(picture[pixels[seen, 1], pixels[seen, 0]])
    points, colours = np.concatenate(points), np.concatenate(colours)
    on_man = np.hypot(points[:, 0], points[:, 1]) < 0.42
    man = thin(points[on_man], colours[on_man], MAN_CUBE, MAN_POINTS, rng)
    room = thin(points[~on_man], colours[~on_man], ROOM_CUBE, ROOM_POINTS, rng)
    write_ply(OUT / "points.ply", *(np.concatenate(pair) for pair in zip(man, room)))

    size, middle, focal = views.SIZE, views.SIZE / 2, views.focal()
    head = {"camera_model": "PINHOLE", "fl_x": focal, "fl_y": focal, "cx": middle, "cy": middle, "w": size, "h": size}
    lines = ",\n  ".join(json.dumps(frame) for frame in frames)
    text = json.dumps(head | {"ply_file_path": "points.ply"})[:-1] + ',\n "frames": [\n  ' + lines + "\n ]}\n"
    json.loads(text)
    (OUT / "transforms.json").write_text(text)
    print(f"{len(frames)} views of {min(samples)} to {max(samples)} samples a pixel; {len(man[0])} + {len(room[0])} points")


if __name__ == "__main__":
    main()
