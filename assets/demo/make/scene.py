"""The demo's scene: a standing man (only head, shoulders and crossed arms fill the pictures) in a room open to the front.

World frame: metres, z up, the man at the origin facing -y. All materials are diffuse, so that a point has one colour from
everywhere, and all the light comes from one HDRI through the open front and the open top.
"""

import base64
import pathlib
import re

import mitsuba as mi
import numpy as np

import pictures
from meshes import boxes, diffuse, load, rectangle

WORK = pathlib.Path(__file__).parent / "work"
FURNITURE = WORK / "furniture"
LIGHT = "apartment"
# The turn of the HDRI about the vertical that puts its window to the front left of the man.
LIGHT_TURN_DEG = 84.0
HALF_WIDTH, BACK, FRONT, HEIGHT = 1.9, 1.25, -2.9, 3.7
RAIL = 0.98


def environment(to_world):
    """The HDRI as a Mitsuba light of a rotation `to_world` [3,3] from its y-up frame.

    DWAB compression left a few negative texels: clamped. What lies behind the walls or under the floor for nearly all of
    the room is black, so that few light samples are spent on what is hidden.
    """
    text = (WORK / "package/hdri" / f"{LIGHT}.exr.js").read_text()
    exr = WORK / f"{LIGHT}.exr"
    exr.write_bytes(base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)", text).group(1)))
    bitmap = mi.Bitmap(str(exr)).convert(mi.Bitmap.PixelFormat.RGB, mi.Struct.Type.Float32, False)
    light = np.maximum(np.array(bitmap), 0)
    height, width = light.shape[:2]
    theta = np.pi * (np.arange(height)[:, None] + 0.5) / height
    phi = 2 * np.pi * (np.arange(width)[None] + 0.5) / width
    local = np.stack([np.sin(phi) * np.sin(theta), np.cos(theta) + 0 * phi, -np.cos(phi) * np.sin(theta)], -1)
    _, y, z = np.moveaxis(local @ to_world.T, -1, 0)
    open_front = (y < -0.25) & (z > -0.5)
    open_top = z > 0.6
    light[~(open_front | open_top)] = 0
    matrix = np.eye(4)
    matrix[:3, :3] = to_world
    return {"type": "envmap", "bitmap": mi.Bitmap(light), "to_world": mi.ScalarTransform4f(matrix)}


def man():
    return load(FURNITURE / "reallusion", "male03", (0, 0, 0), centre=(22, 0, 12))


def walls(rng):
    ground, figure = (0.62, 0.68, 0.64), (0.50, 0.585, 0.555)
    upper, depth = HEIGHT - RAIL, BACK - FRONT
    shapes = []
    sides = [
        ("back", (-HALF_WIDTH, BACK), (2 * HALF_WIDTH, 0)),
        ("right", (-HALF_WIDTH, FRONT), (0, depth)),
        ("left", (HALF_WIDTH, BACK), (0, -depth)),
    ]
    for name, (x, y), (ux, uy) in sides:
        length = float(np.hypot(ux, uy))
        paper = pictures.wallpaper(rng, int(1400 * upper / length), 1400, round(length / 0.26), ground, figure)
        shapes.append(rectangle(f"{name}_paper", (x, y, RAIL), (ux, uy, 0), (0, 0, upper), diffuse(paper)))
        board = pictures.panels(rng, 300, 1400, round(length / 0.55), (0.86, 0.84, 0.79))
        shapes.append(rectangle(f"{name}_panels", (x, y, 0), (ux, uy, 0), (0, 0, RAIL), diffuse(board)))
    rail = 0.03
    low = [(-HALF_WIDTH, BACK - rail, RAIL - 0.04), (-HALF_WIDTH, FRONT, RAIL - 0.04), (HALF_WIDTH - rail, FRONT, RAIL - 0.04)]
    high = [(HALF_WIDTH, BACK, RAIL + 0.03), (-HALF_WIDTH + rail, BACK, RAIL + 0.03), (HALF_WIDTH, BACK, RAIL + 0.03)]
    shapes.append(boxes("rails", low, high, diffuse((0.72, 0.69, 0.62))))
    floor = pictures.planks(rng, 900, 1400, 26, 3, (0.66, 0.47, 0.30))
    shapes.append(rectangle("floor", (-HALF_WIDTH, FRONT - 1.5, 0), (2 * HALF_WIDTH, 0, 0), (0, depth + 1.5, 0), diffuse(floor)))
    shapes.append(rectangle("rug", (-1.1, -1.2, 0.006), (2.2, 0, 0), (0, 2.0, 0), diffuse(pictures.rug(rng, 700))))
    return shapes


