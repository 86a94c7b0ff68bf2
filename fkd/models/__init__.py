"""Networks by name: `create_model("heatmap", 68, 128)`."""

from __future__ import annotations

import inspect

import torch

from fkd.errors import FkdError
from fkd.models.base import KeypointNetwork, Output, norm_to_px, px_to_norm
from fkd.models.cnn import Cnn
from fkd.models.cnn5 import Cnn5
from fkd.models.heatmap import HeatmapNetwork
from fkd.models.mean_shape import MeanShape
from fkd.models.mlp import Mlp
from fkd.models.resnet import ResNet

MODELS: dict[str, type[KeypointNetwork]] = {
    "heatmap": HeatmapNetwork,
    "resnet": ResNet,
    "cnn5": Cnn5,
    "cnn": Cnn,
    "mlp": Mlp,
    "mean_shape": MeanShape,
}

__all__ = ["MODELS", "KeypointNetwork", "Output", "check_model", "create_model", "norm_to_px", "px_to_norm"]


def create_model(name: str, keypoints: int, input_size: int, /, **arguments: object) -> KeypointNetwork:
    """A network with fresh parameters; `FkdError` for an unknown name or argument."""
    if name not in MODELS:
        raise FkdError(f"Unknown network {name!r}; known are {', '.join(MODELS)}.")
    try:
        return MODELS[name](keypoints, input_size, **arguments)
    except TypeError as error:
        known = list(inspect.signature(MODELS[name]).parameters)[2:]
        if unknown := [argument for argument in arguments if argument not in known]:
            takes = f"takes {', '.join(known)}" if known else "takes none"
            raise FkdError(f"The network {name!r} has no argument {unknown[0]!r}; it {takes}.") from None
        raise FkdError(f"The network {name!r} cannot be made with {arguments}: {error}.") from None


def check_model(name: str, keypoints: int, input_size: int, /, **arguments: object) -> None:
    """`FkdError` for a network that cannot be made, or cannot take crops of its size; takes no memory."""
    try:
        with torch.device("meta"):
            create_model(name, keypoints, input_size, **arguments).eval()(torch.zeros(1, 1, input_size, input_size))
    except (TypeError, ValueError, IndexError, RuntimeError) as error:
        raise FkdError(
            f"The network {name!r} cannot take crops of {input_size} pixels with the arguments {arguments} "
            f"({str(error).splitlines()[0]}); change input_size or model_args."
        ) from None
