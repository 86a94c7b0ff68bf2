"""Curves of one run or of several over each other: losses, errors, learning rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from fkd.training.history import AXES, EPOCH, STEP, TIME, History, read_history, smooth
from fkd.training.run import RunFolder
from fkd.ui.plots import GRID_COLOUR, PALETTE, bar_for, line_style, tidy

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
_AXIS_TITLES = {EPOCH: "epoch", STEP: "step", TIME: "minutes of training"}
_COLOURS = {"train_loss": PALETTE[0], "learning_rate": PALETTE[3]}  # whatever is of the validation faces is orange
_VALIDATION_COLOUR = PALETTE[1]
_HEIGHT_PX = 260
_MANY = 120  # points on a curve, from which on they are not marked


@dataclass(frozen=True)
class CurveView:
    """How curves are drawn.

    Attributes:
        over: `epoch`, `step` or `time`.
        smoothing: 0 for none, up to but not 1; see `fkd.training.history.smooth`.
        log: whether the y axes are logarithmic.
    """

    over: str = EPOCH
    smoothing: float = 0.0
    log: bool = False


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
    return CurveView(over, smoothing, log)


def show_curves(runs: Sequence[str], key: str) -> None:
    """The curves of one run or several, with the widgets that say how they are drawn.

    Args:
        runs: their names.
        key: prefix of the widgets' keys.
    """
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        view = choose_view(key)
        paused = st.toggle(
            "Pause",
            key=f"{key}.pause",
            help="Keeps new values back while you look closer: each of them would undo your zoom.",
        )
    histories = _read(tuple(runs), paused, key)
    if not any(map(len, histories.values())):
        st.info("The curves begin with the first seconds of training.", icon=":material/show_chart:")
        return
    show_panels(histories, view, key)
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
    for start in range(0, len(shown), 2):
        for column, panel in zip(st.columns(2, gap="medium"), shown[start : start + 2], strict=False):
            column.markdown(f"**{panel}**")
            column.plotly_chart(
                panel_figure(histories, panels[panel], view),
                key=f"{key}.{panel}",
                config=bar_for("_".join([*list(histories)[:3], *panels[panel]][:4])),
                alt=f"{panel} over {_AXIS_TITLES[view.over]}",
            )


def panel_figure(histories: Mapping[str, History], metrics: Mapping[str, str], view: CurveView) -> go.Figure:
    """The curves of `metrics` (name of the column to name in the legend); those of several runs by the run."""
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
    y_axis = {"type": "log" if view.log else "linear", "gridcolor": GRID_COLOUR, "exponentformat": "e"}
    # A rate that never changes would otherwise lie in the middle of an axis from -1 to 1.
    return figure.update_yaxes(rangemode="tozero" if "learning_rate" in metrics else "normal", zeroline=False, **y_axis)


def _add_curve(
    figure: go.Figure, history: History, metric: str, name: str, line: Mapping[str, str], view: CurveView
) -> None:
    """The curve, and where it is smoothed the one as it is behind it."""
    x, y = history.series(metric, view.over)
    if not len(x):
        return
    common = {
        "x": x,
        "name": name,
        "legendgroup": name,
        "mode": "lines" if len(x) > _MANY else "lines+markers",
        "marker": {"size": 4},
        "hovertemplate": f"{name}<br>{_AXIS_TITLES[view.over]} %{{x:.4~g}}: %{{y:.4~g}}<extra></extra>",
    }
    if view.smoothing:
        figure.add_scatter(y=y, line={**line, "width": 1}, opacity=0.3, showlegend=False, **{**common, "mode": "lines"})
    figure.add_scatter(y=smooth(y, view.smoothing) if view.smoothing else y, line={**line, "width": 2}, **common)


def _has(history: History, metrics: Mapping[str, str], view: CurveView) -> bool:
    return any(len(history.series(metric, view.over)[0]) for metric in metrics)
