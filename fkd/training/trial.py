"""What a training would be, before it begins: how many faces it has, and from a short trial how long it takes."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from fkd.data import load_dataset
from fkd.data.notes import Notes, read_notes
from fkd.errors import FkdError
from fkd.metrics import eye_distances_px
from fkd.progress import report
from fkd.training.config import TrainConfig
from fkd.training.faces import split_faces, used_faces
from fkd.training.rehearsal import Rehearsal, rehearsal
from fkd.training.validation import Validation

SECONDS = 5.0
_FIRST_STEPS = 2  # they set up what later ones reuse
_WATCHED = 64  # faces whose measurement stands for that of all


def count_faces(config: dict[str, Any]) -> dict[str, int]:
    """How many faces are in `train`, `validation` (both as training takes them) and `test`.

    Args:
        config: as `TrainConfig.as_dict` gives it.

    Raises:
        FkdError: data missing, a split that it does not allow, or damaged notes.
    """
    report("counting the faces", 0.0)
    settings = TrainConfig.from_dict(config)
    dataset = load_dataset(settings.data)
    masks = split_faces(dataset, settings)
    used, _ = used_faces(dataset, masks, read_notes(dataset) if settings.notes else Notes(), settings)
    return {**{part: len(faces) for part, faces in used.items()}, "test": int(masks["test"].sum())}


def run_trial(config: dict[str, Any], device: str, seconds: float = SECONDS) -> dict[str, float]:
    """Train for a few seconds and report how fast that goes.

    Several devices share each batch, so one of them is tried with its share; what they say to each
    other is not in the figures.

    Args:
        config: as `TrainConfig.as_dict` gives it.
        device: `cpu`, `cuda:0`, or several joined by commas.
        seconds: how long to train.

    Returns:
        `step_s` of a step, `watch_s` of measuring the validation faces after an epoch, `images_per_s`, and
        `memory_bytes` on a GPU.

    Raises:
        FkdError: as training does.
    """
    settings = TrainConfig.from_dict(config).checked()
    devices = device.split(",")
    if settings.batch_size < 2 * len(devices):
        raise FkdError(f"A batch of {settings.batch_size} is too small for {len(devices)} devices; raise batch_size.")
    if devices[0] == "cpu":
        torch.set_num_threads(max((os.cpu_count() or 1) // len(devices), 1))
    share = replace(settings, batch_size=settings.batch_size // len(devices))
    with rehearsal(share, devices[0]) as trainer:
        step_s = _time_of_step(trainer, seconds)
        watch_s = _time_of_watching(trainer)
    found = {"step_s": step_s, "watch_s": watch_s, "images_per_s": settings.batch_size / step_s}
    if devices[0].startswith("cuda"):
        found["memory_bytes"] = torch.cuda.max_memory_allocated(devices[0])
    return found


def seconds_of_training(trial: dict[str, float], config: TrainConfig, train_faces: int) -> float:
    """How long a training takes at the speed of a trial."""
    return config.epochs * (steps_of_epoch(config, train_faces) * trial["step_s"] + trial["watch_s"])


def steps_of_epoch(config: TrainConfig, train_faces: int) -> int:
    """Batches in an epoch; the last, smaller one is left out where there are others."""
    return max(train_faces // config.batch_size, 1)


def _time_of_step(trainer: Rehearsal, seconds: float) -> float:
    """Mean time of a step, without the first ones."""
    for _ in range(_FIRST_STEPS):
        trainer.step_at(trainer.config.learning_rate)
    started, steps, passed = _now(trainer), 0, 0.0
    while passed < seconds or not steps:
        report("training for a moment", passed / seconds)
        trainer.step_at(trainer.config.learning_rate)
        steps += 1
        passed = _now(trainer) - started
    return passed / steps


def _time_of_watching(trainer: Rehearsal) -> float:
    """Time to measure the validation faces, from some of them."""
    report("measuring some faces", 1.0)
    faces = trainer.validation.faces
    can_be_measured = np.isfinite(eye_distances_px(faces.points_px, faces.schema))
    watched = np.argsort(~can_be_measured, kind="stable")[:_WATCHED]
    some = Validation(faces.subset(watched), trainer.config, trainer.device)
    started = _now(trainer)
    some.measure(trainer.averaged_network)
    return (_now(trainer) - started) * len(faces) / len(watched)


def _now(trainer: Rehearsal) -> float:
    """The time once the device has done what it was given."""
    if trainer.device.type == "cuda":
        torch.cuda.synchronize(trainer.device)
    return time.perf_counter()
