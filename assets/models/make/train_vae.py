"""Train the autoencoder: L1 + squared error + gradient error + a little KL, half of the pictures edited.

    python train_vae.py PICTURES WORK [--minutes 20] [--from FOLDER]

WORK/vae.pt is written every minute and resumed from; `--from` starts from an export's f16 weights instead.
At the end (or with --minutes 0) the latents are brought to zero mean and unit variance per channel by folding that
into `quant_conv` and `post_quant_conv`, and WORK/vae_done.pt is written.
"""
import argparse, copy, math, pathlib, time
import numpy as np
import torch
import torch.nn.functional as F
import families, parts, workers
from pictures import Pictures

p = argparse.ArgumentParser()
p.add_argument("pictures", type=pathlib.Path)
p.add_argument("work", type=pathlib.Path)
p.add_argument("--minutes", type=float, help="processor minutes of a process: the same on an idle and on a busy machine", default=20)
p.add_argument("--batch", type=int, default=8)
p.add_argument("--side", type=int, default=48)
p.add_argument("--lr", type=float, default=2e-3)
p.add_argument("--threads", type=int, default=1)
p.add_argument("--from", dest="start", type=pathlib.Path)
a = p.parse_args()
a.work.mkdir(parents=True, exist_ok=True)
torch.set_num_threads(a.threads)
rng = np.random.default_rng(time.time_ns() + workers.RANK)
pictures = Pictures(a.pictures)
names = list(families.FAMILIES)

vae = parts.make_vae()
if a.start:
    parts.load_part(vae, a.start / "vae/diffusion_pytorch_model.safetensors")
vae = vae.to(memory_format=torch.channels_last)
ema = copy.deepcopy(vae).eval()
opt = torch.optim.AdamW(vae.parameters(), lr=a.lr, betas=(0.9, 0.99), weight_decay=1e-4)
steps, seconds = 0, 0.0
if (a.work / "vae.pt").exists():
    s = torch.load(a.work / "vae.pt", weights_only=False)
    vae.load_state_dict(s["vae"]); ema.load_state_dict(s["ema"]); opt.load_state_dict(s["opt"])
    steps, seconds = s["steps"], s["seconds"]
workers.same(vae)
workers.same(ema)


def batch(n, side):
    out = []
    for _ in range(n):
        x = pictures.crop(side, rng)
        if rng.random() < 0.6:
            x = families.target(names[rng.integers(len(names))], x)
        out.append(x)
    return torch.from_numpy(np.stack(out)).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last) * 2 - 1


def save():
    torch.save({"vae": vae.state_dict(), "ema": ema.state_dict(), "opt": opt.state_dict(), "steps": steps, "seconds": seconds},
               a.work / "vae.tmp")
    (a.work / "vae.tmp").replace(a.work / "vae.pt")


begun, last, saved, errors = time.process_time(), time.process_time(), time.time(), []


def spent():
    return time.process_time() - begun


if steps == 0 and not a.start:
    x = torch.cat([batch(24, 48) for _ in range(2)])
    parts.warm_vae(vae, x)
    workers.same(vae)
    ema.load_state_dict(vae.state_dict())
    x = batch(24, 48)
    print("warm start, psnr", -10 * math.log10((vae.decode(vae.encode(x).latent_dist.mean).sample - x).pow(2).mean().item() / 4))
print("ready", flush=True)
go_on = a.minutes > 0
while go_on:
    progress = min(1, spent() / (a.minutes * 60))
    lr = a.lr * min(1, (steps + 1) / 60) * (0.04 + 0.96 * (0.5 + 0.5 * math.cos(math.pi * progress)))
    for g in opt.param_groups:
        g["lr"] = lr
    x = batch(a.batch, a.side)
    q = vae.encode(x).latent_dist
    z = q.mean + q.std * torch.randn_like(q.mean)
    y = vae.decode(z).sample
    e = y - x
    mse = e.pow(2).mean()
    grad = (e[..., 1:] - e[..., :-1]).abs().mean() + (e[..., 1:, :] - e[..., :-1, :]).abs().mean()
    kl = 0.5 * (q.mean.pow(2) + q.var - 1 - q.logvar).mean()
    loss = e.abs().mean() + 3 * mse + 0.25 * grad + 1e-4 * kl
    opt.zero_grad(set_to_none=True)
    loss.backward()
    go_on = workers.average_gradients(list(vae.parameters()), spent() < a.minutes * 60)
    torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
    opt.step()
    steps += 1
    with torch.no_grad():
        d = min(0.995, (1 + steps) / (10 + steps))
        for pe, pv in zip(ema.parameters(), vae.parameters()):
            pe.lerp_(pv, 1 - d)
    seconds += time.process_time() - last
    last = time.process_time()
    errors.append(mse.item())
    if workers.RANK:
        continue
    if steps % 20 == 0:
        print(f"{steps} steps {seconds:.0f} s psnr {-10 * math.log10(np.mean(errors[-20:]) / 4):.2f} kl {kl.item():.2f} "
              f"std {z.std().item():.2f} lr {lr:.1e}", flush=True)
    if time.time() - saved > 60:
        save()
        saved = time.time()
if workers.RANK:
    raise SystemExit
save()

with torch.no_grad():
    z = torch.cat([ema.encode(batch(8, 96)).latent_dist.mean for _ in range(24)])
    mean, std = z.mean((0, 2, 3)), z.std((0, 2, 3))
    q, r = ema.quant_conv, ema.post_quant_conv
    q.weight[:4] /= std[:, None, None, None]
    q.bias[:4] = (q.bias[:4] - mean) / std
    q.bias[4:] -= 2 * std.log()
    r.bias += (r.weight[:, :, 0, 0] @ mean)
    r.weight *= std[None, :, None, None]
    x = torch.cat([batch(8, 96) for _ in range(6)])
    q = ema.encode(x).latent_dist
    y = ema.decode(q.mean).sample.clamp(-1, 1)
    print("latent mean", mean.tolist(), "std", std.tolist(), "posterior std", q.std.mean().item(),
          f"psnr {(-10 * torch.log10((y - x).pow(2).mean((1, 2, 3)) / 4)).mean():.2f}")
torch.save({"vae": ema.state_dict(), "steps": steps, "seconds": seconds}, a.work / "vae_done.pt")
