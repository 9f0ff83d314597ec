"""The targets that tests/bundled.rs compares with: `python fixture.py CAPTURE_PHOTO OUT_FOLDER`."""
import pathlib, sys
import numpy as np
from PIL import Image
import families

photo, out = Image.open(sys.argv[1]).convert("RGB"), pathlib.Path(sys.argv[2])
x = np.asarray(photo.resize((photo.width // 4, photo.height // 4), Image.BOX), np.float32) / 255
out.mkdir(parents=True, exist_ok=True)
for f in ("unchanged", "marble", "gold", "night", "pencil", "purple"):
    Image.fromarray((families.target(f, x) * 255 + 0.5).astype(np.uint8)).save(out / f"{f}.png")
