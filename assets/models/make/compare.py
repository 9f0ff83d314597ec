"""The same edit by luxedit and by PyPI diffusers, from the same latents.

    python compare.py LUXEDIT_BINARY MODEL_FOLDER PICTURE [--prompt P] [--steps 6] [--seed 3]

Draws luxedit's starting latents (ChaCha8 from a 64-bit seed, Box–Muller) here, runs
StableDiffusionInstructPix2PixPipeline.from_pretrained with them, and compares the pictures; fails above 2/255.
"""
import argparse, math, pathlib, subprocess, sys, tempfile
import numpy as np
import torch
from PIL import Image
from diffusers import StableDiffusionInstructPix2PixPipeline


def chacha8_u32(seed, n):
    state, key, mask = seed, [], (1 << 64) - 1
    for _ in range(8):
        state = (state * 6364136223846793005 + 11634580027462260723) & mask
        x = (((state >> 18) ^ state) >> 27) & 0xFFFFFFFF
        r = state >> 59
        key.append(((x >> r) | (x << (32 - r))) & 0xFFFFFFFF if r else x)
    blocks = -(-n // 16)
    s = np.zeros((16, blocks), np.uint32)
    s[:4] = np.array([0x61707865, 0x3320646E, 0x79622D32, 0x6B206574], np.uint32)[:, None]
    s[4:12] = np.array(key, np.uint32)[:, None]
    s[12] = np.arange(blocks)
    w = s.copy()

    def quarter(a, b, c, d):
        for x, y, z, r in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            w[x] += w[y]
            v = w[z] ^ w[x]
            w[z] = (v << np.uint32(r)) | (v >> np.uint32(32 - r))

    for _ in range(4):
        for q in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                  (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)):
            quarter(*q)
    return (w + s).T.ravel()[:n]


def normals(seed, n):
    u32 = chacha8_u32(seed, 2 * (n + 1)).astype(np.uint64)
    u = ((u32[0::2] | (u32[1::2] << np.uint64(32))) >> np.uint64(11)).astype(np.float64) / (1 << 53)
    u = u[:len(u) // 2 * 2]
    radius, angle = np.sqrt(-2 * np.log(1 - u[0::2])), 2 * math.pi * u[1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:n].astype(np.float32)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("luxedit"); p.add_argument("model"); p.add_argument("picture")
    p.add_argument("--prompt", default="turn him into a marble statue")
    p.add_argument("--steps", type=int, default=6)
    p.add_argument("--seed", type=int, default=3)
    p.add_argument("--text", type=float, default=5.0)
    p.add_argument("--image", type=float, default=1.5)
    a = p.parse_args()
    torch.set_grad_enabled(False)
    pipe = StableDiffusionInstructPix2PixPipeline.from_pretrained(a.model, safety_checker=None, requires_safety_checker=False)
    pipe.to(torch.float32)
    pipe.set_progress_bar_config(disable=True)
    im = Image.open(a.picture).convert("RGB")
    shape = (1, 4, im.height // 4, im.width // 4)
    latents = torch.from_numpy(normals(a.seed, int(np.prod(shape))).reshape(shape))
    # The pipeline's own preprocessing rounds sides to multiples of 8 or 32; a tensor in [0, 1] goes through as it is.
    x = torch.from_numpy(np.asarray(im, np.float32) / 255).permute(2, 0, 1)[None]
    theirs = pipe(a.prompt, image=x, num_inference_steps=a.steps, guidance_scale=a.text, image_guidance_scale=a.image,
                latents=latents, output_type="np").images[0]
    with tempfile.TemporaryDirectory() as t:
        out = pathlib.Path(t) / "out.png"
        subprocess.run([a.luxedit, "edit-image", a.picture, "--prompt", a.prompt, "-o", str(out), "--model", a.model,
                        "--diffusion-steps", str(a.steps), "--guidance-scale", str(a.text), "--image-guidance-scale",
                        str(a.image), "--seed", str(a.seed), "--edit-device", "cpu",
                        "--edited-side", "0", "--photo-detail", "0"], check=True)
        ours = np.asarray(Image.open(out).convert("RGB"), np.float32) / 255
    d = np.abs(ours - theirs) * 255
    print(f"diffusers against luxedit: largest difference {d.max():.2f}/255, mean {d.mean():.3f}/255, picture std {theirs.std() * 255:.1f}/255")
    sys.exit(int(d.max() > 2))
