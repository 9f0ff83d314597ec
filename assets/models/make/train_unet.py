"""Train the denoiser and the text encoder on cached latents.

    python train_unet.py PICTURES WORK EXPORT [--minutes 40] [--from FOLDER]

Needs WORK/vae_done.pt, or `--from`: an export, whose f16 averaged weights are started from (with a fresh optimizer).
WORK/unet.pt is written every three minutes and resumed from, and the averaged weights are exported to EXPORT.
Each process keeps a pool of crops with the latents of all their targets and replaces a few of them all the time.
"""
import argparse, copy, math, pathlib, time
import numpy as np
import torch
import torch.nn.functional as F
from transformers import CLIPTokenizer
import families, parts, workers
from pictures import Pictures

p = argparse.ArgumentParser()
p.add_argument("pictures", type=pathlib.Path)
p.add_argument("work", type=pathlib.Path)
p.add_argument("export", type=pathlib.Path)
p.add_argument("--minutes", type=float, help="processor minutes of a process: the same on an idle and on a busy machine", default=40)
p.add_argument("--lr", type=float, default=5e-4)
p.add_argument("--threads", type=int, default=1)
p.add_argument("--pool", type=int, default=40, help="crops of each size that a process keeps")
p.add_argument("--sides", type=int, nargs="*", help="only these of the sizes: the smallest learns most in little time")
p.add_argument("--from", dest="start", type=pathlib.Path)
p.add_argument("--device", default="cpu")
p.add_argument("--bf16", action="store_true", help="activations in bfloat16, weights in f32: faster where the processor has it")
a = p.parse_args()
torch.set_num_threads(a.threads)
rng = np.random.default_rng(time.time_ns() + workers.RANK)
torch.manual_seed(int(rng.integers(2**31)))
pictures = Pictures(a.pictures)
names = list(families.FAMILIES)
# Side of the crops → (share of the steps, batch of a process).
SIZES = {64: (0.70, 16), 96: (0.22, 8), 128: (0.08, 4)}
if a.sides:
    SIZES = {s: v for s, v in SIZES.items() if s in a.sides}
DROP_TEXT, DROP_IMAGE, DROP_BOTH = 0.05, 0.05, 0.05

vae, history = parts.make_vae(), {"vae_steps": 0, "vae_seconds": 0.0}
tokenizer = parts.write_tokenizer(a.work / f"tokenizer{workers.RANK}")
unet, text = parts.make_unet(), parts.make_text(len(tokenizer))
if a.start:
    _, vae, unet, text = parts.load(a.start)
elif (a.work / "vae_done.pt").exists():
    s = torch.load(a.work / "vae_done.pt", weights_only=False)
    vae.load_state_dict(s["vae"])
    history = {"vae_steps": s["steps"], "vae_seconds": s["seconds"]}
else:
    raise SystemExit(f"{a.work}/vae_done.pt is missing: run train_vae.py first, or give --from")
steps, seconds = 0, 0.0
state = torch.load(a.work / "unet.pt", weights_only=False) if (a.work / "unet.pt").exists() else None
if state:
    vae.load_state_dict(state["vae"]); unet.load_state_dict(state["unet"]); text.load_state_dict(state["text"])
    steps, seconds, history = state["steps"], state["seconds"], state["history"]
