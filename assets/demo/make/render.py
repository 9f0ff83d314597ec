"""Path-traces all views in passes of a few samples a pixel: `render.py [--passes N] [--minutes M]`.

Each pass goes over all views once and adds to work/passes/NN.npz, so that rendering can stop at any time, goes on where it
was, and gets better with every further pass. finish.py makes the pictures of what is there.
"""

import argparse
import os
import pathlib
import time

HERE = pathlib.Path(__file__).parent
for library in sorted((HERE / "work/llvm").glob("**/libLLVM.so.*")):
    os.environ.setdefault("DRJIT_LIBLLVM_PATH", str(library))

import mitsuba as mi  # noqa: E402  (reads DRJIT_LIBLLVM_PATH)
import numpy as np  # noqa: E402

mi.set_variant("llvm_ad_rgb")

import views  # noqa: E402  (meshes of the variant above)
from scene import scene  # noqa: E402

PASSES = HERE / "work/passes"
SAMPLES = 16
# Radiance, then albedo and normal for the denoiser.
CHANNELS = 9


def sensor(eye, target):
    """Pixels are plain means over their squares: noise is then independent from pixel to pixel."""
    film = {"type": "hdrfilm", "width": views.SIZE, "height": views.SIZE, "pixel_format": "rgb", "rfilter": {"type": "box"}}
    pose = mi.ScalarTransform4f().look_at(eye.tolist(), target.tolist(), [0, 0, 1])
    return mi.load_dict({"type": "perspective", "fov": views.FOV_DEG, "near_clip": 0.01, "to_world": pose, "film": film})


def load(index):
    """(sum over passes [h,w,9], passes) of a view; zeros where it was never rendered."""
    path = PASSES / f"{index:02}.npz"
    if not path.exists():
        return np.zeros((views.SIZE, views.SIZE, CHANNELS), np.float32), 0
    with np.load(path) as file:
        return file["total"], int(file["passes"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--passes", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    arguments = parser.parse_args()
    PASSES.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    world = scene()
    tracer = {"type": "path", "max_depth": 5, "rr_depth": 3}
    integrator = mi.load_dict({"type": "aov", "aovs": "albedo:albedo,normal:sh_normal", "image": tracer})
    for number in range(arguments.passes):
        for index, (eye, target) in enumerate(views.cameras()):
            total, done = load(index)
            if done > number:
                continue
            if time.monotonic() - start > 60 * arguments.minutes:
                return
            seed = number * 1000 + index
            picture = np.array(mi.render(world, sensor=sensor(eye, target), integrator=integrator, spp=SAMPLES, seed=seed))
            part = PASSES / f"{index:02}.part.npz"
            np.savez(part, total=total + picture[..., :CHANNELS], passes=done + 1)
            part.replace(PASSES / f"{index:02}.npz")
            print(f"pass {number + 1} view {index}: {time.monotonic() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
