"""Triangle meshes for Mitsuba: Sweet Home 3D's .obj files, and boxes and rectangles with texture coordinates.

World frame: metres, z up, x to the sitter's left, and the sitter faces -y.
"""

import pathlib

import mitsuba as mi
import numpy as np


def mesh(name, positions, bsdf, normals=None, uvs=None):
    """A Mitsuba mesh of unshared corners: positions [3n,3], normals [3n,3], uvs [3n,2], every three a triangle."""
    props = mi.Properties()
    props["bsdf"] = bsdf
    count = len(positions)
    shape = mi.Mesh(name, count, count // 3, props, normals is not None, uvs is not None)
    params = mi.traverse(shape)
    params["vertex_positions"] = np.ascontiguousarray(positions, np.float32).ravel()
    params["faces"] = np.arange(count, dtype=np.uint32)
    if normals is not None:
        params["vertex_normals"] = np.ascontiguousarray(normals, np.float32).ravel()
    if uvs is not None:
        # Mitsuba counts v from a picture's top.
        flipped = np.asarray(uvs) * (1, -1) + (0, 1)
        params["vertex_texcoords"] = np.ascontiguousarray(flipped, np.float32).ravel()
    params.update()
    return shape


def read_obj(path):
    """{material: (positions [3n,3], normals [3n,3] or None, uvs [3n,2])} in the file's own axes (y up, cm).

    These files list most faces twice, once for each winding; the second listing is left out.
    """
    v, vt, vn, corners, seen, material = [], [], [], {}, set(), None
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        word = line.split()
        if not word:
            continue
        if word[0] == "v":
            v.append([float(x) for x in word[1:4]])
        elif word[0] == "vt":
            vt.append([float(x) for x in word[1:3]])
        elif word[0] == "vn":
            vn.append([float(x) for x in word[1:4]])
        elif word[0] == "usemtl":
            material = word[1]
        elif word[0] == "f":
            face = [[int(i) if i else 0 for i in (w.split("/") + ["", ""])[:3]] for w in word[1:]]
            key = tuple(sorted(tuple(v[c[0] - 1]) for c in face))
            if key in seen:
                continue
            seen.add(key)
            for i in range(1, len(face) - 1):
                corners.setdefault(material, []).extend([face[0], face[i], face[i + 1]])
    v, vt, vn = np.array(v), np.array(vt or [[0, 0]]), np.array(vn)
    out = {}
    for material, c in corners.items():
        c = np.array(c) - 1
        normals = None
        if len(vn):
            normals = vn[c[:, 2]]
            normals = normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        out[material] = v[c[:, 0]], normals, vt[c[:, 1]]
    return out


def read_mtl(path):
    """{material: (Kd [3], name of its map_Kd or None)}."""
    out, name = {}, None
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        word = line.split()
        if not word:
            continue
        if word[0] == "newmtl":
            name = word[1]
            out[name] = (0.8, 0.8, 0.8), None
        elif word[0] == "Kd":
            out[name] = tuple(float(x) for x in word[1:4]), out[name][1]
        elif word[0] == "map_Kd":
            out[name] = out[name][0], word[1]
    return out


def place(points, origin, scale=0.01, turn=0.0):
    """Points of a y-up file, turned about its up axis (radians), scaled and put at a world position."""
    x, y, z = np.asarray(points).T
    c, s = np.cos(turn), np.sin(turn)
    return np.stack([c * x - s * -z, s * x + c * -z, y], -1) * scale + np.asarray(origin)


def load(folder, name, origin, turn=0.0, scale=0.01, centre=(0, 0, 0), colours=None):
    """The shapes of one of the furniture packages' models, diffuse, two-sided. `colours` replaces materials' Kd."""
    folder = pathlib.Path(folder) / name
    materials = read_mtl(folder / f"{name}.mtl")
    shapes = []
    for material, (positions, normals, uvs) in read_obj(folder / f"{name}.obj").items():
        colour, texture = materials[material]
        colour = (colours or {}).get(material, colour)
        if texture:
            reflectance = {"type": "bitmap", "filename": str(folder / texture)}
        else:
            reflectance = {"type": "rgb", "value": list(colour)}
        shapes.append(
            mesh(
                f"{name}_{material}",
                place(positions - np.asarray(centre), origin, scale, turn),
                diffuse(reflectance),
                None if normals is None else place(normals, (0, 0, 0), 1.0, turn),
                uvs,
            )
        )
    return shapes


def diffuse(reflectance):
    """A two-sided diffuse material of a colour [3], a picture (float [h,w,3], sRGB values) or a Mitsuba texture."""
    if isinstance(reflectance, np.ndarray):
        bitmap = mi.Bitmap((np.clip(reflectance, 0, 1) * 255 + 0.5).astype(np.uint8))
        reflectance = {"type": "bitmap", "bitmap": bitmap}
    elif not isinstance(reflectance, dict):
        reflectance = {"type": "rgb", "value": list(reflectance)}
    return mi.load_dict({"type": "twosided", "bsdf": {"type": "diffuse", "reflectance": reflectance}})


def rectangle(name, corner, u, v, material):
    """A parallelogram from a corner along the vectors u and v; the picture's left bottom lies at the corner."""
    corner, u, v = (np.asarray(a, float) for a in (corner, u, v))
    quad = np.array([corner, corner + u, corner + u + v, corner, corner + u + v, corner + v])
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]])
    return mesh(name, quad, material, uvs=uv)


def boxes(name, low, high, material, turns=None):
    """Axis-aligned boxes from low [n,3] to high [n,3] as one mesh; each face carries the whole picture.

    `turns` [n] leans each box sideways about its lower edge (radians, in the x-z plane).
    """
    low, high = np.atleast_2d(low).astype(float), np.atleast_2d(high).astype(float)
    positions, uvs = [], []
    for axis in range(3):
        a, b = [k for k in range(3) if k != axis]
        for end in (low, high):
            quad = np.repeat(low[:, None], 4, 1)
            quad[:, :, axis] = end[:, None, axis]
            quad[:, 1:3, a] = high[:, None, a]
            quad[:, 2:4, b] = high[:, None, b]
            positions.append(quad[:, [0, 1, 2, 0, 2, 3]])
            uvs.append(np.tile([[0, 0], [1, 0], [1, 1], [0, 0], [1, 1], [0, 1]], (len(low), 1, 1)))
    positions = np.stack(positions, 1)
    if turns is not None:
        c, s = np.cos(turns)[:, None, None], np.sin(turns)[:, None, None]
        x = positions[..., 0] - low[:, None, None, 0]
        z = positions[..., 2] - low[:, None, None, 2]
        positions[..., 0] = low[:, None, None, 0] + c * x + s * z
        positions[..., 2] = low[:, None, None, 2] - s * x + c * z
    return mesh(name, positions.reshape(-1, 3), material, uvs=np.concatenate(uvs, 1).reshape(-1, 2))
