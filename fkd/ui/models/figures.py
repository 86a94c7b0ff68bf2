"""The figures of the Models page, from stored results alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import plotly.graph_objects as go

from fkd.evaluation.assessment import CURVE_NME
from fkd.metrics import FAILURE
from fkd.schema import Schema
from fkd.ui.plots import DASHES, GRID_COLOUR, PALETTE, line_style, tidy

_HEIGHT_PX = 420
_ABOVE = {"orientation": "h", "yanchor": "bottom", "y": 1.0, "x": 0}


def cumulative_figure(curves: Mapping[str, list[float]], chosen: str) -> go.Figure:
    """Cumulative error curves over each other; the chosen one wide, the others as dashes on it where they meet.

    Args:
        curves: name to the percentage of faces up to each NME of `CURVE_NME`.
        chosen: one of the names.
    """
    figure = go.Figure()
    colours = {name: line_style(index)["color"] for index, name in enumerate(curves)}
    for place, name in enumerate(sorted(curves, key=lambda name: name != chosen)):
        figure.add_scatter(
            x=CURVE_NME,
            y=curves[name],
            mode="lines",
            name=name,
            line={"color": colours[name], "width": 2 if place else 4, "dash": DASHES[place % len(DASHES)]},
            hovertemplate=f"{name}: %{{y:.1f}} % of faces up to %{{x:.1f}} %<extra></extra>",
        )
    figure.add_vline(
        x=100 * FAILURE,
        line={"color": GRID_COLOUR, "dash": "dash"},
        annotation_text="failure",
        annotation_position="bottom right",  # the curves are at the top there
    )
    figure.update_xaxes(title="NME, %", gridcolor=GRID_COLOUR, range=[0, CURVE_NME[-1]])
    figure.update_yaxes(title="faces, %", gridcolor=GRID_COLOUR, range=[0, 101])
    return tidy(figure, _HEIGHT_PX, legend=_ABOVE)


def keypoint_figure(schema: Schema, mean_face: np.ndarray, eyes: float, nme: Mapping[str, float]) -> go.Figure:
    """The mean face with the mean error of each keypoint as a circle, true to its scale.

    Args:
        schema: of the points.
        mean_face: (k, 2) in longer sides of the box round the points, y down.
        eyes: distance of the outer eye corners in that unit.
        nme: mean error of each keypoint in percent of that distance.
    """
    errors = np.array([nme[name] for name in schema.keypoints])
    figure = go.Figure()
    for first, second in schema.edges:
        ends = mean_face[[first, second]]
        figure.add_scatter(
            x=ends[:, 0], y=ends[:, 1], mode="lines", line={"color": GRID_COLOUR}, hoverinfo="skip", showlegend=False
        )
    for (x, y), radius, colour in zip(mean_face, errors / 100 * eyes, schema.colours, strict=True):
        circle = {"x0": x - radius, "x1": x + radius, "y0": y - radius, "y1": y + radius}
        figure.add_shape(type="circle", **circle, line={"color": colour, "width": 1.5}, fillcolor=colour, opacity=0.45)
    for group, members in schema.groups.items():
        chosen = list(members)
        figure.add_scatter(
            x=mean_face[chosen, 0],
            y=mean_face[chosen, 1],
            mode="markers",
            name=group,
            marker={"size": 5, "color": schema.colours[chosen[0]]},
            text=[schema.keypoints[i] for i in chosen],
            customdata=errors[chosen],
            hovertemplate="%{text}<br>%{customdata:.2f} %<extra></extra>",
        )
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_xaxes(**hidden)
    figure.update_yaxes(autorange="reversed", scaleanchor="x", **hidden)
    return tidy(figure, _HEIGHT_PX, legend=_ABOVE)


def dropping_figure(dropped: list[float], by_score: list[float], ideal: list[float]) -> go.Figure:
    """Mean error of the points that remain when those with the lowest scores, or the truly worst, are dropped."""
    lines = {"lowest scores": (by_score, PALETTE[0], "solid"), "truly worst": (ideal, PALETTE[2], "dash")}
    figure = go.Figure()
    for name, (values, colour, dash) in lines.items():
        figure.add_scatter(
            x=dropped,
            y=values,
            mode="lines",
            name=f"{name} dropped",
            line={"color": colour, "dash": dash, "width": 2.5},
            hovertemplate=f"%{{x:g}} % with the {name} dropped: %{{y:.2f}} %<extra></extra>",
        )
    figure.update_xaxes(title="points dropped, %", gridcolor=GRID_COLOUR)
    figure.update_yaxes(title="mean error of the others, %", gridcolor=GRID_COLOUR, rangemode="tozero")
    return tidy(figure, 340, legend=_ABOVE)


def score_figure(bins: Mapping[str, list[float]]) -> go.Figure:
    """Error at rising scores: median and ninth decile of bins of equally many points."""
    figure = go.Figure()
    for name, label, colour in (("median", "median", PALETTE[0]), ("p90", "nine in ten are below", PALETTE[1])):
        figure.add_scatter(
            x=bins["score"],
            y=bins[name],
            mode="lines+markers",
            name=label,
            line={"color": colour, "width": 2.5},
            hovertemplate=f"score %{{x:.2f}}, {label}: %{{y:.2f}} %<extra></extra>",
        )
    figure.update_xaxes(title="score of the point", gridcolor=GRID_COLOUR)
    figure.update_yaxes(title="its error, % of the eyes' distance", gridcolor=GRID_COLOUR, rangemode="tozero")
    return tidy(figure, 340, legend=_ABOVE)
