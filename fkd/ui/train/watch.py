"""One run from near by: how far it is, its curves, what it predicts, what it was made with, and its log.

It is drawn again every few seconds for as long as the run goes on, and not once more after its end.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from fkd.errors import FkdError
from fkd.progress import in_words
from fkd.training import launch
from fkd.training.comparison import settings_of
from fkd.training.history import History, read_history, tail
from fkd.training.launch import RunView
from fkd.training.recipes import changes_from_recipe
from fkd.training.run import RunFolder
from fkd.training.waiting import Queue
from fkd.ui.frame import errors_in_a_sentence
from fkd.ui.train.curves import show_curves
from fkd.ui.train.samples import show_samples
from fkd.ui.train.states import GOING_ON, POLL_S, state_badge

if TYPE_CHECKING:
    from streamlit.delta_generator import DeltaGenerator

_LOG_LINES = 25  # as many as can be seen at once, so that the newest are


def show_run(name: str) -> None:
    """Everything about a run; `FkdError` for an unknown one."""
    view = launch.view(name)
    every = POLL_S if view.state in GOING_ON else None
    st.fragment(_show_progress, run_every=every)(name, view.state)
    st.fragment(_show_section, run_every=every)(name)


def _show_progress(name: str, state_before: str) -> None:
    """The strip at the top; the whole page is drawn again when the run changes its state, or is gone."""
    with errors_in_a_sentence():
        try:
            view = launch.view(name)
        except FkdError:
            st.rerun()
        if view.state != state_before:
            st.rerun()
        history = read_history(RunFolder.open(name))
        share, words = progress(view, history)
        with st.container(horizontal=True, vertical_alignment="center"):
            state_badge(view.state)
            st.caption(" · ".join(_about(view) + ([] if view.state in GOING_ON else [words])), width="content")
        if view.state in GOING_ON:
            st.progress(share, words)
        _say_what_to_do(view, history.epochs_done)
        _show_figures(view, history)


def _about(view: RunView) -> list[str]:
    return [
        str(part) for part in (view.config.get("recipe"), view.config.get("data"), view.status.get("device")) if part
    ]


def progress(view: RunView, history: History) -> tuple[float, str]:
    """How far a run is, from 0 to 1, and the same in words, with the time left while it trains.

    Args:
        view: the run; older ones, and those in their first seconds, lack some of their status.
        history: what it has measured.
    """
    done, epochs = history.epochs_done, view.config.get("epochs") or view.status.get("epochs")
    if view.state == "waiting":
        return 0.0, _turn(view.name, view.status.get("device", "cpu"))
    if not epochs:
        return 0.0, f"{done} epochs"
    if view.state == "finished" and done < epochs:
        without = done - int(history.best().get("epoch", 0))
        return 1.0, f"ended after {done} of {epochs} epochs, as the last {without} brought nothing better"
    if view.state != "running":
        return min(done / epochs, 1.0), f"{done} of {epochs} epochs"
    if not done and "step" not in view.status:
        return 0.0, "Reads the faces"
    step, steps, left_s = (view.status.get(key) for key in ("step", "steps", "seconds_left"))
    words = [f"Epoch {min(done + 1, epochs)} of {epochs}"]
    if steps:
        words.append(f"step {step:,} of {steps:,}")
    if left_s is not None:
        words.append(f"{in_words(left_s)} left")
    return min(max(done / epochs, step / steps if steps else 0.0), 1.0), " · ".join(words)


def _turn(name: str, device: str) -> str:
    place = Queue(device).place_of(name)
    return f"Waits for {device}, as number {place} in its queue" if place else f"Is starting on {device}"


def _say_what_to_do(view: RunView, epochs_done: int) -> None:
    """Why a run has ended, where that is not as planned, and how it goes on."""
    after = f"Resume goes on after epoch {epochs_done}." if epochs_done else "Resume starts it again."
    if view.state == "failed":
        st.error(
            f"{view.status.get('reason') or 'It failed without saying why; see its log.'}", icon=":material/error:"
        )
        st.caption(f"{after} To change a setting, duplicate the run.")
    elif view.state == "lost":
        st.warning(
            f"{why_lost(RunFolder.open(view.name))} Nothing before its last complete epoch is lost. {after}",
            icon=":material/link_off:",
        )
    elif view.state == "stopped":
        st.caption(after)


def why_lost(folder: RunFolder) -> str:
    """What can be told of a process that ended without a word."""
    if not folder.is_writable:
        return (
            f"The process that trained is gone, and its folder {folder.path} cannot be written, so that it could not "
            "say why. Make the folder writable first."
        )
    return "The process that trained is gone without a word: the machine was switched off, or something killed it."


def _show_figures(view: RunView, history: History) -> None:
    """What a glance at the run should tell, as far as it is known."""
    with st.container(horizontal=True, gap="medium"):
        for label, value in figures(view, history):
            st.metric(label, value, width="content")
    if history.best():
        st.caption(f"Errors are those of {_watched(RunFolder.open(view.name))}, which the run does not learn from.")


def _watched(folder: RunFolder) -> str:
    faces = folder.read_made_with().get("split", {}).get("validation")  # unknown of older runs
    return f"its {faces:,} validation faces" if faces else "its validation faces"


def figures(view: RunView, history: History) -> list[tuple[str, str]]:
    """Labels and values of the figures under the progress bar, only what is known, and now and means at their time."""
    best, status, runs = history.best(), view.status, view.state == "running"
    rates = history.at_epoch_ends("images_per_s")
    images_per_s = status.get("images_per_s", _last(history, "images_per_s")) if runs else _median(rates)
    rate = status.get("learning_rate", _last(history, "learning_rate"))
    memory = status.get("memory_mb", _last(history, "memory_mb"))
    seconds = _last(history, "seconds")
    known = {
        "Best NME": f"{best['validation_nme']:.2f} %" if best else None,
        "RMSE": f"{best['validation_rmse_px']:.2f} px" if "validation_rmse_px" in best else None,
        "Best epoch": (f"{best['epoch']:.0f}" if best["epoch"] else "its start") if "epoch" in best else None,
        "Images/s": f"{images_per_s:,.0f}" if images_per_s is not None else None,
        "Learning rate": f"{rate:.2g}" if runs and rate is not None else None,
        "Peak memory": f"{memory / 1024:.1f} GiB" if memory else None,
        "Load": f"{100 * status['load']:.0f} %" if runs and status.get("load") is not None else None,
        "Trained for": in_words(seconds) if seconds is not None else None,
    }
    return [(label, value) for label, value in known.items() if value is not None]


def _median(values: np.ndarray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def _last(history: History, name: str) -> float | None:
    values = history.column(name)
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _show_section(name: str) -> None:
    """One of the sections; the others cost nothing."""
    with errors_in_a_sentence():
        folder = RunFolder.open(name)
        sections: dict[str, Callable[[], None]] = {
            "Curves": lambda: show_curves([name], "train.curves", live=launch.view(name).state in GOING_ON),
            "Faces": partial(show_samples, folder),
            "Settings": partial(_show_settings, folder),
            "Log": partial(_show_log, folder),
        }
        first, *_ = sections
        section = st.segmented_control(
            "Section of the run",
            list(sections),
            default=first,
            required=True,
            key="train.section",
            persist_state="session",
            label_visibility="collapsed",
        )
        sections[section]()


def _show_settings(folder: RunFolder) -> None:
    config, made_with = folder.read_config(), folder.read_made_with()
    changes = _changes(config)
    if changes:
        st.markdown("**Changes to the recipe** · " + ", ".join(f"`{change}`" for change in changes))
    left, right = st.columns(2, gap="medium")
    _table(left, "Setting", settings_of(config))
    if made_with:
        _table(right, "Made with", _flat(made_with))
    right.download_button(
        "Settings as JSON",
        lambda: json.dumps({**config, "made_with": made_with}, indent=2).encode(),
        f"{folder.name}_config.json",
        "application/json",
        key="train.settings.json",
        icon=":material/download:",
        on_click="ignore",
    )


def _changes(config: dict[str, Any]) -> list[str]:
    """What was changed of the recipe; nothing where it is of another version, which knew other recipes."""
    try:
        return changes_from_recipe(config)
    except (FkdError, KeyError):
        return []


def _table(place: DeltaGenerator, head: str, values: dict[str, Any]) -> None:
    texts = [f"{value:.6g}" if isinstance(value, float) else str(value) or "–" for value in values.values()]
    table = pd.DataFrame({head: list(values), "Value": texts})
    narrow = {head: st.column_config.TextColumn(width=175)}
    place.dataframe(table, hide_index=True, height="content", column_config=narrow)


def _flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    """A record on one level, `versions.torch` for what is inside."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        flat |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return flat


def _show_log(folder: RunFolder) -> None:
    path = folder.path / "log.txt"
    text = tail(path, _LOG_LINES)
    if not text:
        st.info("The run has not said anything yet.", icon=":material/notes:")
        return
    st.code(text, language=None, wrap_lines=True)
    st.download_button(
        "Whole log",
        path.read_bytes,
        f"{folder.name}_log.txt",
        "text/plain",
        key="train.log",
        icon=":material/download:",
        on_click="ignore",
    )
