"""`TrainConfig`: every choice of a training in one frozen dataclass.

The command line's `--set field=value`, the form on the page and a run's `config.json` are made from it.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
from dataclasses import dataclass, field
from typing import Any

from fkd.augment import Augmentation
from fkd.crop import CropFrame
from fkd.data.missing import TREATMENTS
from fkd.data.splits import BY_FOLD, FOLDS, SPLIT_WAYS, SPLITS
from fkd.errors import FkdError
from fkd.models import MODELS
from fkd.options import check, option

_ANY = {"choices": None, "low": None, "high": None, "label": None, "only": None}
# The networks that have heatmaps, from which scores come.
_WITH_HEATMAPS = ("model", tuple(name for name, network in MODELS.items() if network.gives_scores))
_IN_WORDS = {
    bool: "true or false",
    dict: 'an object in JSON as {"name": 1}',
    float: "a number",
    int: "a whole number",
    str: "a text",
}
# Headings under which a form folds settings away; those that are in none are always shown.
SECTIONS: dict[str, tuple[str, ...]] = {
    "Split": ("split", "fold", "test_share", "split_seed", "validation_share"),
    "Picture": ("input_size", "crop_scale", "crop_shift_y", "whole_picture"),
    "Network": ("model", "model_args", "start_from"),
    "Optimizer": ("optimizer", "schedule", "warm_up", "weight_decay", "clip_norm", "ema"),
    "Losses": ("heatmap_weight", "heatmap_sigma", "score_weight", "negatives"),
    "Augmentation": ("augmentation", "cool_down"),
    "Machine": ("precision", "keep_every", "seed", "compile"),
}


@dataclass(frozen=True)
class TrainConfig:
    """A recipe with its settings; see the help of each field."""

    recipe: str = option("heatmap68", "Name of the recipe these settings come from")
    data: str = option("youtube_faces", "Datasets, joined with +")
    split: str = option(
        BY_FOLD,
        "What is held out: a fold of groups by name; or drawn by group or at random; or files",
        choices=SPLITS,
        label="Held out as test",
    )
    fold: int = option(0, "Fold held out as test; -1 trains on all", low=-1, high=FOLDS - 1, only=("split", (BY_FOLD,)))
    test_share: float = option(
        0.2,
        "Share of the faces held out as test, where it is drawn by group or at random",
        low=0,
        high=0.9,
        label="Share for testing",
        only=("split", ("group", "random")),
    )
    split_seed: int = option(
        0,
        "Where the drawing of a split starts; a fold follows from names alone",
        low=0,
        high=2**31 - 1,
        label="Seed of the split",
        only=("split", SPLIT_WAYS),
    )
    validation_share: float = option(
        0.05, "Share of the training groups that is only watched", low=0, high=0.5, label="Share for validation"
    )
    missing: str = option("mask", "What is done about missing labels", choices=TREATMENTS, label="Missing labels")
    notes: bool = option(
        False,
        "Leave faces out that are flagged on the Explore page, and learn from the points corrected there",
        label="Heed my notes",
    )
    model: str = option("heatmap", "Kind of network", choices=tuple(MODELS), label="Network")
    model_args: dict = field(
        default_factory=dict,
        metadata={
            **_ANY,
            "help": "What the network is made with, as JSON; {} for its defaults",
            "label": "Network's arguments",
        },
    )
    start_from: str = option(
        "",
        "Name of weights to start from; parts that do not fit start anew, like all of them without",
        label="Start from weights",
    )
    input_size: int = option(
        128, "Side of the crop the network sees, in pixels", low=32, high=512, label="Input size (px)"
    )
    crop_scale: float = option(
        1.3,
        "Side of the crop in longer sides of the tight box; with whole pictures, of the crop in other photos later",
        low=1,
        high=3,
        label="Size of the crop",
    )
    crop_shift_y: float = option(
        0.0,
        "How far the crop's centre lies below the box's, in longer sides; with whole pictures, in other photos later",
        low=-1,
        high=1,
        label="Crop lowered by",
    )
    whole_picture: bool = option(False, "Take the whole picture as the crop (Kaggle's faces are crops already)")
    epochs: int = option(60, "Passes over the training faces", low=1, high=10_000)
    batch_size: int = option(64, "Faces in each step", low=2, high=4096)
    optimizer: str = option("adamw", "How steps follow from gradients", choices=("adam", "adamw"))
    learning_rate: float = option(2e-3, "Highest learning rate", low=1e-6, high=1.0)
    schedule: str = option(
        "one_cycle", "Course of the learning rate", choices=("one_cycle", "constant"), label="Course of the rate"
    )
    warm_up: float = option(
        0.1, "Share of the training in which the learning rate rises", low=0, high=0.9, label="Warm-up"
    )
    weight_decay: float = option(0.02, "Decay of the parameters (adamw)", low=0, high=1, only=("optimizer", ("adamw",)))
    clip_norm: float = option(5.0, "Largest norm of the gradient; 0 for none", low=0, high=1000, label="Gradient limit")
    ema: float = option(
        0.998,
        "Decay of the running mean of the parameters; 0 for none",
        low=0,
        high=0.99999,
        label="Averaging (EMA)",
    )
    loss: str = option("log", "Loss on the points", choices=("mse", "l1", "wing", "log"))
    heatmap_weight: float = option(
        0.5,
        "Weight of the cross-entropy on heatmaps; 0 for none",
        low=0,
        high=10,
        label="Weight of heatmaps",
        only=_WITH_HEATMAPS,
    )
    heatmap_sigma: float = option(
        1.0,
        "Deviation of the heatmaps' Gaussian, in cells",
        low=0.3,
        high=5,
        label="Spread of heatmaps",
        only=_WITH_HEATMAPS,
    )
    score_weight: float = option(
        0.2,
        "Weight of the losses on point and face scores; 0 for none",
        low=0,
        high=10,
        label="Weight of scores",
        only=_WITH_HEATMAPS,
    )
    negatives: float = option(
        0.12,
        "Share of each batch cut beside the face, to learn the scores; 0 for networks without scores",
        low=0,
        high=0.5,
        label="Crops beside the face",
    )
    augmentation: Augmentation = field(
        default_factory=Augmentation, metadata={**_ANY, "help": "How pictures are changed"}
    )
    cool_down: float = option(
        0.0,
        "Share of the epochs, the last ones, in which faces are turned, sized and shifted less than half as much",
        low=0,
        high=1,
        label="Cool-down",
    )
    precision: str = option("auto", "Number format of the network", choices=("auto", "bf16", "fp16", "fp32"))
    compile: bool = option(
        False, "Compile the network before training: slow to start, then faster on GPUs", label="Compile first"
    )
    patience: int = option(
        0,
        "Epochs without a better validation NME after which to stop; 0 for never",
        low=0,
        high=1000,
        label="Patience (epochs)",
    )
    keep_every: int = option(
        0, "Epochs between kept snapshots of the weights; 0 for none", low=0, high=1000, label="Snapshot every (epochs)"
    )
    seed: int = option(0, "Where all randomness starts", low=0, high=2**31 - 1)

    @property
    def crop(self) -> CropFrame:
        """Where the network's crop lies round a tight box."""
        return CropFrame(self.crop_scale, (0.0, self.crop_shift_y))

    def augmentation_of(self, epoch: int) -> Augmentation:
        """How pictures are changed in an epoch, counted from 0."""
        cool = epoch >= round(self.epochs * (1 - self.cool_down))
        return self.augmentation.cooled() if cool else self.augmentation

    def split_settings(self) -> dict[str, Any]:
        """What decided which faces are learnt from, watched and held out: of a drawn split also the data it is of."""
        rules = {item.name: item.metadata["only"] for item in dataclasses.fields(self)}
        names = [name for name in SECTIONS["Split"] if not (rule := rules[name]) or getattr(self, rule[0]) in rule[1]]
        return {name: getattr(self, name) for name in (names if self.split == BY_FOLD else ["data", *names])}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> TrainConfig:
        """The inverse of `as_dict`; unknown fields and values of another type raise `FkdError`."""
        stored = dict(stored)
        unknown = _unknown(stored, cls)
        if isinstance(augmentation := stored.get("augmentation"), dict):
            unknown += [f"augmentation.{name}" for name in _unknown(augmentation, Augmentation)]
        if unknown:
            raise FkdError(f"Unknown settings {', '.join(unknown)}; see python -m fkd train --help.")
        if isinstance(augmentation, dict):
            _check_types(augmentation, Augmentation)
            stored["augmentation"] = Augmentation(**augmentation)
        _check_types(stored, cls)
        return cls(**stored)

    def with_settings(self, settings: list[str]) -> TrainConfig:
        """A copy with `field=value` texts applied; `augmentation.rotation_deg=20` reaches inside.

        Raises:
            FkdError: not of that form, an unknown field, or a value out of its type or range.
        """
        changed = self
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals:
                raise FkdError(f"--set takes field=value; {setting!r} has no '='.")
            _check_name(name)
            owner, _, inner = name.partition(".")
            if owner == "augmentation" and inner:
                augmentation = _replace(changed.augmentation, inner, text)
                changed = dataclasses.replace(changed, augmentation=augmentation)
            else:
                changed = _replace(changed, name, text)
        return changed

    def checked(self) -> TrainConfig:
        """The configuration itself; `FkdError` names a setting that lies outside its range or choices."""
        for settings in (self, self.augmentation):
            try:
                check(settings)
            except ValueError as error:
                raise FkdError(f"{error}.") from None
        return self


