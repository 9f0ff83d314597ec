"""nerfstudio's models without what they import and do not use: viewers, writers, weights of a metric. Import this first."""
import importlib.machinery
import importlib.util
import sys
import types
import warnings
from unittest.mock import MagicMock

warnings.filterwarnings("ignore")


class Absent(types.ModuleType):
    """Stands for a package that nerfstudio imports and its nerfacto does not use."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return MagicMock(name=name)


class AbsentFinder:
    def __init__(self, names):
        self.names = names

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Absent(spec.name)

    def exec_module(self, module):
        pass


UNUSED = ("appdirs av comet_ml cv2 gdown gsplat h5py matplotlib mediapy msgpack msgpack_numpy nuscenes open3d plotly "
          "pymeshlab pyquaternion pytorch_msssim rawpy splines tensorboard tensorly torchvision trimesh viser wandb "
          "xatlas").split()
sys.meta_path.append(AbsentFinder({n for n in UNUSED if importlib.util.find_spec(n) is None}))
sys.modules["torch.utils.tensorboard"] = Absent("torch.utils.tensorboard")

import torch  # noqa: E402
import torchmetrics.image.lpip as lpip  # noqa: E402

# Its weights would be fetched, for pictures of the evaluation.
lpip.LearnedPerceptualImagePatchSimilarity = lambda **_: torch.nn.Identity()
