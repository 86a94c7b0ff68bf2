"""All labels at once over the mean face: as they are, or brought onto each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import plotly.graph_objects as go
import streamlit as st

from fkd.crop import cut, invert
from fkd.data.dataset import Dataset
from fkd.data.shape import score_shapes
from fkd.schema import Schema
from fkd.ui.explore.source import Source
from fkd.ui.pictures import picture_figure
from fkd.ui.plots import MODEBAR, square_when_narrow

RAW, ALIGNED = "As labelled", "Aligned"
POINTS, DENSITY, ELLIPSES = "Points", "Density", "Ellipses"
_ALIGNED_PX, _ALIGNED_RADIUS_PX = 240, 62  # side of the aligned picture, and what the shapes' RMS radius is in it
_HEIGHT_PX = 560
_MEAN_OF = 300
_MOST_POINTS = 12_000  # in one figure, so that a browser still turns it smoothly
_MASS = 2.45  # standard deviations of an ellipse that holds 95 % of a Gaussian


@dataclass(frozen=True)
class Cloud:
    """Points of n faces in the frame of one picture.

    Attributes:
        points_px: (n, k, 2) in pixels of `mean_u8`; NaN where a label is missing.
        mean_u8: (h, w) uint8 mean face.
    """

    points_px: np.ndarray
    mean_u8: np.ndarray


def show_cloud(source: Source) -> None:
    """The cloud with its switches."""
    schema = source.faces.schema
    with st.container(horizontal=True, vertical_alignment="bottom"):
        frame = st.segmented_control(
            "Frame",
            [RAW, ALIGNED],
            default=RAW,
            required=True,
            key="explore.frame",
            persist_state="session",
            label_visibility="collapsed",
        )
        layers = st.pills(
            "Layers",
            [POINTS, DENSITY, ELLIPSES],
            selection_mode="multi",
            default=[POINTS],
            key="explore.layers",
            persist_state="session",
            label_visibility="collapsed",
        )
        groups = list(schema.groups)
        chosen = st.pills(
            "Groups",
            groups,
            selection_mode="multi",
            default=groups,
            format_func=str.capitalize,
            key=f"explore.groups.{schema.name}",
            persist_state="session",
            label_visibility="collapsed",
        )
    keypoints = _choose_keypoints(schema, [i for i, group in enumerate(schema.group_of) if group in chosen])
    cloud = _cloud(source.key, frame == ALIGNED, source)
    figure = cloud_figure(source.faces, cloud, keypoints, layers)
    with square_when_narrow("explore-cloud", _HEIGHT_PX):
        alt = "Keypoints of all faces over the mean face"
        st.plotly_chart(figure, height="stretch", key="explore.cloud", config=MODEBAR, alt=alt)
    st.caption("Hover over a point for its name and count. Aligned: shift, turn and size removed.")


def _choose_keypoints(schema: Schema, offered: list[int]) -> list[int]:
    """Switches for single keypoints, folded away: there may be 68 of them."""
    names = [schema.keypoints[i] for i in offered]
    with st.expander("Single keypoints", icon=":material/tune:"):
        hidden = st.pills(
            "Hidden keypoints",
            names,
            selection_mode="multi",
            key=f"explore.hidden.{schema.name}",
            persist_state="session",
            help="Press a name to hide the keypoint, and again to bring it back.",
        )
    return [i for i in offered if schema.keypoints[i] not in hidden]


@st.cache_resource(show_spinner="Laying the faces over each other …", max_entries=6)
def _cloud(key: tuple, aligned: bool, _source: Source) -> Cloud:
    return aligned_cloud(_source.faces) if aligned else raw_cloud(_source.faces)


def raw_cloud(faces: Dataset) -> Cloud:
    """Points and mean face in pixels of the dataset's pictures."""
    sample = faces.images_u8[_spread(len(faces), _MEAN_OF)]
    return Cloud(faces.points_px, sample.mean(axis=0).astype(np.uint8))