def _unknown(stored: dict[str, Any], owner: type) -> list[str]:
    return sorted(set(stored) - {f.name for f in dataclasses.fields(owner)})


def _check_types(stored: dict[str, Any], owner: type) -> None:
    for item in dataclasses.fields(owner):
        value = stored.get(item.name, item.default)
        kind = Augmentation if item.name == "augmentation" else _kind(item)
        fits = type(value) in (int, float) if kind is float else type(value) is kind
        if item.name in stored and not fits:
            raise FkdError(f"The setting {item.name} is {value!r}, which is no {kind.__name__}; mend config.json.")


def _check_name(name: str) -> None:
    """`FkdError` for what names no setting, with the one that was probably meant."""
    known = [f.name for f in dataclasses.fields(TrainConfig) if f.name != "augmentation"]
    known += [f"augmentation.{f.name}" for f in dataclasses.fields(Augmentation)]
    if name not in known:
        inside = f"augmentation.{name}"
        meant = [inside] if inside in known else difflib.get_close_matches(name, known, n=1)
        told = f"did you mean {meant[0]}?" if meant else f"known are {', '.join(known)}."
        raise FkdError(f"Unknown setting {name!r}; {told}")


def _replace(settings: Any, name: str, text: str) -> Any:
    known = {f.name: f for f in dataclasses.fields(settings)}
    changed = dataclasses.replace(settings, **{name: _parse(name, text, _kind(known[name]))})
    try:
        check(changed)
    except ValueError as error:
        raise FkdError(f"{error}.") from None
    return changed


def _kind(item: dataclasses.Field) -> type:
    """The type of a setting, which a value such as 25 in place of 25.0 does not tell."""
    return dict if item.default is dataclasses.MISSING else type(item.default)


def _parse(name: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if kind is dict:
            value = json.loads(text)
            if not isinstance(value, dict):
                raise ValueError(text)
            return value
        return kind(text)
    except (ValueError, KeyError):
        raise FkdError(f"{name} takes {_IN_WORDS[kind]}, not {text!r}.") from None
