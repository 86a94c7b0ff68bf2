"""Curves of one run or of several over each other: losses, errors, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.training.history import AXES, EPOCH, STEP, TIME, History, read_history, smooth
from fkd.training.run import RunFolder
from fkd.ui.plots import GRID_COLOUR, PALETTE, bar_for, line_style, shortened, tidy

# Panel: the columns of metrics.jsonl that are drawn in it, with their names in the legend.
_OF_ERRORS = {"NME, %": {"validation_nme": "validation"}, "RMSE, px": {"validation_rmse_px": "validation"}}
_RATE = {"Learning rate": {"learning_rate": "learning rate"}}
PANELS = {"Loss": {"train_loss": "training", "validation_loss": "validation"}, **_OF_ERRORS, **_RATE}
PANELS_OF_SEVERAL = {
    **_OF_ERRORS,
    "Train loss": {"train_loss": "training"},
    "Validation loss": {"validation_loss": "validation"},
    **_RATE,
}
VALIDATED = ("validation_loss", "validation_nme", "validation_rmse_px")
_AXIS_TITLES = {EPOCH: "epoch", STEP: "step", TIME: "minutes of training"}
_COLOURS = {"train_loss": PALETTE[0], "learning_rate": PALETTE[3]}  # whatever is of the validation faces is orange
_VALIDATION_COLOUR = PALETTE[1]
_HEIGHT_PX = 260
_MANY = 60  # points on a curve, from which on they are not marked
_LONGEST = 32  # characters of a name in the legend, as many as fit on a phone
_FEW = 10  # points on a curve, up to which none is an outlier
_FEW_TICKS = 10  # whole numbers on an x axis that all fit, also on a phone
_ROOM = 0.04  # beside the curves, as a share of their length
_LEFT_PX = 60  # for the longest numbers at a y axis
_MOST = 0.95  # share of a curve that is never cut off


@dataclass(frozen=True)
class CurveView:
    """How curves are drawn.

    Attributes:
        over: `epoch`, `step` or `time`.
        smoothing: 0 for none, up to but not 1; see `fkd.training.history.smooth`.
        log: whether the y axes are logarithmic.
        whole: whether they reach to the largest values, which those of the first steps are.
    """

    over: str = EPOCH
    smoothing: float = 0.0
    log: bool = False
    whole: bool = True


def choose_view(key: str) -> CurveView:
    """The widgets for a `CurveView`; to be called inside a horizontal container."""
    over = st.segmented_control(
        "Across",
        AXES,
        default=EPOCH,
        required=True,
        format_func=str.capitalize,
        key=f"{key}.over",
        persist_state="session",
    )
    smoothing = st.slider(
        "Smoothing",
        0.0,
        0.98,
        0.0,
        0.02,
        key=f"{key}.smoothing",
        help="How much of the values before counts in each point; the curve as it is stays visible behind.",
        persist_state="session",
        width=220,
    )
    log = st.toggle("Log axis", key=f"{key}.log", persist_state="session")
    cut = st.toggle(
        "Ignore outliers",
        value=True,
        key=f"{key}.cut",
        persist_state="session",
        disabled=log,
        help="Cuts the y axes off above most values: those of the first steps would flatten all others.",
    )
    return CurveView(over, smoothing, log, whole=log or not cut)


def show_curves(runs: Sequence[str], key: str, *, live: bool) -> None:
    """The curves of one run or several, with the widgets that say how they are drawn.

    Args:
        runs: their names.
        key: prefix of the widgets' keys.
        live: whether any of them goes on, so that there is something to pause.
    """
    histories = _read(tuple(runs), live and bool(st.session_state.get(f"{key}.pause")), key)
    if not any(map(len, histories.values())):
        told = "The curves begin with the first seconds of training." if live else "It ended before its first curve."
        st.info(told, icon=":material/show_chart:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        view = choose_view(key)
        if live:
            st.toggle(
                "Pause",
                key=f"{key}.pause",
                help="Keeps new values back while you look closer: each of them would undo your zoom.",
            )
    show_panels(histories, view, key)
    _tell_of_marks(histories)
    st.download_button(
        "Metrics as CSV",
        lambda: metrics_csv(histories),
        f"{'_'.join(runs[:3])}_metrics.csv",
        "text/csv",
        key=f"{key}.csv",
        icon=":material/download:",
        on_click="ignore",
    )


def metrics_csv(histories: Mapping[str, History]) -> bytes:
    """Every line of the runs' metrics, the run's name first."""
    tables = [pd.DataFrame(history.columns) for history in histories.values()]
    return pd.concat(tables, keys=histories, names=["run", None]).reset_index("run").to_csv(index=False).encode()


def _read(runs: tuple[str, ...], paused: bool, key: str) -> dict[str, History]:
    """What the runs have written, or had written when the pause began."""
    frozen: dict[str, History] | None = st.session_state.get(f"{key}.frozen")
    if paused and frozen is not None and tuple(frozen) == runs:
        return frozen
    histories = {run: read_history(RunFolder.open(run)) for run in runs}
    st.session_state[f"{key}.frozen"] = histories
    return histories


def show_panels(histories: Mapping[str, History], view: CurveView, key: str) -> None:
    """A figure for each panel that any of the runs has values for, two beside each other.

    Args:
        histories: by the name of the run; one alone has its losses in one panel.
        view: how they are drawn.
        key: prefix of the figures' keys.
    """
    panels = PANELS if len(histories) == 1 else PANELS_OF_SEVERAL
    shown = [panel for panel in panels if any(_has(history, panels[panel], view) for history in histories.values())]
    if not shown:
        st.info(f"None of this has been noted over {_AXIS_TITLES[view.over].lower()}.", icon=":material/info:")
    figures = {panel: panel_figure(histories, panels[panel], view) for panel in shown}
    align(list(figures.values()), view.over)
    for start in range(0, len(shown), 2):
        for column, panel in zip(st.columns(2, gap="medium"), shown[start : start + 2], strict=False):
            column.markdown(f"**{panel}**")
            column.plotly_chart(
                figures[panel],
                key=f"{key}.{panel}",
                config=bar_for("_".join([*list(histories)[:3], *panels[panel]][:4])),
                alt=f"{panel} over {_AXIS_TITLES[view.over]}",
            )


def panel_figure(histories: Mapping[str, History], metrics: Mapping[str, str], view: CurveView) -> go.Figure:
    """The curves of `metrics` (name of the column to name in the legend); those of several runs by the run."""
    if "learning_rate" in metrics:  # it is set, and has no noise to take away
        view = replace(view, smoothing=0.0)
    figure = go.Figure()
    for index, (run, history) in enumerate(histories.items()):
        for metric, label in metrics.items():
            if len(histories) > 1:
                _add_curve(figure, history, metric, run, line_style(index), view)
            else:
                _add_curve(figure, history, metric, label, {"color": _COLOURS.get(metric, _VALIDATION_COLOUR)}, view)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    tidy(figure, _HEIGHT_PX, showlegend=max(len(histories), len(metrics)) > 1, legend=legend)
    figure.update_xaxes(title=_AXIS_TITLES[view.over], gridcolor=GRID_COLOUR, zeroline=False)
    y_axis = {
        "type": "log" if view.log else "linear",
        "gridcolor": GRID_COLOUR,
        "exponentformat": "e",
        "zeroline": False,
    }
    # A rate that never changes would otherwise lie in the middle of an axis from -1 to 1.
    rangemode = "tozero" if "learning_rate" in metrics else "normal"
    figure.update_yaxes(rangemode=rangemode, range=None if view.whole else range_of_most(figure), **y_axis)
    return figure


def range_of_most(figure: go.Figure) -> list[float] | None:
    """A y axis that leaves out the few values of a curve that lie far above its others; None where there are none."""
    curves = [trace.y for trace in figure.data]
    if not curves:
        return None
    low = min(map(min, curves))
    most = max(np.quantile(y, _MOST) if len(y) > _FEW else max(y) for y in curves)
    margin = 0.05 * (most - low)
    top = most + 10 * margin
    return None if max(map(max, curves)) <= top else [low - margin, top]


def align(figures: Sequence[go.Figure], over: str) -> None:
    """Give figures the same x axis at the same place, so that what happened at once stands below each other.

    Ticks on an axis so short that Plotly would put some between whole epochs or steps are one apart.
    """
    ends = [end for figure in figures for trace in figure.data for end in (min(trace.x), max(trace.x))]
    if not ends:
        return
    low, high = min(ends), max(ends)
    room = _ROOM * (high - low) or 0.5
    dtick = 1 if over != TIME and high - low <= _FEW_TICKS else None
    for figure in figures:
        figure.update_xaxes(range=[low - room, high + room], dtick=dtick)
        figure.update_yaxes(automargin=False)
        figure.update_layout(margin_l=_LEFT_PX)


def _add_curve(
    figure: go.Figure, history: History, metric: str, name: str, line: Mapping[str, str], view: CurveView
) -> None:
    """The curve, and where it is smoothed the one as it is behind it."""
    x, y = history.series(metric, view.over)
    if not len(x):
        return
    common = {
        "x": x,
        "name": shortened(name, _LONGEST),
        "legendgroup": name,
        "mode": "lines" if len(x) > _MANY else "lines+markers",
        "marker": {"size": 4},
        "hovertemplate": f"{name}<br>{_AXIS_TITLES[view.over]} %{{x:.4~g}}: %{{y:.4~g}}<extra></extra>",
    }
    if view.smoothing:
        figure.add_scatter(y=y, line={**line, "width": 1}, opacity=0.3, showlegend=False, **{**common, "mode": "lines"})
    figure.add_scatter(y=smooth(y, view.smoothing) if view.smoothing else y, line={**line, "width": 2}, **common)
    _add_best(figure, history, metric, name, line, view)


def _add_best(
    figure: go.Figure, history: History, metric: str, name: str, line: Mapping[str, str], view: CurveView
) -> None:
    """A star at the epoch whose weights are kept."""
    best = history.best()
    place = "seconds" if view.over == TIME else view.over
    if metric not in VALIDATED or not {metric, place} <= best.keys():
        return
    figure.add_scatter(
        x=[best[place] / (60 if view.over == TIME else 1)],
        y=[best[metric]],
        mode="markers",
        legendgroup=name,
        showlegend=False,
        marker={"symbol": "star", "size": 13, "color": line["color"], "line": {"width": 1, "color": "white"}},
        hovertemplate=f"{name}, best epoch {best['epoch']:.0f}: %{{y:.4~g}}<extra></extra>",
    )


def _tell_of_marks(histories: Mapping[str, History]) -> None:
    """What the stars in the figures stand for."""
    best = {run: history.best() for run, history in histories.items()}
    known = {run: record["epoch"] for run, record in best.items() if "epoch" in record}
    if len(histories) == 1 and known:
        (epoch,) = known.values()
        which = f"epoch {epoch:.0f}, the best by NME" if epoch else "what it started from, better by NME than any epoch"
        st.caption(f"★ is {which}, whose weights are kept.")
    elif known:
        st.caption("★ is each run's best epoch by NME, whose weights are kept.")


def _has(history: History, metrics: Mapping[str, str], view: CurveView) -> bool:
    return any(len(history.series(metric, view.over)[0]) for metric in metrics)
