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