def aligned_cloud(faces: Dataset) -> Cloud:
    """Points and mean face after each face is brought onto the mean shape by a similarity."""
    shapes = score_shapes(faces.points_px)
    middle = (_ALIGNED_PX - 1) / 2
    to_picture = shapes.to_mean * _ALIGNED_RADIUS_PX
    to_picture[:, :, 2] += middle
    usable = np.flatnonzero(np.isfinite(to_picture).all(axis=(1, 2)))
    rows = usable[_spread(len(usable), _MEAN_OF)]
    pictures = [cut(faces.images_u8[row], invert(to_picture[row]), _ALIGNED_PX) for row in rows]
    mean = np.mean(pictures, axis=0).astype(np.uint8)
    return Cloud((shapes.aligned * _ALIGNED_RADIUS_PX + middle).astype(np.float32), mean)


def cloud_figure(faces: Dataset, cloud: Cloud, keypoints: list[int], layers: list[str]) -> go.Figure:
    """The layers of the chosen keypoints; hovering gives a keypoint's name and how many labels it has."""
    schema = faces.schema
    figure = picture_figure(cloud.mean_u8, _HEIGHT_PX)
    rows = _spread(len(faces), max(_MOST_POINTS // max(len(keypoints), 1), 50))
    if DENSITY in layers and keypoints:
        _add_density(figure, cloud.points_px[:, keypoints].reshape(-1, 2), cloud.mean_u8.shape)
    for i in keypoints:
        points = cloud.points_px[:, i]
        count = int(np.isfinite(points).all(axis=1).sum())
        common = {"name": schema.keypoints[i], "legendgroup": schema.group_of[i], "showlegend": False}
        colour, told = schema.colours[i], f"{schema.keypoints[i]}<br>{count:,} labels<extra></extra>"
        if POINTS in layers:
            figure.add_scattergl(
                x=points[rows, 0],
                y=points[rows, 1],
                mode="markers",
                marker={"size": 4, "color": colour, "opacity": 0.5},
                hovertemplate=told,
                **common,
            )
        if ELLIPSES in layers and count > 2:
            outline = ellipse(points[np.isfinite(points).all(axis=1)])
            figure.add_scatter(
                x=outline[:, 0],
                y=outline[:, 1],
                mode="lines",
                line={"color": colour, "width": 2},
                hovertemplate=told,
                **common,
            )
    _add_legend(figure, schema, keypoints)
    return figure


def _add_legend(figure: go.Figure, schema: Schema, keypoints: list[int]) -> None:
    """One entry for each group, above the picture: names of single keypoints would fill a phone."""
    colours = {schema.group_of[i]: schema.colours[i] for i in keypoints}
    for group, colour in colours.items():
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=group.capitalize(),
            legendgroup=group,
            marker={"size": 10, "color": colour},
        )
    figure.update_layout(legend={"orientation": "h", "yanchor": "bottom", "y": 1.0, "font": {"size": 13}})


def ellipse(points_px: np.ndarray) -> np.ndarray:
    """(49, 2) outline of the ellipse that holds 95 % of a Gaussian with the mean and covariance of (m, 2) points."""
    values, vectors = np.linalg.eigh(np.cov(points_px.astype(np.float64), rowvar=False))
    angle = np.linspace(0, 2 * np.pi, 49)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points_px.mean(axis=0) + _MASS * (circle * np.sqrt(np.maximum(values, 0))) @ vectors.T


def _add_density(figure: go.Figure, points_px: np.ndarray, shape: tuple[int, ...]) -> None:
    points = points_px[np.isfinite(points_px).all(axis=1)]
    ranges = [(-0.5, shape[1] - 0.5), (-0.5, shape[0] - 0.5)]
    counts, x, y = np.histogram2d(points[:, 0], points[:, 1], bins=(shape[1], shape[0]), range=ranges)
    smooth = cv2.GaussianBlur(counts.T, (0, 0), shape[0] / 96)
    figure.add_heatmap(
        z=smooth,
        x=(x[1:] + x[:-1]) / 2,
        y=(y[1:] + y[:-1]) / 2,
        colorscale=[[0, "rgba(240,228,66,0)"], [0.05, "rgba(240,228,66,0.35)"], [1, "rgba(213,94,0,0.85)"]],
        zsmooth="best",
        showscale=False,
        hoverinfo="skip",
    )


def _spread(n: int, most: int) -> np.ndarray:
    """At most `most` of n rows, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))
