"""A sheet of every family's target for one picture: `python sheet_targets.py PICTURE OUT.png [side]`."""
import sys
import numpy as np
from PIL import Image
import families

picture, out = sys.argv[1:3]
side = int(sys.argv[3]) if len(sys.argv) > 3 else 128
im = Image.open(picture).convert("RGB")
s = min(im.size)
im = im.crop(((im.width - s) // 2, 0, (im.width + s) // 2, s)).resize((side, side), Image.LANCZOS)
x = np.asarray(im, np.float32) / 255
tiles = [families.target(f, x) for f in families.FAMILIES]
columns = 8
tiles += [np.ones_like(x)] * (-len(tiles) % columns)
rows = [np.concatenate(tiles[i:i + columns], 1) for i in range(0, len(tiles), columns)]
Image.fromarray((np.concatenate(rows) * 255 + 0.5).astype(np.uint8)).save(out)
