"""Several single-threaded processes that average gradients: on a shared machine far faster than threads, which wait for
each other in every operation. `torchrun --nproc-per-node 2 SCRIPT …` starts them; without torchrun there is one."""
import os
import torch
import torch.distributed as dist

COUNT = int(os.environ.get("WORLD_SIZE", 1))
RANK = int(os.environ.get("RANK", 0))
if COUNT > 1:
    dist.init_process_group("gloo")


def same(module):
    """Every process takes the first one's weights."""
    if COUNT > 1:
        for p in module.state_dict().values():
            dist.broadcast(p, 0)


def average_gradients(params, go_on=True):
    """Averages in place; False when the first process wants to stop."""
    if COUNT == 1:
        return go_on
    grads = [p.grad for p in params if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in grads] + [torch.tensor([float(go_on or RANK > 0)])])
    dist.all_reduce(flat)
    flat /= COUNT
    at = 0
    for g in grads:
        n = g.numel()
        g.copy_(flat[at:at + n].view_as(g))
        at += n
    return flat[-1].item() == 1
