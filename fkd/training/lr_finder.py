"""Learning-rate finder: the range test of Smith, "Cyclical Learning Rates for Training Neural Networks" (WACV 2017).

The learning rate grows by the same factor at each step. While it is too small nothing happens, then
the loss falls, and where the steps become too large it rises again. A good highest rate for a
schedule lies where the loss falls most steeply, which is how fastai's `lr_find` reads it too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from fkd.errors import FkdError
from fkd.progress import report
from fkd.training.config import TrainConfig
from fkd.training.rehearsal import rehearsal

LOWEST, HIGHEST, STEPS = 1e-6, 1.0, 120
_TOO_MUCH = 3.0  # times the lowest loss so far, at which the test ends
_MEMORY = 0.8  # of the running mean that this is judged by
_SMOOTHED_OVER = 0.03  # deviation of the Gaussian over the curve, in shares of its length


def range_test(
    step: Callable[[float], float], lowest: float = LOWEST, highest: float = HIGHEST, steps: int = STEPS
) -> Iterator[tuple[float, float]]:
    """Pairs of learning rate and loss, until the loss has become far too large.

    Args:
        step: takes one step of training at a learning rate and gives the loss before it.
        lowest: where the rates begin.
        highest: where they end, unless one before is too large.
        steps: how many rates are tried over the whole range.
    """
    mean, best = 0.0, math.inf
    for i in range(steps):
        rate = lowest * (highest / lowest) ** (i / (steps - 1))
        loss = step(rate)
        if not math.isfinite(loss):
            return
        yield rate, loss
        mean = _MEMORY * mean + (1 - _MEMORY) * loss
        unbiased = mean / (1 - _MEMORY ** (i + 1))
        best = min(best, unbiased)
        if unbiased > _TOO_MUCH * best:
            return


def smooth(losses: np.ndarray) -> np.ndarray:
    """(n,) losses under a centred Gaussian, which moves neither the fall nor the lowest point."""
    places = np.arange(len(losses))
    deviation = max(_SMOOTHED_OVER * len(losses), 1e-6)
    weights = np.exp(-0.5 * ((places[:, None] - places) / deviation) ** 2)
    return weights @ losses / weights.sum(axis=1)


def suggest(rates: np.ndarray, losses: np.ndarray) -> float | None:
    """The rate at which the smoothed loss falls most steeply before its lowest point; None where it never falls."""
    smoothed = smooth(losses)
    lowest = int(smoothed.argmin())
    if lowest < 2:
        return None
    slopes = np.gradient(smoothed[: lowest + 1], np.log(rates[: lowest + 1]))
    return float(rates[slopes.argmin()])


def find_learning_rate(config: dict[str, Any], device: str, steps: int = STEPS) -> dict[str, Any]:
    """Run the range test on a fresh network of a configuration, and report its progress.

    Args:
        config: as `TrainConfig.as_dict` gives it; its schedule plays no part.
        device: where to train; of several, the first.
        steps: how many rates are tried.

    Returns:
        The curve as lists `learning_rates`, `losses` and `smoothed`, and the `suggestion`, None where the loss
        never falls.

    Raises:
        FkdError: as training does.
    """
    settings = replace(TrainConfig.from_dict(config).checked(), ema=0.0, compile=False)
    curve = []
    with rehearsal(settings, device.split(",")[0]) as trainer:
        for point in range_test(trainer.step_at, steps=steps):
            curve.append(point)
            report("raising the learning rate", len(curve) / steps)
    if len(curve) < 2:
        raise FkdError("The loss is no number from the start; try another loss or precision=fp32.")
    rates, losses = np.array(curve).T
    found = {"learning_rates": rates.tolist(), "losses": losses.tolist(), "smoothed": smooth(losses).tolist()}
    return {**found, "suggestion": suggest(rates, losses)}
