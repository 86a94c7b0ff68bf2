"""Faces drawn on their photo: boxes, edges, points, and names or numbers of the points.

    annotated_rgb_u8 = draw_faces(image_rgb_u8, faces, schema, DrawOptions(labels="numbers"))

Sizes follow the face, so that one of 100 pixels and one of 4,000 look alike. A point that the
network is unsure of is an empty ring.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fkd.options import check, option
from fkd.pipeline.face import Face
from fkd.pipeline.track import TrackedFace
from fkd.schema import Schema

Colour = tuple[int, int, int]

_FRACTION_BITS = 6  # cv2 takes coordinates in 1/64 pixel, for smooth lines at any size
_DARK: Colour = (24, 24, 28)
_WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn; out-of-range values raise `ValueError`."""

    show_boxes: bool = option(
        True, "Draw the box of each face, with its number in videos and how sure the network is of it in photos."
    )
    show_edges: bool = option(True, "Join neighbouring points by lines.")
    labels: str = option(
        "none",
        "Write at each point its name, where there is room, or its number as points are counted in files, from 0.",
        choices=("none", "names", "numbers"),
    )
    point_size: float = option(1.0, "Size of the points; 1 suits the size of each face.", low=0.2, high=5.0)
    unsure_below: float = option(0.4, "Points that score lower are drawn as empty rings.", low=0.0, high=1.0)
    colour: str = option("", "One #RRGGBB colour for all points, instead of one for each group.")

    def __post_init__(self) -> None:
        check(self)


def draw_faces(
    image_rgb_u8: np.ndarray, faces: Sequence[Face], schema: Schema, options: DrawOptions | None = None
) -> np.ndarray:
    """A copy of a (h, w, 3) uint8 RGB picture with faces drawn on it, later ones over earlier ones."""
    options = options or DrawOptions()
    canvas = image_rgb_u8.copy()
    colours = [_rgb(options.colour or colour) for colour in schema.colours]
    for face in faces:
        unit, radius = _unit(face, canvas), _radius(face, canvas) * options.point_size
        if options.show_boxes:
            _draw_box(canvas, face, 0.6 * unit)
        if options.show_edges:
            ends = [face.points_px[list(edge)] for edge in schema.edges]
            _strokes(canvas, ends, [colours[first] for first, _ in schema.edges], 0.7 * unit, opacity=0.6)
        _dots(canvas, face.points_px, radius, colours, face.point_scores >= options.unsure_below)
    if options.labels != "none":  # last, so that no line runs through a text
        texts = schema.keypoints if options.labels == "names" else tuple(map(str, range(len(schema))))
        for face in faces:
            _draw_labels(canvas, face, texts, _radius(face, canvas) * options.point_size)
    return canvas


def draw_points(
    image_rgb_u8: np.ndarray, points_px: np.ndarray, colours: Sequence[str], radius_px: float
) -> np.ndarray:
    """A copy of a (h, w, 3) uint8 RGB picture with (k, 2) points of `#RRGGBB` colours; NaN ones left out."""
    canvas = image_rgb_u8.copy()
    there = np.isfinite(points_px).all(axis=1)
    chosen = [_rgb(colour) for colour, is_there in zip(colours, there, strict=True) if is_there]
    _dots(canvas, points_px[there], radius_px, chosen, np.ones(len(chosen), bool))
    return canvas


