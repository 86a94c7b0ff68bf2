"""Runs beside each other: curves over each other, differences to a baseline, settings against results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.training import launch
from fkd.training.comparison import ERRORS, RESULTS, differences, differing, runs_table, watch_the_same
from fkd.ui.frame import errors_in_a_sentence
from fkd.ui.plots import GOOD_TO_BAD, bar_for, scrolled_when_narrow, shortened, tidy
from fkd.ui.train.curves import show_curves
from fkd.ui.train.states import GOING_ON, POLL_S, readable
from fkd.ui.train.table import RUN, filter_runs, pick_rows

FEWEST_IN_PARALLEL = 4
_KEY = "train.compare"
_BROUGHT = f"{_KEY}.brought"  # the run that was open when this view was opened last
_FIRST_AXES = ("recipe", "data", "learning_rate", "batch_size", "epochs")
_FEW_AXES = 7  # besides the errors; more are for who asks for them
_MOST_CURVES = 24  # line styles there are
_CHANGE = "Δ "
_BETTER_COLOUR, _WORSE_COLOUR = "#009E73", "#D55E00"
_COUNTS = ("best_epoch", "epochs_done")  # whose differences say nothing that they do not say themselves
_AXIS_PX = 90  # fewer, and the names of one axis lie over the axis before
_LONGEST = 14  # characters of a name at an axis
_WIDE_SPAN = 50.0  # of an axis, as a factor, from which on it is logarithmic
_MEASURES = {"nme": "NME, %", "rmse_px": "RMSE, px"}


def show_comparison() -> None:
    """The table, where runs are chosen, and what the chosen ones have in common and not."""
    views = launch.view_all()
    if len(views) < 2:
        st.info("Two runs are needed for a comparison.", icon=":material/compare_arrows:")
        return
    table = runs_table(views)
    shown = filter_runs(table, _KEY)
    known = set(table["name"])
    # In the order of choosing, so that a run keeps its colour when another one joins.
    chosen = [name for name in pick_rows(shown, _KEY, _brought(known), several=True) if name in known]
    runs = table.set_index("name", drop=False).loc[chosen].reset_index(drop=True)
    if len(runs) < 2:
        st.caption("Tick two runs or more to lay their curves over each other.")
    else:
        _show_baseline(runs)
        _show_overlay(runs)
    _show_parallel(runs if len(runs) >= FEWEST_IN_PARALLEL else shown)


def _brought(known: set[str]) -> list[str]:
    """What is ticked besides by who comes from a run that was open: that one, after all that were ticked before."""
    state, opened = st.session_state, st.query_params.get(RUN)
    if opened not in known or state.get(_BROUGHT) == opened:
        return []
    state[_BROUGHT] = opened
    state.pop(f"{_KEY}.rows", None)
    return list(dict.fromkeys([*state.pop(f"{_KEY}.chosen", []), opened]))


def _show_baseline(runs: pd.DataFrame) -> None:
    """Results less those of one of the runs, and the settings in which they differ."""
    st.subheader("Differences", anchor=False)
    baseline = st.selectbox("Baseline", runs["name"].tolist(), key=f"{_KEY}.baseline", width=300)
    compared = difference_table(runs, baseline)
    if not watch_the_same(runs):
        st.caption(":material/info: These runs are measured on different faces, so their errors hardly compare.")
    st.dataframe(
        compared.style.map(_coloured, subset=[f"{_CHANGE}{RESULTS[name]}" for name in ERRORS if _known(runs, name)]),
        hide_index=True,
        height="content",
        placeholder="–",
        column_config=_difference_columns(compared),
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{_CHANGE.strip()} is the difference to {baseline}; of errors, green is better, orange worse. "
            "Settings in which all agree are left out.",
            width="stretch",
        )
        st.download_button(
            "Differences as CSV",
            lambda: compared.to_csv(index=False).encode(),
            "differences.csv",
            "text/csv",
            key=f"{_KEY}.csv",
            icon=":material/download:",
            type="tertiary",
            on_click="ignore",
        )


def difference_table(runs: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """The baseline first: results, each with its difference to the baseline's, then the settings that differ.

    Args:
        runs: rows of `runs_table`.
        baseline: the name of one of them.
    """
    change = differences(runs, baseline)
    columns: dict[str, pd.Series] = {"Run": runs["name"]}
    for name, label in RESULTS.items():
        if _known(runs, name):
            columns[label] = runs[name].astype(float)
        if _known(runs, name) and name not in _COUNTS:
            columns[f"{_CHANGE}{label}"] = change[name]
    columns |= {readable(name): _texts(runs[name]) for name in differing(runs)}
    compared = pd.DataFrame(columns)
    return compared.loc[(compared["Run"] != baseline).sort_values(kind="stable").index]


def _known(runs: pd.DataFrame, name: str) -> bool:
    return bool(runs[name].notna().any())


def _coloured(change: float) -> str:
    if not change:
        return ""
    return f"color: {_BETTER_COLOUR if change < 0 else _WORSE_COLOUR}" if change == change else ""


def _difference_columns(compared: pd.DataFrame) -> dict[str, Any]:
    number = st.column_config.NumberColumn
    config: dict[str, Any] = {"Run": st.column_config.TextColumn(pinned=True, width=150)}
    for label in RESULTS.values():
        digits = ".4" if "loss" in label else ".2" if label in ("NME, %", "RMSE, px") else ".0"
        config |= {label: number(format=f"%{digits}f"), f"{_CHANGE}{label}": number(format=f"%+{digits}f")}
    return {name: column for name, column in config.items() if name in compared}


def _show_overlay(runs: pd.DataFrame) -> None:
    """The curves, drawn again for as long as one of the runs goes on."""
    st.subheader("Curves", anchor=False)
    if len(runs) > _MOST_CURVES:
        st.caption(f"The first {_MOST_CURVES} of {len(runs):,} runs are drawn.")
    names = runs["name"].tolist()[:_MOST_CURVES]
    every = POLL_S if runs["state"].isin(GOING_ON).any() else None
    st.fragment(_overlay, run_every=every)(names, every is not None)


def _overlay(names: list[str], polling: bool) -> None:
    with errors_in_a_sentence():
        if polling and not any(launch.view(name).state in GOING_ON for name in names):
            st.rerun()
        show_curves(names, f"{_KEY}.curves", live=polling)


def _show_parallel(runs: pd.DataFrame) -> None:
    """Every run as a line through its settings to its error, from four runs with results on."""
    known = runs[runs["nme"].notna()]
    if len(known) < FEWEST_IN_PARALLEL:
        return
    st.subheader("Settings against errors", anchor=False)
    named = [name for name in dict.fromkeys((*_FIRST_AXES, *differing(known))) if name in known]
    differ = [name for name in named if known[name].map(str).nunique() > 1]
    # A fresh widget for other runs, as one that keeps its choice would leave out what these differ in.
    key = f"{_KEY}.axes.{'.'.join(differ)}"
    settings = st.multiselect("Settings", differ, default=differ[:_FEW_AXES], format_func=readable, key=key)
    figure = parallel_figure(known, settings)
    # Plotly puts a rim of this colour round the numbers of the axes; of itself it would be white in the dark too.
    figure.update_layout(paper_bgcolor=st.get_option(f"theme.{st.context.theme.type or 'light'}.backgroundColor"))
    axes = len(figure.data[0].dimensions)
    with scrolled_when_narrow("train-parallel", _AXIS_PX * axes):
        st.plotly_chart(
            figure,
            key=f"{_KEY}.parallel",
            config=bar_for("parallel_coordinates"),
            alt="Parallel coordinates of settings and errors",
        )
    st.caption(
        f"{len(known)} runs, each a line: blue has the lowest NME, orange the highest. Drag along an axis to pick out "
        "runs, and an axis by its name to move it."
    )


def parallel_figure(runs: pd.DataFrame, settings: Sequence[str]) -> go.Figure:
    """Parallel coordinates: an axis for each setting, then NME and RMSE.

    Args:
        runs: rows of `runs_table`, each with an NME.
        settings: columns of it.
    """
    dimensions = [_dimension(runs[name], name) for name in settings]
    dimensions += [_dimension(runs[name], label) for name, label in _MEASURES.items() if _known(runs, name)]
    nme = runs["nme"].astype(float)
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            # The worst tenth shares a colour, so that one run that failed to learn leaves some for the others.
            line={"color": nme, "colorscale": GOOD_TO_BAD, "cmin": nme.min(), "cmax": nme.quantile(0.9)},
            labelangle=-20,
            labelfont={"size": 12},
            tickfont={"size": 11},
        )
    )
    # The names on the first axis stand to its left.
    left_px = 20 + 7 * max((len(name) for name in dimensions[0].get("ticktext", ())), default=4)
    return tidy(figure, 420, margin={"l": left_px, "r": 60, "t": 90, "b": 20})


def _dimension(values: pd.Series, name: str) -> dict[str, Any]:
    """An axis: numbers as they are, or by their powers of ten; anything else as names at equal distances."""
    texts = _texts(values)
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values) and "–" not in set(
        texts
    ):
        return {"label": readable(name), **_numbers(values.to_numpy(float))}
    kinds = sorted(texts.unique())
    return {
        "label": readable(name),
        "values": texts.map(kinds.index),
        "tickvals": list(range(len(kinds))),
        "ticktext": [shortened(kind, _LONGEST) for kind in kinds],
    }


def _numbers(values: np.ndarray) -> dict[str, Any]:
    """The numbers of an axis; learning rates and their like, which span powers of ten, by their logarithm."""
    if values.min() <= 0 or values.max() / values.min() < _WIDE_SPAN:
        return {"values": values}
    powers = np.log10(values)
    ticks = np.arange(np.floor(powers.min()), np.ceil(powers.max()) + 1)
    return {
        "values": powers,
        "range": [ticks[0], ticks[-1]],
        "tickvals": ticks,
        "ticktext": [f"{10.0**tick:g}" for tick in ticks],
    }


def _texts(values: pd.Series) -> pd.Series:
    """Settings as texts; a dash for one that a run does not know."""
    return values.astype(object).where(values.notna(), "–").map(str)
