"""PyTorch's half of full_size.rs: times the part named on each line of stdin, prints wall and processor seconds.
Other lines: `flops PART` prints its floating-point operations, `matmul` the most that the device was seen to do in a
second (products of large matrices in the type of the weights), `memory` the most bytes that tensors took."""
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch.utils.flop_counter import FlopCounterMode

model, side, threads, device = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
card = device != "cpu"
dtype = torch.float16 if card else torch.float32
torch.set_num_threads(threads)
load = dict(variant="fp16", torch_dtype=dtype)
unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", **load).to(device).eval()
vae = AutoencoderKL.from_pretrained(model, subfolder="vae", **load).to(device).eval()
latent = side // 8


def randn(*shape):
    return torch.randn(*shape, device=device, dtype=dtype)


sample, prompt = randn(3, 8, latent, latent), randn(3, 77, 768)
picture, latents = randn(1, 3, side, side), randn(1, 4, latent, latent)


def edit(steps=20):
    condition = vae.encode(picture).latent_dist.mode()
    x = vae.encode(picture).latent_dist.sample()
    for i in range(steps):
        rows = torch.cat([x] * 3)
        rows = torch.cat([rows, torch.cat([condition, condition, torch.zeros_like(condition)])], 1)
        text, image, none = unet(rows, torch.tensor(500, device=device), prompt).sample.chunk(3)
        x = x - 0.01 * (none + 7.5 * (text - image) + 1.5 * (image - none))
    return vae.decode(x).sample


parts = {
    "unet": lambda: unet(sample, torch.tensor(500, device=device), prompt),
    "vae.encode": lambda: vae.encode(picture).latent_dist.mode(),
    "vae.decode": lambda: vae.decode(latents),
    "edit": edit,
    "unet.four": lambda: unet(sample.repeat(4, 1, 1, 1), torch.tensor(500, device=device), prompt.repeat(4, 1, 1)),
}


def wait():
    if card:
        torch.cuda.synchronize()


def matmul(n=8192, times=10):
    a, b = randn(n, n), randn(n, n)
    for _ in range(3):
        a @ b
    wait()
    start = time.perf_counter()
    for _ in range(times):
        a @ b
    wait()
    return 2 * n**3 * times / (time.perf_counter() - start)


with torch.inference_mode():
    for line in sys.stdin:
        what, *of = line.split()
        if what == "flops":
            with FlopCounterMode(display=False) as counter:
                parts[of[0]]()
            print(counter.get_total_flops(), flush=True)
        elif what == "matmul":
            print(matmul(), flush=True)
        elif what == "memory":
            print(torch.cuda.max_memory_allocated() if card else 0, flush=True)
        else:
            wait()
            wall, cpu = time.perf_counter(), time.process_time()
            parts[what]()
            wait()
            print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