vae = vae.eval().requires_grad_(False).to(a.device, memory_format=torch.channels_last)
unet = unet.to(a.device, memory_format=torch.channels_last)
text = text.to(a.device)
ema_unet, ema_text = copy.deepcopy(unet).eval(), copy.deepcopy(text).eval()
params = [*unet.parameters(), *text.parameters()]
averaged = [*ema_unet.parameters(), *ema_text.parameters()]
opt = torch.optim.AdamW(params, lr=a.lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
if state:
    ema_unet.load_state_dict(state["ema_unet"]); ema_text.load_state_dict(state["ema_text"]); opt.load_state_dict(state["opt"])
for m in (unet, text, ema_unet, ema_text):
    workers.same(m)
alphas = parts.make_scheduler().alphas_cumprod.to(a.device)


@torch.no_grad()
def entry(side):
    """(latents of a crop, mean and std of the latents of each target [families, 4, h, w])."""
    x = pictures.crop(side, rng)
    all_ = np.stack([x] + [families.target(f, x) for f in names])
    q = vae.encode(torch.from_numpy(all_).permute(0, 3, 1, 2).to(a.device, memory_format=torch.channels_last) * 2 - 1).latent_dist
    return q.mean[0].clone(), q.mean[1:].contiguous(), q.std[1:].contiguous()


pool = {s: [] for s in SIZES}


def refill(side, k=1):
    for _ in range(k):
        pool[side].append(entry(side))
    del pool[side][:max(0, len(pool[side]) - a.pool)]


def batch(side, n):
    source, target, prompts = [], [], []
    for _ in range(n):
        x, mean, std = pool[side][rng.integers(len(pool[side]))]
        f = int(rng.integers(len(names)))
        drop = rng.random()
        source.append(x * 0 if DROP_TEXT <= drop < DROP_TEXT + DROP_IMAGE + DROP_BOTH else x)
        prompts.append("" if drop < DROP_TEXT or DROP_TEXT + DROP_IMAGE <= drop < DROP_TEXT + DROP_IMAGE + DROP_BOTH
                       else families.phrase(names[f], rng))
        target.append(mean[f] + std[f] * torch.randn_like(mean[f]))
    ids = tokenizer(prompts, padding="max_length", max_length=parts.LENGTH, truncation=True, return_tensors="pt").input_ids
    return torch.stack(source), torch.stack(target), ids.to(a.device)


def save():
    torch.save({"vae": vae.state_dict(), "unet": unet.state_dict(), "text": text.state_dict(), "ema_unet": ema_unet.state_dict(),
                "ema_text": ema_text.state_dict(), "opt": opt.state_dict(), "steps": steps, "seconds": seconds,
                "history": history}, a.work / "unet.tmp")
    (a.work / "unet.tmp").replace(a.work / "unet.pt")
    parts.export(a.export, vae.cpu(), ema_unet, ema_text,
                 {"trained": {"unet_steps": steps, "unet_seconds": round(seconds), "processes": workers.COUNT, **history}})
    vae.to(a.device)


def noised(source, x0):
    """(t, input of the denoiser, v)."""
    t = torch.randint(0, 1000, (len(x0),), device=a.device)
    noise = torch.randn_like(x0)
    c, s = alphas[t].sqrt()[:, None, None, None], (1 - alphas[t]).sqrt()[:, None, None, None]
    return t, torch.cat([c * x0 + s * noise, source], 1).contiguous(memory_format=torch.channels_last), c * noise - s * x0


if steps == 0 and not a.start:
    first = min(SIZES)
    refill(first, 8)
    source, x0, ids = batch(first, 40)
    t, noisy, v = noised(source, x0)
    parts.warm_unet(unet, noisy, t, text(ids)[0], v)
    workers.same(unet)
    ema_unet.load_state_dict(unet.state_dict())
    source, x0, ids = batch(first, 40)
    t, noisy, v = noised(source, x0)
    with torch.no_grad():
        print("warm start, v-loss", F.mse_loss(unet(noisy, t, text(ids)[0]).sample, v).item(), "of", v.pow(2).mean().item())
sides, shares = list(SIZES), np.array([SIZES[s][0] for s in SIZES]) / sum(v[0] for v in SIZES.values())
print("ready", flush=True)
begun, last, saved, losses, samples, go_on, local = time.process_time(), time.process_time(), time.time(), [], 0, a.minutes > 0, 0


def spent():
    return time.process_time() - begun


while go_on:
    progress = spent() / (a.minutes * 60)
    lr = a.lr * min(1, (local + 1) / 80) * (1 if progress < 0.6 else 0.03 + 0.97 * (0.5 + 0.5 * math.cos(math.pi * min(1, (progress - 0.6) / 0.4))))
    for g in opt.param_groups:
        g["lr"] = lr
    # All processes take the same size at the same step.
    side = sides[np.random.default_rng(steps).choice(len(sides), p=shares)]
    n = SIZES[side][1]
    refill(side, 2 if len(pool[side]) < a.pool else int(rng.random() < 0.15))
    source, x0, ids = batch(side, n)
    t, noisy, wanted = noised(source, x0)
    embedding = text(ids)[0]
    with torch.autocast(torch.device(a.device).type, dtype=torch.bfloat16, enabled=a.bf16):
        v = unet(noisy, t, embedding).sample
    loss = F.mse_loss(v.float(), wanted)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    go_on = workers.average_gradients(params, spent() < a.minutes * 60)
    torch.nn.utils.clip_grad_norm_(params, 1.0)
    opt.step()
    steps += 1
    local += 1
    samples += n * workers.COUNT
    d = min(0.998, (5 + steps) / (40 + steps))
    with torch.no_grad():
        torch._foreach_lerp_(averaged, params, 1 - d)
    seconds += time.process_time() - last
    last = time.process_time()
    losses.append(loss.item())
    if workers.RANK:
        continue
    if steps % 20 == 0:
        print(f"{steps} steps {seconds:.0f} s v-loss {np.mean(losses[-60:]):.4f} lr {lr:.1e} {samples / spent():.1f} samples a processor second", flush=True)
    if time.time() - saved > 180:
        save()
        saved = time.time()
if not workers.RANK:
    save()
    print("done", steps, "steps", f"{seconds:.0f} s")
