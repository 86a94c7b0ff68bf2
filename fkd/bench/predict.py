"""Predicting face crops on one CPU thread: onnxruntime, which fkd takes, against torch in fp32 and in bf16.

    python -m fkd bench predict --json predict.json

Everybody sees the same crops with the same parameters, each crop once, without its mirror image. Sides take
turns, and processor time is measured, which for one thread is the time it takes on a machine with nothing else to
do; the median is told.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from fkd import DEFAULT_WEIGHTS
from fkd.crop import CropFrame
from fkd.export import drawn_crops
from fkd.models import create_model
from fkd.progress import steps
from fkd.runtime import LoadedModel, Prediction, TorchModel
from fkd.schema import get_schema
from fkd.weights import Card, load_model, load_torch_model

HEADLINE = "torch fp32 / onnxruntime, milliseconds for one crop"
_ROUNDS = {1: 40, 64: 5}
Side = Callable[[], Prediction]
Name = TypeVar("Name")


def measure(weights: str = DEFAULT_WEIGHTS, rounds: dict[int, int] | None = None) -> dict[str, Any]:
    """Milliseconds of each side for one crop and for many; `ratio` is the headline.

    Args:
        weights: what to predict with; an exported file has to stand beside it.
        rounds: how often each number of crops is predicted.
    """
    sides = _sides(weights)
    crops = drawn_crops(load_torch_model(weights).card)
    milliseconds = {}
    for count, repeats in (rounds or _ROUNDS).items():
        many = np.resize(crops, (count, *crops.shape[1:]))
        milliseconds[str(count)] = time_in_turns({name: partial(side, many) for name, side in sides.items()}, repeats)
    answers = {name: predict(crops).points_px for name, predict in sides.items()}
    one = next(iter(milliseconds.values()))
    return {
        "bench": "predict",
        "weights": weights,
        "threads": 1,
        "ratio": round(one["torch_fp32"] / one["onnxruntime"], 2),
        "headline": HEADLINE,
        "milliseconds": milliseconds,
        "apart_from_torch_fp32_px": {
            name: round(float(np.abs(points - answers["torch_fp32"]).max()), 5) for name, points in answers.items()
        },
    }


def one_crop(weights: str, runtime: str) -> Side:
    """Predicts one drawn crop with shipped weights, by `onnx` or `torch`, on one thread."""
    model, crop = load_model(weights, runtime=runtime, threads=1), drawn_crops(load_torch_model(weights).card)[:1]
    return partial(_direct(model), crop)


def one_crop_untrained(model: str, schema: str, input_size: int, model_args: dict[str, Any]) -> Side:
    """The same with a network that was never trained, by torch: time follows from its shape alone."""
    card = Card("", get_schema(schema), model, input_size, CropFrame(1.0), model_args)
    network = create_model(model, len(card.schema), input_size, **model_args).eval().requires_grad_(False)
    return partial(_direct(TorchModel(card, network)), np.zeros((1, input_size, input_size), np.uint8))


def time_in_turns(sides: Mapping[Name, Side], rounds: int = 40) -> dict[Name, float]:
    """Median milliseconds of processor time of each side on one thread; the first round warms up and is not counted.

    What is timed in one call can be compared: others on the machine slow all sides alike.
    """
    spent: dict[Name, list[float]] = {name: [] for name in sides}
    with _one_torch_thread():
        for _ in steps("measuring speed", range(rounds + 1)):
            for name, predict in sides.items():
                start = time.process_time()
                predict()
                spent[name].append(1000 * (time.process_time() - start))
    return {name: round(float(np.median(values[1:])), 3) for name, values in spent.items()}


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _direct(model: LoadedModel) -> Callable[[np.ndarray], Prediction]:
    return lambda crops: model.predict(crops, flip=False)


def _sides(weights: str) -> dict[str, Callable[[np.ndarray], Prediction]]:
    in_bf16 = load_torch_model(weights)
    in_bf16.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def bf16(crops: np.ndarray) -> Prediction:
        with torch.autocast("cpu", torch.bfloat16):
            return in_bf16.predict(crops, flip=False)

    return {
        "onnxruntime": _direct(load_model(weights, runtime="onnx", threads=1)),
        "torch_fp32": _direct(load_torch_model(weights)),
        "torch_bf16": bf16,
    }
