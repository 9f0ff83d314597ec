"""Sampling from an export: the edit of a picture from pure noise, as luxedit and diffusers make it."""
import numpy as np
import torch
import parts


class Model:
    def __init__(self, folder, steps=10, text=1.5, image=1.5, threads=2):
        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.tokenizer, self.vae, self.unet, self.text = parts.load(folder)
        for m in (self.vae, self.unet, self.text):
            m.eval()
        self.unet = self.unet.to(memory_format=torch.channels_last)
        self.scheduler = parts.make_scheduler()
        self.steps, self.text_guidance, self.image_guidance = steps, text, image

    def embed(self, prompts):
        ids = self.tokenizer(prompts, padding="max_length", max_length=parts.LENGTH, truncation=True, return_tensors="pt").input_ids
        return self.text(ids)[0]

    def encode(self, x):
        """Latents of pictures [n, h, w, 3] in [0, 1]."""
        return self.vae.encode(torch.from_numpy(np.ascontiguousarray(x)).permute(0, 3, 1, 2).float() * 2 - 1).latent_dist.mean

    def decode(self, z):
        return (self.vae.decode(z).sample * 0.5 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()

    def edit(self, x, prompts, text_guidance=None, image_guidance=None, seed=0):
        """x [n, h, w, 3] in [0, 1], one prompt each."""
        text_guidance = self.text_guidance if text_guidance is None else text_guidance
        image_guidance = self.image_guidance if image_guidance is None else image_guidance
        condition = self.encode(x)
        e, none = self.embed(prompts), self.embed([""] * len(x))
        z = torch.randn(condition.shape, generator=torch.Generator().manual_seed(seed))
        self.scheduler.set_timesteps(self.steps)
        for t in self.scheduler.timesteps:
            rows = torch.cat([torch.cat([z, condition], 1), torch.cat([z, condition], 1), torch.cat([z, condition * 0], 1)])
            v = self.unet(rows.contiguous(memory_format=torch.channels_last), t, torch.cat([e, none, none])).sample
            both, image, nothing = v.chunk(3)
            v = nothing + text_guidance * (both - image) + image_guidance * (image - nothing)
            z = self.scheduler.step(v, t, z).prev_sample
        return self.decode(z)
