"""Recipes: named training configurations, each run by `python -m fkd train --recipe NAME`."""

from __future__ import annotations

from fkd.augment import Augmentation
from fkd.data.kaggle import KAGGLE_FRAME
from fkd.errors import FkdError
from fkd.training.config import TrainConfig

_STRONG = Augmentation(
    rotation_deg=25, scale=0.17, shift=0.08, mirror=True, light=0.4, noise=0.04, blur=0.1, cover=0.25
)

RECIPES: dict[str, TrainConfig] = {
    config.recipe: config
    for config in (
        TrainConfig(recipe="heatmap68", data="youtube_faces", augmentation=_STRONG),
        TrainConfig(recipe="ibug68", data="youtube_faces+portraits68", augmentation=_STRONG),
        TrainConfig(
            recipe="heatmap15",
            data="kaggle",
            whole_picture=True,
            crop_scale=KAGGLE_FRAME.scale,
            crop_shift_y=KAGGLE_FRAME.shift[1],
            input_size=96,
            epochs=100,
            augmentation=Augmentation(
                rotation_deg=20, scale=0.18, shift=0.1, mirror=True, light=0.5, noise=0.05, blur=0.1, cover=0.25
            ),
        ),
        # The classic: 240 pixels round the face, 224 of them cropped at random, plain coordinates.
        TrainConfig(
            recipe="cnn5-68",
            data="youtube_faces",
            model="cnn5",
            input_size=224,
            crop_scale=1.3 * 224 / 240,
            epochs=5,
            batch_size=10,
            optimizer="adam",
            learning_rate=1e-3,
            schedule="constant",
            warm_up=0,
            weight_decay=0,
            clip_norm=0,
            ema=0,
            loss="mse",
            heatmap_weight=0,
            score_weight=0,
            negatives=0,
            augmentation=Augmentation(shift=8 / 224),
        ),
    )
}


def get_recipe(name: str) -> TrainConfig:
    """The recipe called `name`; `FkdError` names the known ones."""
    if name not in RECIPES:
        raise FkdError(f"Unknown recipe {name!r}; known are {', '.join(RECIPES)}.")
    return RECIPES[name]
