"""Runs beside each other: one row each, with settings and results, and what one of them changes to another."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from fkd.paths import runs_root
from fkd.training.config import SECTIONS, TrainConfig
from fkd.training.history import read_epochs
from fkd.training.launch import RunView
from fkd.training.run import RunFolder

RESULTS = {
    "nme": "NME, %",
    "rmse_px": "RMSE, px",
    "validation_loss": "Validation loss",
    "train_loss": "Train loss",
    "best_epoch": "Best epoch",
    "epochs_done": "Epochs done",
    "minutes": "Minutes",
    "images_per_s": "Images/s",
}
ERRORS = ("nme", "rmse_px", "validation_loss", "train_loss")
ABOUT = ("name", "state", "recipe", "data", "device", "started")
_NO_SETTING = ("recipe", "data", "made_with")
_DEFAULTS = TrainConfig().as_dict()


def runs_table(views: Sequence[RunView]) -> pd.DataFrame:
    """One row for each run, in the order given.

    Args:
        views: the runs.

    Returns:
        The columns `ABOUT` (`started` in seconds since 1970), `RESULTS` (of the epoch with the lowest validation NME;
        NaN where there is none yet), then one for each setting that any of the runs has.
    """
    rows = [{**_about(view), **_results(view), **settings_of(view.config)} for view in views]
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*ABOUT, *RESULTS, *(key for row in rows for key in row)])))


def settings_of(config: dict[str, Any]) -> dict[str, Any]:
    """A run's settings on one level, `augmentation.rotation_deg` for what is inside; a dictionary as JSON text.

    One that came later than the run has its default, as when the run is resumed.
    """
    settings: dict[str, Any] = {}
    for name, value in {**_DEFAULTS, **config}.items():
        if name == "augmentation" and isinstance(value, dict):
            inner = {**_DEFAULTS[name], **value}
            settings |= {f"augmentation.{key}": setting for key, setting in inner.items()}
        elif name not in _NO_SETTING:
            settings[name] = json.dumps(value) if isinstance(value, (dict, list)) else value
    return settings


def setting_names(table: pd.DataFrame) -> list[str]:
    """The columns of `runs_table` that are settings."""
    return [name for name in table.columns if name not in RESULTS and name not in ABOUT]


def differing(table: pd.DataFrame) -> list[str]:
    """The settings in which the runs of a table differ; one that a run does not know counts as another value."""
    return [name for name in setting_names(table) if len({str(value) for value in table[name]}) > 1]


def watch_the_same(table: pd.DataFrame) -> bool:
    """Whether the runs of a table were measured on the same faces, so that their errors compare."""
    return table["data"].nunique() == 1 and set(SECTIONS["Split"]).isdisjoint(differing(table))


def differences(table: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The table's results less those of the run called `baseline`, NaN where one of the two is not known.

    Returns:
        `name` and the columns of `RESULTS`, in the order of the table.
    """
    results = table[list(RESULTS)].astype(float)
    difference = results - results[(table["name"] == baseline).to_numpy()].iloc[0]
    return pd.concat([table[["name"]], difference], axis=1)


def _about(view: RunView) -> dict[str, Any]:
    return {
        "name": view.name,
        "state": view.state,
        "recipe": view.config.get("recipe"),
        "data": view.config.get("data"),
        "device": view.status.get("device"),
        "started": view.status.get("started", np.nan),
    }


def _results(view: RunView) -> dict[str, float]:
    history = read_epochs(RunFolder(runs_root() / view.name))
    best = history.best()
    rates, seconds = history.at_epoch_ends("images_per_s"), history.column("seconds")
    return {
        "nme": best.get("validation_nme", np.nan),
        "rmse_px": best.get("validation_rmse_px", np.nan),
        "validation_loss": best.get("validation_loss", np.nan),
        "train_loss": best.get("train_loss", np.nan),
        "best_epoch": best.get("epoch", np.nan),
        "epochs_done": history.epochs_done,
        "minutes": float(np.nanmax(seconds)) / 60 if np.isfinite(seconds).any() else np.nan,
        "images_per_s": float(np.nanmedian(rates)) if np.isfinite(rates).any() else np.nan,
    }