def framed(name, centre, size, facing, picture, frame):
    """A print on a wall. `facing` is the wall's inward normal: (0,-1), (1,0) or (-1,0)."""
    nx, ny = facing
    along = np.array([-ny, nx, 0.0])
    inward = np.array([nx, ny, 0.0])
    centre, (w, h) = np.asarray(centre, float), size
    shapes = []
    outer = centre - along * (w / 2 + 0.05) - np.array([0, 0, h / 2 + 0.05])
    a, b = outer, outer + along * (w + 0.1) + np.array([0, 0, h + 0.1]) + inward * 0.03
    shapes.append(boxes(f"{name}_frame", np.minimum(a, b), np.maximum(a, b), diffuse(frame)))
    for margin, lift, material in ((0.015, 0.032, (0.90, 0.88, 0.83)), (-0.035, 0.034, picture)):
        corner = centre - along * (w / 2 + margin) - np.array([0, 0, h / 2 + margin]) + inward * lift
        u, v = along * (w + 2 * margin), np.array([0, 0, h + 2 * margin])
        shapes.append(rectangle(f"{name}_{margin}", corner, u, v, diffuse(material)))
    return shapes


def bookcase(rng, x0, x1, shelves_z, top, depth=0.28):
    """A case of oak against the back wall, its shelves full of books."""
    oak = diffuse(pictures.planks(rng, 256, 512, 3, 1, (0.55, 0.37, 0.22)))
    board, y0 = 0.03, BACK - depth
    low = [(x0, y0, 0), (x1 - board, y0, 0), (x0, y0, top - board), (x0, BACK - 0.02, 0)]
    high = [(x0 + board, BACK, top), (x1, BACK, top), (x1, BACK, top), (x1, BACK - 0.005, top)]
    for z in shelves_z:
        low.append((x0, y0 + 0.01, z - board))
        high.append((x1, BACK, z))
    shapes = [boxes("bookcase", low, high, oak)]
    cloth = [(0.55, 0.16, 0.14), (0.16, 0.28, 0.42), (0.20, 0.36, 0.26), (0.72, 0.56, 0.26), (0.80, 0.76, 0.66),
             (0.36, 0.22, 0.34), (0.74, 0.36, 0.18), (0.22, 0.24, 0.27), (0.30, 0.50, 0.52)]
    groups = {k: ([], [], []) for k in range(len(cloth))}
    ends = list(shelves_z[1:]) + [top]
    for z, end in zip(shelves_z, ends):
        x = x0 + board + 0.005
        while True:
            width = rng.uniform(0.022, 0.055)
            lean = 0.0
            if rng.uniform() < 0.08:
                x, lean = x + 0.01, rng.uniform(-0.12, -0.05)
            height = min(rng.uniform(0.20, 0.30), end - z - 0.05)
            advance = width + height * abs(np.sin(lean))
            if x + advance > x1 - board - 0.005:
                break
            if rng.uniform() < 0.04:
                x += rng.uniform(0.04, 0.10)
                continue
            k = int(rng.integers(len(cloth)))
            shift = height * abs(np.sin(lean)) if lean < 0 else 0.0
            y = y0 + rng.uniform(0.02, 0.05)
            groups[k][0].append((x + shift, y, z))
            groups[k][1].append((x + shift + width, y + 0.17, z + height))
            groups[k][2].append(lean)
            x += advance + 0.001
    for k, (a, b, turn) in groups.items():
        if a:
            material = diffuse(pictures.spine(rng, cloth[k]))
            shapes.append(boxes(f"books_{k}", a, b, material, np.array(turn)))
    return shapes


def wall_shelf(x_wall, inward, y0, y1, z):
    """A plank on a side wall, 0.24 m deep."""
    a, b = (x_wall, y0, z - 0.03), (x_wall + inward * 0.24, y1, z)
    return boxes(f"shelf_{z}_{y0}", np.minimum(a, b), np.maximum(a, b), diffuse((0.50, 0.34, 0.20)))


