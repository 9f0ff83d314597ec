"""The capture's cameras: arcs about the man's head, as a visitor with a hand-held camera would walk them."""

import numpy as np

SIZE = 512
FOV_DEG = 40.0
TARGET = np.array([0.0, 0.0, 1.60])
# (views, widest azimuth, elevation, distance): degrees and metres; azimuth 0 looks the man in the face.
ARCS = [
    (24, 100.0, 3.0, 1.12),
    (16, 85.0, 24.0, 1.16),
    (12, 75.0, -14.0, 1.14),
    (4, 45.0, 44.0, 1.22),
    (4, 48.0, 7.0, 0.82),
]


def focal():
    """In pixels."""
    return SIZE / 2 / np.tan(np.radians(FOV_DEG) / 2)


def cameras():
    """[(eye [3], target [3])] in world metres; z is up for all of them."""
    out = []
    for count, widest, elevation, distance in ARCS:
        for k, azimuth in enumerate(np.radians(np.linspace(-widest, widest, count))):
            # A gentle rise and fall, so that no two views of an arc share a height.
            rise = np.radians(elevation + 2.5 * np.sin(2.1 * k))
            along = np.array([np.sin(azimuth) * np.cos(rise), -np.cos(azimuth) * np.cos(rise), np.sin(rise)])
            target = TARGET + (0, 0, 0.02 * np.sin(1.3 * k))
            out.append((target + distance * along, target))
    return out


def camera_to_world(eye, target):
    """[4,4], OpenGL: x right, y up, z backward."""
    z = (eye - target) / np.linalg.norm(eye - target)
    x = np.cross([0.0, 0.0, 1.0], z)
    x /= np.linalg.norm(x)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = x, np.cross(z, x), z, eye
    return pose
