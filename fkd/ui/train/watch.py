"""One run from near by: how far it is, its curves, what it predicts, what it was made with, and its log.

It is drawn again every few seconds for as long as the run goes on, and not once more after its end.
"""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import streamlit as st

from fkd.errors import FkdError
from fkd.progress import in_words
from fkd.training import launch
from fkd.training.comparison import settings_of
from fkd.training.history import History, read_history, tail
from fkd.training.launch import RunView
from fkd.training.run import RunFolder
from fkd.ui.frame import errors_in_a_sentence
from fkd.ui.train.curves import show_curves
from fkd.ui.train.samples import show_samples
from fkd.ui.train.states import GOING_ON, POLL_S, state_badge

_CURVES, _FACES, _SETTINGS, _LOG = "Curves", "Faces", "Settings", "Log"
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
        return 0.0, f"Waits until {view.status.get('device', 'its device')} is free."
    if not epochs:
        return 0.0, f"{done} epochs"
    if view.state != "running":
        return min(done / epochs, 1.0), f"{done} of {epochs} epochs"
    step, steps, left_s = (view.status.get(key) for key in ("step", "steps", "seconds_left"))
    words = [f"Epoch {min(done + 1, epochs)} of {epochs}"]
    if steps:
        words.append(f"step {step:,} of {steps:,}")
    if left_s is not None:
        words.append(f"{in_words(left_s)} left")
    return min(max(done / epochs, step / steps if steps else 0.0), 1.0), " · ".join(words)


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


def figures(view: RunView, history: History) -> list[tuple[str, str]]:
    """Labels and values of the figures under the progress bar, only what is known."""
    best, status = history.best(), view.status
    rate = status.get("learning_rate", _last(history, "learning_rate"))
    memory = status.get("memory_mb", _last(history, "memory_mb"))
    seconds = _last(history, "seconds")
    known = {
        "Best NME": f"{best['validation_nme']:.2f} %" if best else None,
        "RMSE": f"{best['validation_rmse_px']:.2f} px" if "validation_rmse_px" in best else None,
        "Best epoch": f"{best['epoch']:.0f}" if "epoch" in best else None,
        "Images/s": _number(status.get("images_per_s", _last(history, "images_per_s"))),
        "Learning rate": f"{rate:.2g}" if rate is not None else None,
        "Memory": f"{memory / 1024:.1f} GB" if memory else None,
        "Load": f"{100 * status['load']:.0f} %" if view.state == "running" and status.get("load") is not None else None,
        "Trained for": in_words(seconds) if seconds is not None else None,
    }
    return [(label, value) for label, value in known.items() if value is not None]


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:,.0f}"


def _last(history: History, name: str) -> float | None:
    values = history.column(name)
    known = values[np.isfinite(values)]
    return float(known[-1]) if len(known) else None


def _show_section(name: str) -> None:
    """One of the sections; the others cost nothing."""
    with errors_in_a_sentence():
        section = st.segmented_control(
            "Section of the run",
            (_CURVES, _FACES, _SETTINGS, _LOG),
            default=_CURVES,
            required=True,
            key="train.section",
            persist_state="session",
            label_visibility="collapsed",
        )
        folder = RunFolder.open(name)
        match section:
            case "Curves":
                show_curves([name], "train.curves")
            case "Faces":
                show_samples(folder)
            case "Settings":
                _show_settings(folder)
            case "Log":
                _show_log(folder)


def _show_settings(folder: RunFolder) -> None:
    settings, made_with = settings_of(folder.read_config()), folder.read_made_with()
    left, right = st.columns(2, gap="medium")
    table = pd.DataFrame({"Setting": list(settings), "Value": [str(value) for value in settings.values()]})
    left.dataframe(table, hide_index=True, height="content")
    if made_with:
        right.markdown("**Made with**")
        right.json(made_with)
    right.download_button(
        "Settings as JSON",
        lambda: json.dumps({**folder.read_config(), "made_with": made_with}, indent=2).encode(),
        f"{folder.name}_config.json",
        "application/json",
        key="train.settings.json",
        icon=":material/download:",
        on_click="ignore",
    )


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
