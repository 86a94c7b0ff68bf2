"""How light, sharpness, size and pose are spread; what is picked in a figure opens as faces."""

from __future__ import annotations

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
    st.caption("Drag a box or a lasso round some faces to look at them.")
    event = st.plotly_chart(
        scatter_figure(source, x, y),
        key="explore.scatter",
        on_select="rerun",
        selection_mode=("box", "lasso"),
        config=MODEBAR,
        alt=f"{MEASURES[y]} over {MEASURES[x]}",
    )
    rows = sorted({int(point["customdata"][0]) for point in event.selection.points})
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


def scatter_figure(source: Source, x: str, y: str) -> go.Figure:
    """One dot for each face that has both measures."""
    measures, faces = source.quality.measures, source.faces
    rows = np.flatnonzero(np.isfinite(measures[x]) & np.isfinite(measures[y]))
    figure = go.Figure(
        go.Scattergl(
            x=measures[x][rows],
            y=measures[y][rows],
            customdata=np.stack([rows.astype(object), faces.rows[rows].astype(object)], axis=1),
            mode="markers",
            marker={"size": 6, "color": _COLOUR, "opacity": 0.7},
            hovertemplate="%{customdata[1]}<br>%{x:.3g}, %{y:.3g}<extra></extra>",
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