def furniture(rng):
    cc0 = FURNITURE / "blendswap-cc-0"
    shapes = bookcase(rng, -1.62, -0.42, (0.10, 0.45, 0.80, 1.13, 1.46, 1.79, 2.12), 2.44)
    dusk = pictures.landscape(rng, 380, 520, ((0.30, 0.42, 0.62), (0.95, 0.70, 0.48)), (0.55, 0.52, 0.62), (0.12, 0.20, 0.20))
    dawn = pictures.landscape(rng, 420, 320, ((0.55, 0.72, 0.80), (0.96, 0.86, 0.68)), (0.50, 0.64, 0.62), (0.18, 0.30, 0.22), (0.3, 0.35))
    warm = [(0.93, 0.89, 0.80), (0.80, 0.33, 0.22), (0.16, 0.30, 0.38), (0.88, 0.66, 0.28), (0.36, 0.50, 0.42)]
    cool = [(0.18, 0.26, 0.36), (0.86, 0.80, 0.68), (0.78, 0.42, 0.30), (0.42, 0.60, 0.64), (0.90, 0.72, 0.40)]
    walnut, black, oak = (0.28, 0.17, 0.10), (0.06, 0.06, 0.06), (0.58, 0.41, 0.24)
    shapes += framed("dusk", (0.62, BACK, 1.78), (0.78, 0.57), (0, -1), dusk, walnut)
    shapes += framed("warm", (1.42, BACK, 1.98), (0.36, 0.46), (0, -1), pictures.blocks(rng, 460, 360, warm), black)
    shapes += framed("dawn", (HALF_WIDTH, 0.35, 1.85), (0.42, 0.55), (-1, 0), dawn, oak)
    shapes += framed("cool", (HALF_WIDTH, -0.45, 1.72), (0.60, 0.44), (-1, 0), pictures.blocks(rng, 440, 600, cool), walnut)
    shapes += framed("lake", (HALF_WIDTH, -1.45, 1.80), (0.62, 0.46), (-1, 0),
                     pictures.landscape(rng, 360, 480, ((0.45, 0.40, 0.55), (0.93, 0.62, 0.50)), (0.44, 0.38, 0.50), (0.14, 0.13, 0.22), (0.5, 0.45)), black)
    shapes += framed("poster", (-HALF_WIDTH, -1.15, 1.80), (0.56, 0.76), (1, 0), pictures.blocks(rng, 760, 560, warm[::-1]), oak)
    boards = diffuse(pictures.planks(rng, 256, 512, 4, 2, (0.45, 0.29, 0.18)))
    shapes.append(boxes("sideboard", (0.15, BACK - 0.36, 0), (1.20, BACK, 0.80), boards))
    for z, y0, y1 in ((1.28, -0.75, 0.75), (1.72, -0.45, 0.95)):
        shapes.append(wall_shelf(-HALF_WIDTH, 1, y0, y1, z))
    x = -HALF_WIDTH + 0.12
    shapes += load(cc0, "cactus", (x, -0.48, 1.28))
    shapes += load(cc0, "littlePlant", (x + 0.01, 0.42, 1.72), scale=0.008)
    shapes += load(cc0, "littlePlant", (x + 0.01, 0.10, 1.28), scale=0.008, turn=1.0)
    shapes += load(cc0, "desklamp", (0.42, BACK - 0.19, 0.81), colours={"Material": (0.62, 0.45, 0.16)}, scale=0.012)
    shapes += load(cc0, "orchids", (1.02, BACK - 0.20, 0.80), scale=0.0085, turn=0.7)
    shapes += load(cc0, "plant", (1.54, 0.86, 0.55), scale=0.0092, turn=0.4)
    shapes.append(boxes("stand", (1.36, 0.68, 0), (1.72, 1.04, 0.55), diffuse((0.50, 0.34, 0.20))))
    return shapes


def scene():
    """The Mitsuba scene. The pictures' random numbers are seeded: it is the same every time."""
    rng = np.random.default_rng(7)
    shapes = man() + walls(rng) + furniture(rng)
    turn = np.radians(LIGHT_TURN_DEG)
    c, s = np.cos(turn), np.sin(turn)
    y_up_to_z_up = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    to_world = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ y_up_to_z_up
    parts = {"type": "scene", "light": environment(to_world)}
    parts |= {f"shape_{i}": shape for i, shape in enumerate(shapes)}
    return mi.load_dict(parts)
