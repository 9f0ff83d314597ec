"""nerfstudio's half of nerfacto.rs: takes as many steps as each line of stdin says, on the rays that the other side draws;
prints wall and processor seconds and the mean squared difference."""
import json
import math
import sys
import time

import nerfstudio_alone  # noqa: F401  (first)
import numpy as np
import torch
from nerfstudio.cameras.camera_optimizers import CameraOptimizerConfig
from nerfstudio.cameras.rays import RayBundle
from nerfstudio.data.scene_box import SceneBox
from nerfstudio.models.nerfacto import NerfactoModelConfig


def pcg(value):
    state = (value * np.uint64(747796405) + np.uint64(2891336453)) & np.uint64(0xFFFFFFFF)
    word = (((state >> ((state >> np.uint64(28)) + np.uint64(4))) ^ state) * np.uint64(277803737)) & np.uint64(0xFFFFFFFF)
    return (word >> np.uint64(22)) ^ word


def draw(step, seed, count, purpose):
    """`random` of shaders/luxen/random.wgsl, for all rays of a step."""
    key = pcg((np.uint64(purpose) + pcg(np.uint64(step) ^ pcg(np.uint64(seed)))) & np.uint64(0xFFFFFFFF))
    bits = pcg(np.arange(count, dtype=np.uint64) ^ key) >> np.uint64(8)
    return bits.astype(np.float32) / np.float32(1 << 24)


folder, threads = sys.argv[1], int(sys.argv[2])
torch.set_num_threads(threads)
torch.manual_seed(0)
run = json.load(open(f"{folder}/run.json"))
config, cameras = run["config"], run["cameras"]
width, height = cameras[0]["size"]
assert all(c["size"] == [width, height] for c in cameras), "photos of one size are needed"
photos = np.fromfile(f"{folder}/photos.bin", np.uint8).reshape(len(cameras), height, width, 3)
poses = torch.tensor([c["camera_to_world"] for c in cameras]).view(-1, 4, 4)
lenses = torch.tensor([c["intrinsics"] for c in cameras])
grid = config["grid"]
hidden = {"small": 32, "full": 64}[config["size"]]
model = NerfactoModelConfig(
    implementation="torch",
    near_plane=config["near"],
    far_plane=config["far"],
    num_levels=grid["levels"],
    base_res=grid["base_resolution"],
    max_res=grid["max_resolution"],
    log2_hashmap_size=grid["log2_entries"],
    hidden_dim=hidden,
    hidden_dim_color=hidden,
    num_proposal_samples_per_ray=tuple(config["samples"][:2]),
    num_nerf_samples_per_ray=config["samples"][2],
    proposal_net_args_list=[
        {
            "hidden_dim": 16,
            "num_levels": p["levels"],
            "base_res": p["base_resolution"],
            "max_res": p["max_resolution"],
            "log2_hashmap_size": p["log2_entries"],
            "use_linear": False,
        }
        for p in config["proposals"]
    ],
    proposal_weights_anneal_max_num_iters=config["anneal_steps"],
    proposal_warmup=config["proposal_warmup"],
    average_init_density=config["average_density"],
    camera_optimizer=CameraOptimizerConfig(mode="off"),
).setup(scene_box=SceneBox(aabb=torch.tensor([[-1.0] * 3, [1.0] * 3])), num_train_data=len(cameras), metadata={})
model.train()
set_anneal, count_step = [c.func for c in model.get_training_callbacks(None)]
optimizers = [
    torch.optim.Adam(group, lr=1e-2, eps=1e-15)
    for name, group in model.get_param_groups().items()
    if name in ("fields", "proposal_networks")
]


def below(count, *key):
    return np.minimum((draw(*key) * np.float32(count)).astype(np.int64), count - 1)


def take_step(step):
    rays, seed, rate = config["rays"], config["seed"], config["learning_rate"]
    view, x, y = [below(n, step, seed, rays, k) for k, n in enumerate([len(cameras), width, height])]
    target = torch.from_numpy(photos[view, y, x].astype(np.float32) / 255)
    lens, pose = lenses[view], poses[view]
    at = torch.stack([torch.from_numpy(x), torch.from_numpy(y)], -1) + 0.5
    toward = torch.cat([(at - lens[:, 2:]) / lens[:, :2], torch.ones(rays, 1)], -1)
    toward = torch.einsum("nij,nj->ni", pose[:, :3, :3], toward)
    bundle = RayBundle(
        origins=pose[:, :3, 3],
        directions=toward / toward.norm(dim=-1, keepdim=True),
        pixel_area=torch.ones(rays, 1),
        camera_indices=torch.from_numpy(view)[:, None],
    )
    share = min(step / max(rate["steps"], 1), 1)
    lr = math.exp(math.log(rate["start"]) * (1 - share) + math.log(rate["end"]) * share)
    set_anneal(step)
    for optimizer in optimizers:
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
    outputs = model(bundle)
    batch = {"image": target}
    losses = model.get_loss_dict(outputs, batch, model.get_metrics_dict(outputs, batch))
    sum(losses.values()).backward()
    for optimizer in optimizers:
        optimizer.step()
    count_step(step)
    return losses["rgb_loss"].item()


done = 0
for line in sys.stdin:
    count = int(line)
    wall, cpu = time.perf_counter(), time.process_time()
    squared = [take_step(done + i) for i in range(count)]
    done += count
    print(time.perf_counter() - wall, time.process_time() - cpu, sum(squared) / count, flush=True)
