"""Faces as pictures: small ones for the grid, and as the background of a figure."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import plotly.graph_objects as go

from fkd.pipeline.draw import draw_points
from fkd.schema import Schema
from fkd.ui.plots import tidy


def thumbnail(image_gray_u8: np.ndarray, points_px: np.ndarray, schema: Schema, side: int) -> np.ndarray:
    """(side, side, 3) uint8 RGB with the (k, 2) points drawn in their groups' colours."""
    return with_points(image_gray_u8, points_px, schema.colours, side, side / (75 if len(schema) < 30 else 130))


def with_points(
    image_gray_u8: np.ndarray, points_px: np.ndarray, colours: Sequence[str], side: int, radius_px: float
) -> np.ndarray:
    """The picture with its longer side brought to `side`, as RGB with the points drawn; NaN ones left out."""
    factor = side / max(image_gray_u8.shape)
    large = cv2.resize(image_gray_u8, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    return draw_points(cv2.cvtColor(large, cv2.COLOR_GRAY2RGB), (points_px + 0.5) * factor - 0.5, colours, radius_px)


def picture_figure(image_u8: np.ndarray, height: int) -> go.Figure:
    """A figure with a picture at the back, its axes in pixels of the picture and y down.

    It shows the whole picture, and can be moved by a picture's side at most, wherever the points in it are.
    """
    rows, columns = image_u8.shape[:2]
    figure = go.Figure()
    figure.add_layout_image(
        source=_data_uri(image_u8),
        xref="x",
        yref="y",
        x=-0.5,
        y=-0.5,
        sizex=columns,
        sizey=rows,
        sizing="stretch",
        layer="below",
    )
    hidden = {"showgrid": False, "zeroline": False, "showticklabels": False}
    figure.update_xaxes(range=[-0.5, columns - 0.5], constrain="domain", **_within(columns), **hidden)
    figure.update_yaxes(
        range=[rows - 0.5, -0.5],
        scaleanchor="x",
        constrain="domain",
        constraintoward="top",
        **_within(rows),
        **hidden,
    )
    return tidy(figure, height, dragmode="pan")


def _within(side: int) -> dict[str, int]:
    """How far an axis over a side of the picture can be moved."""
    return {"minallowed": -side, "maxallowed": 2 * side}


def _data_uri(image_u8: np.ndarray) -> str:
    """A grey or RGB picture, enlarged so that the browser has nothing to smooth."""
    factor = max(1, 600 // max(image_u8.shape[:2]))
    return data_uri(cv2.resize(image_u8, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC))


def data_uri(image_u8: np.ndarray) -> str:
    """A grey or RGB picture as an address that holds it as PNG."""
    return "data:image/png;base64," + base64.b64encode(png(image_u8)).decode()


def png(image_u8: np.ndarray) -> bytes:
    """A (h, w) grey or (h, w, 3) RGB uint8 picture as a PNG file."""
    if image_u8.ndim == 3:
        image_u8 = cv2.cvtColor(image_u8, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", image_u8)[1].tobytes()
