"""PyTorch's half of full_size.rs: times the part named on each line of stdin, prints wall and processor seconds."""
import sys
import time

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel

model, side, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(threads)
load = dict(variant="fp16", torch_dtype=torch.float32)
unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", **load).eval()
vae = AutoencoderKL.from_pretrained(model, subfolder="vae", **load).eval()
latent = side // 8
sample, prompt = torch.randn(3, 8, latent, latent), torch.randn(3, 77, 768)
picture, latents = torch.randn(1, 3, side, side), torch.randn(1, 4, latent, latent)
parts = {
    "unet": lambda: unet(sample, torch.tensor(500), prompt),
    "vae.encode": lambda: vae.encode(picture).latent_dist.mode(),
    "vae.decode": lambda: vae.decode(latents),
}
with torch.inference_mode():
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        parts[line.strip()]()
        print(time.perf_counter() - wall, time.process_time() - cpu, flush=True)
