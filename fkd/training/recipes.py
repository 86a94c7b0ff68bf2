"""Recipes: named training configurations, each run by `python -m fkd train --recipe NAME`."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from fkd.augment import Augmentation
from fkd.data import schema_of
from fkd.data.kaggle import KAGGLE_FRAME
from fkd.errors import FkdError
from fkd.schema import get_schema
from fkd.training.config import TrainConfig

_VARIED = Augmentation(
    rotation_deg=25, scale=0.17, shift=0.08, mirror=True, light=0.4, noise=0.04, blur=0.1, cover=0.25
)
_HARSH = replace(_VARIED, light=0.5, blur=0.2, cover=0.35)
# Kaggle's pictures are taken whole.
_KAGGLE: dict[str, Any] = {
    "data": "kaggle",
    "whole_picture": True,
    "crop_scale": KAGGLE_FRAME.scale,
    "crop_shift_y": KAGGLE_FRAME.shift[1],
    "input_size": 96,
}
# The classic way to train: squared error on plain coordinates with Adam, and nothing else.
_PLAIN: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 1e-3,
    "schedule": "constant",
    "warm_up": 0,
    "weight_decay": 0,
    "clip_norm": 0,
    "ema": 0,
    "loss": "mse",
    "heatmap_weight": 0,
    "score_weight": 0,
    "negatives": 0,
}


@dataclass(frozen=True)
class Recipe:
    """A configuration with a line on what it is."""

    summary: str
    config: TrainConfig


_CNN5_68 = {
    **_PLAIN,
    "data": "youtube_faces",
    "model": "cnn5",
    "input_size": 224,  # cropped at random from 240 pixels round the face
    "crop_scale": 1.3 * 224 / 240,
    "epochs": 5,
    "batch_size": 10,
    "augmentation": Augmentation(shift=8 / 224),
}
# Under 0.8 million parameters, half of the work: for video and webcams.
_SMALL: dict[str, Any] = {"widths": [24, 48, 80, 96, 88], "fused": 56}
_STYLES = ["portraits68", "youtube_faces"]  # their labellers differ; photos are seen as portraits
_MANY_STEPS: dict[str, Any] = {"batch_size": 32, "learning_rate": 1.5e-3, "ema": 0.999}
_IBUG68 = {
    **_MANY_STEPS,
    "data": "youtube_faces+portraits68",
    "cool_down": 0.25,  # for exactness in right boxes
    "augmentation": _HARSH,
}
_HEATMAP15: dict[str, Any] = {
    **_KAGGLE,
    **_MANY_STEPS,
    "epochs": 100,
    "augmentation": Augmentation(
        rotation_deg=20, scale=0.18, shift=0.1, mirror=True, light=0.5, noise=0.05, blur=0.1, cover=0.25
    ),
}
_RESNET = {
    **_KAGGLE,
    **_PLAIN,
    "model": "resnet",
    "missing": "drop",
    "epochs": 150,
    "schedule": "one_cycle",
    "warm_up": 0.1,
    "learning_rate": 2e-3,
    "ema": 0.99,
    "augmentation": Augmentation(mirror=True, light=0.4),
}
_FILLED = {**_KAGGLE, **_PLAIN, "missing": "interpolate", "epochs": 60}
# A large step finds the mean soon, the falling end of one cycle settles on it.
_MEAN_SHAPE = {**_KAGGLE, **_PLAIN, "model": "mean_shape", "epochs": 10, "schedule": "one_cycle", "learning_rate": 0.1}

_TABLE: dict[str, tuple[str, dict[str, Any]]] = {
    "ibug68": (
        "68 points, heatmaps; two datasets, each in its labellers' style; for photos",
        {**_IBUG68, "model_args": {"styles": _STYLES}},
    ),
    "ibug68-small": (
        "68 points, a quarter of the parameters: for video and webcams",
        {**_IBUG68, "model_args": {**_SMALL, "styles": _STYLES}},
    ),
    "heatmap68": (
        "68 points, heatmaps on a residual network with a top-down path",
        {"data": "youtube_faces", **_MANY_STEPS, "cool_down": 0.25, "epochs": 40, "augmentation": _VARIED},
    ),
    "heatmap15": ("15 points, the same on Kaggle's faces; rows with gaps are used too", _HEATMAP15),
    "heatmap15-small": (
        "15 points, a quarter of the parameters",
        {**_HEATMAP15, "model_args": _SMALL},
    ),
    "cnn5-68": ("68 points, five convolutions and plain coordinates: the classic student network", _CNN5_68),
    "resnet": ("15 points, residual blocks on complete rows; flips and brightness", _RESNET),
    "cnn-drop": (
        "15 points, convolutions and dense layers on complete rows",
        {**_KAGGLE, **_PLAIN, "model": "cnn", "missing": "drop", "epochs": 100},
    ),
    "cnn-flip": (
        "15 points, convolutions and dense layers, gaps interpolated; half of the pictures mirrored",
        {**_FILLED, "model": "cnn", "augmentation": Augmentation(mirror=True)},
    ),
    "cnn": ("15 points, convolutions and dense layers, gaps interpolated", {**_FILLED, "model": "cnn"}),
    "mlp": ("15 points, dense layers on 9,216 pixels, gaps interpolated", {**_FILLED, "model": "mlp"}),
    "mean-shape": ("15 points, the mean of all faces whatever the picture: the floor", _MEAN_SHAPE),
}

RECIPES: dict[str, Recipe] = {
    name: Recipe(summary, TrainConfig(recipe=name, **settings)) for name, (summary, settings) in _TABLE.items()
}


def get_recipe(name: str) -> TrainConfig:
    """The configuration of the recipe called `name`; `FkdError` names the known ones."""
    if name not in RECIPES:
        raise FkdError(f"Unknown recipe {name!r}; known are {', '.join(RECIPES)}.")
    return RECIPES[name].config


def fits(name: str, data: str) -> bool:
    """Whether there is a recipe of this name, and it is made for the points that the datasets `data` have."""
    return name in RECIPES and _points(RECIPES[name].config.data) == _points(data)


def recipe_for(data: str) -> str:
    """The first recipe that is made for the points of the datasets `data`; `FkdError` for an unknown one."""
    return next(name for name in RECIPES if fits(name, data))


def remark(config: TrainConfig) -> str | None:
    """A sentence for who gives a recipe data with other points than it is made for."""
    if fits(config.recipe, config.data):
        return None
    made_for, given = _points(get_recipe(config.recipe).data), _points(config.data)
    told = f"The recipe {config.recipe} is made for {made_for} points; {config.data} has {given}, and all are learnt"
    return f"{told}, better with whole_picture=false." if config.whole_picture else f"{told}."


def _points(data: str) -> int:
    return len(get_schema(schema_of(data.split("+")[0])))


def changes_from_recipe(config: dict[str, Any]) -> list[str]:
    """`field=value`, as `--set` takes it, for every setting in which a stored configuration differs from its recipe."""
    return _changes(TrainConfig.from_dict(config).as_dict(), get_recipe(config["recipe"]).as_dict(), "")


def _changes(config: dict[str, Any], recipe: dict[str, Any], prefix: str) -> list[str]:
    changes = []
    for key, value in recipe.items():
        if key == "augmentation":
            changes += _changes(config[key], value, "augmentation.")
        elif config[key] != value:
            text = json.dumps(config[key], separators=(",", ":")) if isinstance(value, dict) else str(config[key])
            changes.append(f"{prefix}{key}={text}")
    return changes
