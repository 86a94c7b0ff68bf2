"""How light, sharpness, size and pose are spread; what is picked in a figure opens as faces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from fkd.data.quality import CHECKS
from fkd.ui.explore import choice, keys
from fkd.ui.explore.source import Source
from fkd.ui.plots import MODEBAR, tidy

MEASURES = {
    "brightness": "Brightness, mean grey value",
    "contrast": "Contrast, standard deviation of grey",
    "sharpness": "Sharpness, share of fine detail",
    "face_px": "Face size in the source, px",
    "tilt_deg": "Head tilt, degrees clockwise",
    "turn": "Head turn, nose offset in eye distances",
}
_COLOUR = "#56B4E9"
_MOST_DOTS = 8_000  # in one figure, so that a browser answers at once


def show_distributions(source: Source) -> None:
    """Two measures against each other, where faces can be picked, and the histogram of each measure."""
    with st.container(horizontal=True):
        x, y = (
            st.selectbox(
                label,
                list(MEASURES),
                index=at,
                format_func=MEASURES.__getitem__,
                key=key,
                persist_state="session",
                width=300,
            )
            for label, at, key in (("Across", 0, "explore.across"), ("Up", 2, "explore.up"))
        )
    shown = drawn_rows(source, x, y)
    told = ["Drag a box or a lasso round some faces to look at them."]
    if len(source.faces) > _MOST_DOTS:
        told.append(f"At most {_MOST_DOTS:,} are drawn, evenly spread; an outline takes all that lie in it.")
    if not source.measured:
        told.append("Light and sharpness are not measured yet.")
    st.caption(" ".join(told))
    event = st.plotly_chart(
        scatter_figure(source, x, y, shown),
        key="explore.scatter",
        on_select="rerun",
        selection_mode=("box", "lasso"),
        config=MODEBAR,
        alt=f"{MEASURES[y]} over {MEASURES[x]}",
    )
    rows = outlined_rows(source, x, y, event.selection)
    st.button(
        f"Show the {len(rows):,} faces" if rows else "No faces picked yet",
        icon=":material/arrow_forward:",
        type="primary",
        disabled=not rows,
        on_click=keys.open_selection,
        args=(rows, choice.SELECTED),
    )
    for start in range(0, len(MEASURES), 3):
        for column, name in zip(st.columns(3), list(MEASURES)[start : start + 3], strict=True):
            column.plotly_chart(
                histogram_figure(source, name), key=f"explore.histogram.{name}", config=MODEBAR, alt=MEASURES[name]
            )


def drawn_rows(source: Source, x: str, y: str) -> np.ndarray:
    """The faces that have both measures, evenly thinned out where a browser would tire of them."""
    measures = source.quality.measures
    rows = np.flatnonzero(np.isfinite(measures[x]) & np.isfinite(measures[y]))
    if len(rows) <= _MOST_DOTS:
        return rows
    return rows[np.linspace(0, len(rows) - 1, _MOST_DOTS).round().astype(int)]


def outlined_rows(source: Source, x: str, y: str, selection: Mapping[str, Any]) -> list[int]:
    """The faces, drawn or not, within any of the boxes `{x: [2], y: [2]}` and lassos `{x: [m], y: [m]}`."""
    places = np.stack([source.quality.measures[x], source.quality.measures[y]], axis=1)
    inside = np.zeros(len(places), bool)
    for box in selection["box"]:
        low, high = np.sort([box["x"], box["y"]], axis=1).T
        inside |= ((places >= low) & (places <= high)).all(axis=1)
    for lasso in selection["lasso"]:
        inside |= _within(places, np.stack([lasso["x"], lasso["y"]], axis=1))
    return np.flatnonzero(inside).tolist()


def _within(places: np.ndarray, outline: np.ndarray) -> np.ndarray:
    """(n,) bool: whether (n, 2) places lie in the polygon of (m, 2) corners, by the crossings to their right."""
    x, y = places.T
    inside = np.zeros(len(places), bool)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        if y0 != y1:
            inside ^= ((y0 > y) != (y1 > y)) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
    return inside


def scatter_figure(source: Source, x: str, y: str, rows: np.ndarray) -> go.Figure:
    """One dot for each of the given faces."""
    measures, faces = source.quality.measures, source.faces
    figure = go.Figure(
        go.Scattergl(
            x=measures[x][rows],
            y=measures[y][rows],
            text=faces.rows[rows],
            mode="markers",
            marker={"size": 6, "color": _COLOUR, "opacity": 0.7},
            hovertemplate="%{text}<br>%{x:.3g}, %{y:.3g}<extra></extra>",
        )
    )
    tidy(figure, 420, dragmode="select")
    return figure.update_xaxes(title=MEASURES[x]).update_yaxes(title=MEASURES[y])


def histogram_figure(source: Source, measure: str) -> go.Figure:
    """The spread of a measure, with the thresholds of the checks that look at it."""
    values = source.quality.measures[measure]
    counts, edges = np.histogram(values[np.isfinite(values)], bins=40)
    figure = go.Figure(
        go.Bar(
            x=(edges[1:] + edges[:-1]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": _COLOUR},
            hovertemplate="%{x:.3g}: %{y} faces<extra></extra>",
        )
    )
    for check in CHECKS.values():
        if check.measure == measure and edges[0] <= check.threshold <= edges[-1]:
            figure.add_vline(
                check.threshold,
                line={"dash": "dot", "color": "#D55E00"},
                annotation_text=check.name,
                annotation_yshift=16,
            )
    tidy(figure, 220, margin={"l": 0, "r": 0, "t": 20, "b": 8}, bargap=0)
    return figure.update_xaxes(title=MEASURES[measure])
