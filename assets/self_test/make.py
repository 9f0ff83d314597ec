"""Makes self_test.safetensors: a small seeded network of the kinds of layers that the edit model is made of, its input and
its output, computed by diffusers in float64. `luxedit model check` runs the same network on the device that would edit.

    python assets/self_test/make.py        (diffusers 0.35.2, torch 2.6.0)
"""

from pathlib import Path

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D
from safetensors.torch import save_file

torch.manual_seed(20)
resnet = ResnetBlock2D(in_channels=16, out_channels=32, temb_channels=24, groups=8, eps=1e-5)
transformer = Transformer2DModel(
    num_attention_heads=4, attention_head_dim=8, in_channels=32, cross_attention_dim=24, norm_num_groups=8
)
upsample = Upsample2D(32, use_conv=True)
parts = {"resnet": resnet, "transformer": transformer, "upsample": upsample}

tensors = {}
for name, part in parts.items():
    for key, value in part.state_dict().items():
        # Biases and norms away from 0 and 1, so that leaving one out shows.
        value = value + 0.2 * torch.randn_like(value) if value.dim() == 1 else value
        tensors[f"{name}.{key}"] = value.half()
    part.load_state_dict({k: tensors[f"{name}.{k}"].double() for k in part.state_dict()})
    part.double().eval()

tensors["input"] = torch.randn(2, 16, 8, 6).half()
tensors["time"] = torch.randn(1, 24).half()
tensors["prompt"] = torch.randn(2, 5, 24).half()
with torch.no_grad():
    x = resnet(tensors["input"].double(), tensors["time"].double())
    x = transformer(x, encoder_hidden_states=tensors["prompt"].double()).sample
    x = upsample(x)
tensors["output"] = x.float()
save_file({k: v.contiguous() for k, v in tensors.items()}, Path(__file__).with_name("self_test.safetensors"))
print(x.shape, x.std())