def draw_notice(image_rgb_u8: np.ndarray, text: str) -> np.ndarray:
    """A copy of a (h, w, 3) uint8 RGB picture with a line of text at its upper edge."""
    canvas = image_rgb_u8.copy()
    size = max(9, min(canvas.shape[0] // 12, 2 * canvas.shape[1] // len(text)))
    _text(canvas, (size / 2, size / 2), text, size)
    return canvas


def _unit(face: Face, canvas: np.ndarray) -> float:
    """What widths are measured in: grows with the face, and is visible when a large photo is shown small."""
    share = 0.009 * _face_px(face)
    return max(1.2, share, min(2 * share, max(canvas.shape) / 360))


def _radius(face: Face, canvas: np.ndarray) -> float:
    """Radius of a point; where there are few of them, each has more room."""
    return _unit(face, canvas) * (1.0 if len(face.points_px) > 30 else 1.7)


def _face_px(face: Face) -> float:
    return float(np.ptp(face.points_px, axis=0).max())


def _draw_box(canvas: np.ndarray, face: Face, width: float) -> None:
    """A white frame with round corners, a dark rim that sets it off from a bright photo, and what a face is called.

    One that is followed is told by its number, as texts and files tell it; any other by its score.
    """
    path = _rounded_rectangle(face.box_xyxy.astype(float))
    _strokes(canvas, [path], [_DARK], 1.5 * width + 1, opacity=0.35)
    _strokes(canvas, [path], [_WHITE], width, opacity=0.9)
    share = 0.075 * _face_px(face)
    size = round(max(10, share, min(2.7 * share, max(canvas.shape) / 36)))
    x, y = face.box_xyxy[0] + 0.1 * size, face.box_xyxy[1] - 1.5 * size
    name = f"Face {face.id}" if isinstance(face, TrackedFace) else f"{face.score:.2f}"
    _text(canvas, (x, y if y >= 0 else face.box_xyxy[1] + 0.4 * size), name, size)


def _draw_labels(canvas: np.ndarray, face: Face, texts: Sequence[str], radius: float) -> None:
    """Write beside each point, away from the middle of the face; a text that would cover another is left out.

    Like `_unit`, the size grows with the face, and can be read when a large picture is shown small.
    """
    share = _face_px(face) * (0.024 if len(texts) > 30 else 0.035)
    size = round(max(9, share, min(3 * share, max(canvas.shape) / 75)))
    middle = face.points_px[:, 0].mean()
    taken = np.empty((0, 4))
    for (x, y), text in zip(face.points_px, texts, strict=True):
        length = _font(size).getlength(text)
        left = x + 1.6 * radius if x >= middle else x - 1.6 * radius - length
        box = np.array([left, y - 0.6 * size, left + length, y + 0.6 * size])
        if not ((box[:2] < taken[:, 2:]) & (taken[:, :2] < box[2:])).all(axis=1).any():
            taken = np.vstack([taken, box])
            _text(canvas, (left, y - 0.6 * size), text, size)


def _strokes(
    canvas: np.ndarray, paths_px: Sequence[np.ndarray], colours: Sequence[Colour], width: float, opacity: float
) -> None:
    """Draw (m, 2) paths as translucent lines, as one layer so that crossings are no darker."""
    every = np.concatenate(paths_px)
    part, corner = _part(canvas, every.min(axis=0) - width - 1, every.max(axis=0) + width + 1)
    if not part.size:
        return
    layer = part.copy()
    for path, colour in zip(paths_px, colours, strict=True):
        thickness = max(1, round(width))
        cv2.polylines(layer, [_fixed_point(path - corner)], False, colour, thickness, cv2.LINE_AA, _FRACTION_BITS)
    part[:] = cv2.addWeighted(layer, opacity, part, 1 - opacity, 0)


def _dots(
    canvas: np.ndarray, points_px: np.ndarray, radius: float, colours: Sequence[Colour], filled: np.ndarray
) -> None:
    """Discs with a thin dark rim, or rings of the same size; each pixel by how much of it is covered.

    All of them are worked out at once: one by one they would take longer than the network.
    """
    rim = 0.3 * radius
    reach = int(np.ceil(radius + rim + 1))
    corners = np.floor(points_px).astype(int) - reach
    side = np.arange(2 * reach + 2)
    x, y = (corners[:, i, None] + side - points_px[:, i, None] for i in range(2))
    distance = np.hypot(x[:, None, :], y[:, :, None])[..., None]

    def within(radius_px: float) -> np.ndarray:
        return np.clip(radius_px + 0.5 - distance, 0, 1)

    is_disc = filled[:, None, None, None]
    dark = np.where(is_disc, within(radius + rim), 0.0)
    light = np.where(is_disc, within(radius), np.clip(within(radius + rim) - within(radius - rim), 0, 1))
    left = (1 - dark) * (1 - light)
    paint = dark * (1 - light) * np.array(_DARK) + light * np.array(colours).reshape(-1, 1, 1, 3)
    limits = (canvas.shape[1], canvas.shape[0])
    lows, highs = np.clip(corners, 0, limits), np.clip(corners + len(side), 0, limits)
    for corner, low, high, remains, added in zip(corners, lows, highs, left, paint, strict=True):
        (x0, y0), (x1, y1) = low, high
        inside = np.s_[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        part = canvas[y0:y1, x0:x1]
        part[:] = np.round(part * remains[inside] + added[inside])


def _text(canvas: np.ndarray, xy: tuple[float, float], text: str, size: int) -> None:
    """Write in white with a dark rim; `xy` is the upper left corner. What lies outside the picture is cut off."""
    font, rim = _font(size), max(1, size // 10)
    extent = np.array(font.getbbox(text, stroke_width=rim)[2:])
    part, corner = _part(canvas, np.asarray(xy) - rim, np.asarray(xy) + extent + rim)
    if not part.size:
        return
    picture = Image.fromarray(part)
    place = (float(xy[0] - corner[0]), float(xy[1] - corner[1]))
    ImageDraw.Draw(picture).text(place, text, fill=_WHITE, font=font, stroke_width=rim, stroke_fill=_DARK)
    part[:] = np.asarray(picture)


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _part(canvas: np.ndarray, low_xy: np.ndarray, high_xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The view of the canvas between two corners as far as it has them, and its own upper left corner."""
    limits = (canvas.shape[1], canvas.shape[0])
    x0, y0 = np.clip(np.floor(low_xy), 0, limits).astype(int)
    x1, y1 = np.clip(np.ceil(high_xy) + 1, 0, limits).astype(int)
    return canvas[y0:y1, x0:x1], np.array([x0, y0])


def _rounded_rectangle(box_xyxy: np.ndarray) -> np.ndarray:
    """(m, 2) closed path along a box whose corners are quarter circles."""
    x0, y0, x1, y1 = box_xyxy
    radius = 0.07 * min(x1 - x0, y1 - y0)
    centres = (
        (x1 - radius, y1 - radius),
        (x0 + radius, y1 - radius),
        (x0 + radius, y0 + radius),
        (x1 - radius, y0 + radius),
    )
    arcs = []
    for quarter, centre in enumerate(centres):
        angles = np.linspace(quarter, quarter + 1, 13) * np.pi / 2
        arcs.append(np.asarray(centre) + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1))
    return np.concatenate([*arcs, arcs[0][:1]])


def _fixed_point(points_px: np.ndarray) -> np.ndarray:
    return np.round(np.asarray(points_px, np.float64) * 2**_FRACTION_BITS).astype(np.int32)


def _rgb(colour: str) -> Colour:
    """`#RRGGBB` as three numbers; `ValueError` for any other text."""
    if len(colour) != 7 or colour[0] != "#":
        raise ValueError(f"expected a colour such as #FF00FF, received {colour!r}")
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue
