"""The parts of the model and its folder: architecture, vocabulary, export, and starting again from an export."""
import collections, json, pathlib, re
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionInstructPix2PixPipeline, UNet2DConditionModel
from diffusers.models.resnet import ResnetBlock2D
from safetensors.torch import load_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
import families

LENGTH = 32         # tokens of a prompt, start and end included
MERGES = 640


def make_vae():
    # One group: narrow layers normalised in small groups cannot carry a picture's overall brightness.
    return AutoencoderKL(in_channels=3, out_channels=3, latent_channels=4, sample_size=128, block_out_channels=(16, 32, 64),
                         down_block_types=("DownEncoderBlock2D",) * 3, up_block_types=("UpDecoderBlock2D",) * 3,
                         layers_per_block=1, norm_num_groups=1, mid_block_add_attention=False, scaling_factor=1.0,
                         force_upcast=False)


def make_unet():
    return UNet2DConditionModel(sample_size=32, in_channels=8, out_channels=4, layers_per_block=1,
                                block_out_channels=(64, 128, 176), cross_attention_dim=128, attention_head_dim=4,
                                norm_num_groups=8,
                                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"))


def make_text(vocabulary):
    return CLIPTextModel(CLIPTextConfig(vocab_size=vocabulary, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
                                        num_attention_heads=4, max_position_embeddings=LENGTH, hidden_act="quick_gelu",
                                        projection_dim=128, pad_token_id=vocabulary - 1, bos_token_id=vocabulary - 2,
                                        eos_token_id=vocabulary - 1))


def make_scheduler():
    return DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000,
                         clip_sample=False, set_alpha_to_one=False, steps_offset=1, prediction_type="v_prediction",
                         timestep_spacing="trailing")


@torch.no_grad()
def calm(module):
    """Residual branches start at zero."""
    for m in module.modules():
        if isinstance(m, ResnetBlock2D):
            m.conv2.weight.zero_()
            m.conv2.bias.zero_()


def fit(conv, feature, wanted, rows):
    """Least squares of conv's first rows, 3 x 3 taps, on the features before it."""
    f = torch.nn.functional.unfold(feature, 3, padding=1).transpose(1, 2).reshape(-1, feature.shape[1] * 9)
    y = wanted.permute(0, 2, 3, 1).reshape(-1, wanted.shape[1])
    f = torch.cat([f, torch.ones(len(f), 1)], 1).double()
    a = f.T @ f
    w = torch.linalg.solve(a + 1e-4 * a.diagonal().mean() * torch.eye(len(a)), f.T @ y.double()).float()
    conv.weight[:rows] = w[:-1].T.reshape(rows, -1, 3, 3)
    conv.bias[:rows] = w[-1]


@torch.no_grad()
def warm_vae(vae, x):
    """Start the autoencoder as a colour picture at a quarter of the size and its bilinear enlargement.

    Colour runs through channels 0-2 of every layer's skip path; channels 3 and 4 hold a large constant and its negative,
    which make the single-group normalisations nearly linear. The last convolutions are fitted to `x`, [n, 3, h, w] in [-1, 1].
    """
    calm(vae)
    big, rest = 4.0, 0.3

    def begin(conv):
        conv.weight *= rest
        conv.weight[:5] = 0
        conv.bias[:5] = torch.tensor([0, 0, 0, big, -big])

    def carry(conv, taps):
        conv.weight *= rest
        conv.weight[:5] = 0
        conv.bias[:5] = 0
        for c in range(5):
            conv.weight[c, c] = taps if c < 3 else torch.zeros_like(taps).index_put_((torch.tensor(1), torch.tensor(1)), torch.tensor(1.0))

    def narrow_or_widen(resnet):
        if resnet.conv_shortcut is not None:
            w = resnet.conv_shortcut.weight
            w *= rest
            n = min(w.shape[:2])
            w[:n] = 0
            w[:n, :n, 0, 0] = torch.eye(n)
            resnet.conv_shortcut.bias.zero_()

    def linear(norm):
        norm.bias[:3] = 4

    e, d = vae.encoder, vae.decoder
    box = torch.zeros(3, 3)
    box[:2, :2] = 0.25
    begin(e.conv_in)
    for c in range(3):
        e.conv_in.weight[c, c, 1, 1] = 1
    for block in e.down_blocks:
        for r in block.resnets:
            narrow_or_widen(r)
        for s in block.downsamplers or []:
            carry(s.conv, box)
    linear(e.conv_norm_out)
    begin(d.conv_in)
    tent = torch.tensor([1.0, 2, 1]) / 4
    for block in d.up_blocks:
        for r in block.resnets:
            narrow_or_widen(r)
        for s in block.upsamplers or []:
            carry(s.conv, tent[:, None] * tent[None])
    linear(d.conv_norm_out)
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(len(conv.weight))[:, :, None, None])
        conv.bias.zero_()

    seen = {}
    hooks = [e.conv_out.register_forward_pre_hook(lambda m, i: seen.update(e=i[0])),
             d.conv_out.register_forward_pre_hook(lambda m, i: seen.update(d=i[0]))]
    to_latent = torch.tensor([[0.7, 0.7, 0.7], [2.0, 0.0, -2.0], [-1.2, 2.4, -1.2]])
    small = torch.nn.functional.avg_pool2d(x, 4)
    vae.encode(x)
    e.conv_out.weight[4:] = 0
    e.conv_out.bias[4:] = -5
    fit(e.conv_out, seen["e"], torch.einsum("lc,nchw->nlhw", to_latent, small), 3)
    for c in range(3):
        d.conv_in.weight[c, :3, 1, 1] = to_latent.inverse()[c]
    vae.decode(vae.encode(x).latent_dist.mean)
    fit(d.conv_out, seen["d"], x, 3)
    for h in hooks:
        h.remove()


@torch.no_grad()
def warm_unet(unet, noisy, t, embedding, v):
    """Start the denoiser as the best small filter of its two inputs, fitted to a batch: residual branches and attention
    add nothing yet, and both inputs run beside large constants (see `warm_vae`) to the last convolution."""
    calm(unet)
    for name, m in unet.named_modules():
        if name.endswith("proj_out"):
            m.weight.zero_()
            m.bias.zero_()
    signal, constant = [0, 1, 2, 3, 8, 9, 10, 11], {4: 4.0, 5: -4.0, 12: 4.0, 13: -4.0}
    unet.conv_in.weight *= 0.5
    unet.conv_in.weight[:16] = 0
    unet.conv_in.bias[:16] = 0
    for i, c in enumerate(signal):
        unet.conv_in.weight[c, i, 1, 1] = 1
    for c, k in constant.items():
        unet.conv_in.bias[c] = k
    last = unet.up_blocks[-1].resnets[-1].conv_shortcut
    width = last.weight.shape[0]
    last.weight *= 0.3
    last.weight[:16] = 0
    last.bias[:16] = 0
    last.weight[:16, width:width + 16, 0, 0] = torch.eye(16)
    for c in signal:
        unet.conv_norm_out.bias[c] = 4
    seen = {}
    hook = unet.conv_out.register_forward_pre_hook(lambda m, i: seen.update(f=i[0]))
    unet(noisy, t, embedding)
    fit(unet.conv_out, seen["f"], v, 4)
    hook.remove()


def byte_characters():
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, n = {b: chr(b) for b in keep}, 0
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + n)
            n += 1
    return table


def write_tokenizer(folder):
    """Byte-pair vocabulary of the phrasings, in CLIP's files."""
    words = collections.Counter()
    for family in families.FAMILIES:
        for text in families.phrases(family):
            words.update(re.findall(r"'s|'t|'re|'ve|'m|'ll|'d|[a-z]+|[0-9]|[^\sa-z0-9]+", text.lower()))
    table = byte_characters()
    pieces = {w: [table[b] for b in w.encode()] for w in words}
    for p in pieces.values():
        p[-1] += "</w>"
    merges = []
    while len(merges) < MERGES:
        pairs = collections.Counter()
        for w, p in pieces.items():
            for pair in zip(p, p[1:]):
                pairs[pair] += words[w]
        if not pairs:
            break
        best = max(pairs, key=lambda k: (pairs[k], k))
        merges.append(best)
        for p in pieces.values():
            i = 0
            while i < len(p) - 1:
                if (p[i], p[i + 1]) == best:
                    p[i:i + 2] = [p[i] + p[i + 1]]
                i += 1
    single = list(table.values())
    vocabulary = single + [c + "</w>" for c in single]
    for a, b in merges:
        if a + b not in vocabulary:
            vocabulary.append(a + b)
    vocabulary += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({p: i for i, p in enumerate(vocabulary)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=LENGTH).save_pretrained(folder)
    return CLIPTokenizer.from_pretrained(folder)


def count(m):
    return sum(p.numel() for p in m.parameters())


def export(folder, vae, unet, text, extra=None):
    """The diffusers folder, f16. The modules are left in f32."""
    folder = pathlib.Path(folder)
    tokenizer = write_tokenizer(folder / "tokenizer")
    half = []
    for make, m in ((make_vae, vae), (make_unet, unet), (lambda: make_text(len(tokenizer)), text)):
        h = make()
        h.load_state_dict(m.state_dict())
        half.append(h.half())
    vae, unet, text = half
    StableDiffusionInstructPix2PixPipeline(vae=vae, text_encoder=text, tokenizer=tokenizer, unet=unet, scheduler=make_scheduler(),
                                           safety_checker=None, feature_extractor=None, requires_safety_checker=False
                                           ).save_pretrained(folder, safe_serialization=True)
    words = sorted({w for f in families.FAMILIES for t in families.phrases(f) for w in re.findall(r"[a-z]+", t.lower())})
    (folder / "families.json").write_text(json.dumps(
        {"families": {f: {"example": families.example(f), "phrasings": families.FAMILIES[f][1]} for f in families.FAMILIES},
         "subjects": families.SUBJECTS, "words": words, **(extra or {})}, indent=1))


def load_part(module, file):
    module.load_state_dict({k: v.float() for k, v in load_file(file).items()})
    return module


def load(folder):
    """(tokenizer, vae, unet, text) of an export, f32."""
    folder = pathlib.Path(folder)
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    return (tokenizer, load_part(make_vae(), folder / "vae/diffusion_pytorch_model.safetensors"),
            load_part(make_unet(), folder / "unet/diffusion_pytorch_model.safetensors"),
            load_part(make_text(len(tokenizer)), folder / "text_encoder/model.safetensors"))


if __name__ == "__main__":
    # A random-weight folder, for checking loaders: `python parts.py OUT`.
    import sys
    torch.manual_seed(0)
    t = write_tokenizer(pathlib.Path(sys.argv[1]) / "tokenizer")
    vae, unet, text = make_vae(), make_unet(), make_text(len(t))
    print("vocabulary", len(t), "vae", count(vae), "unet", count(unet), "text", count(text))
    export(sys.argv[1], vae, unet, text)
