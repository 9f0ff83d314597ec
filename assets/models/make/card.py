"""Writes MODEL_CARD.md of an export from the figures of evaluate.py and evaluate_scene.py:
`python card.py MODEL FIGURES.json [SCENE_FIGURES.json …]`."""
import json, pathlib, sys
import families

model, figures = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
trained = json.loads((model / "families.json").read_text())["trained"]
m, s = figures["mean"], figures["settings"]
size = sum(p.stat().st_size for p in model.rglob("*") if p.is_file() and p.name != "MODEL_CARD.md") / 1e6
rows = "\n".join(f"| {f} | {families.example(f)} | {r['edit']:.1f} | {'–' if r['unedited'] > 60 else format(r['unedited'], '.1f')} | {r['ceiling']:.1f} | {100 * r['own']:.0f} % |"
                 for f, r in figures["families"].items())
monotone = ""
if "change_text" in m:
    show = lambda d: ", ".join(f"{k}: {v:.3f}" for k, v in d.items())
    monotone = (f"\nRoot mean square change of the picture against text guidance ({show(m['change_text'])}) and against image guidance "
                f"({show(m['change_image'])}).\n")


def scene_table(path):
    figures_3d = json.loads(pathlib.Path(path).read_text())
    entry = lambda name, r: (f"| {name} | {r['edited']:.1f} | {r['unedited']:.1f} | {r['single']:.1f} | {r['spread_edited']:.1f} | "
                             f"{r['spread_single']:.1f} | {r['spread_target']:.1f} |")
    flags = " ".join(figures_3d["flags"])
    return f"""
`{flags}`, {figures_3d['held_out']} held-out views at {figures_3d['side'][0]} × {figures_3d['side'][1]}:

| family | edited scene | unedited scene | single pictures | spread, scene | spread, single | spread, targets |
| --- | --- | --- | --- | --- | --- | --- |
{entry("mean", figures_3d["mean"])}
{chr(10).join(entry(f, r) for f, r in figures_3d["families"].items())}
"""


scene = ""
if len(sys.argv) > 3:
    scene = """
## In a scene

`luxedit edit` on the demo capture without a graphics card, with what the model recommends there and the flags named
below, by `evaluate_scene.py`: PSNR in dB against the procedural target of the held-out photos, of the edited scene's
renders, of the unedited scene's, and of single-picture edits of these photos; and the spread of a surface point's color
over the held-out views (standard deviation, 0 to 255), in the edited scene, in the single-picture edits, and in the
targets.
""" + "".join(map(scene_table, sys.argv[3:]))
(model / "MODEL_CARD.md").write_text(f"""# luxedit-small

An instruction-editing latent diffusion model of the kind of InstructPix2Pix (Brooks et al. 2023), small enough to be
carried by luxedit: {size:.1f} MB in f16. The folder is a diffusers folder and loads with
`StableDiffusionInstructPix2PixPipeline.from_pretrained`. It knows the {len(families.FAMILIES)} instruction families below and no others;
`families.json` lists their phrasings and every word that it has seen.

| part | what |
| --- | --- |
| autoencoder | `AutoencoderKL`, a quarter of the size in 4 latent channels, widths 16/32/64, one normalisation group, no attention |
| denoiser | `UNet2DConditionModel`, 8 input channels, widths 64/128/176, one layer a block, cross-attention on the two lower levels |
| text encoder | `CLIPTextModel`, 2 layers of 128, byte-pair vocabulary of the phrasings, at most 32 tokens |
| scheduler | DDIM, scaled-linear betas of Stable Diffusion, v-prediction, trailing timesteps |

## Training

Autoencoder: {trained['vae_steps']} steps in
{trained['vae_seconds']:.0f} processor seconds; denoiser and text encoder: {trained['unet_steps']} steps in {trained['unet_seconds']} processor
seconds, on two shared cores without a GPU. The commands that continue it are in `../make/README.md`.

Pairs are a picture crop, a phrasing, and the crop edited by the family's procedural target (`../make/families.py`, fixed
before the training). Prompt, picture, or both are dropped in 5 % of the pairs each. The autoencoder starts from a fitted
linear codec, the denoiser from a fitted linear filter (`../make/parts.py`).

Pictures: scikit-image's CC0 and public-domain pictures; the CC0 and CC BY 4.0 photographs of Debian's
`lomiri-wallpapers-16.04` (by Aitzol Berasategi, Trevor "Freespace", Clemens Engelhardt, Abhishek Mudgal, Jakub Mede); views
of the CC0 HDRIs of npm `@pmndrs/assets`; renders of figures by Reallusion (CC BY 3.0 US) and of CC0 objects from Debian's
`sweethome3d-furniture`, without the figure of the demo capture; gradients and discs. No capture of the demo.

## Figures

{len(next(iter(figures['families'].values()))['nearest'])} crops that the training never saw, {s['side']} pixels, {s['steps']} DDIM steps, text guidance {s['text']}, image guidance {s['image']}.
PSNR in dB against the procedural target, of the edit, of the unedited picture, and of the autoencoder's round trip of the
target (the ceiling); and how often the edit is nearer to its own family's target than to any other's.

| | edit | unedited | ceiling | own family |
| --- | --- | --- | --- | --- |
| mean of the families that change something | {m['edit']:.1f} | {m['unedited']:.1f} | {m['ceiling']:.1f} | {100 * m['own']:.0f} % |

| family | asked for as | edit | unedited | ceiling | own family |
| --- | --- | --- | --- | --- | --- |
{rows}
{monotone}{scene}
## Limits

Whole pictures only: it recolours and retextures what it sees and neither adds nor removes things, and it cannot single
out one object. Trained at 64 to 128 pixels. Use low text guidance (about {s['text']}); the strengths that suit InstructPix2Pix
overdo it. Words outside `families.json` have no effect that anyone chose.

## Licence

The weights are under luxedit's own licence (MIT or Apache-2.0). Credits for the training pictures: above.
""")
