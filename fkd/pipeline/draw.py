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
# Where a text is tried: directions from the one that leads away from other points, and distances in its own height.
_TURNS = np.radians([0, 30, -30, 60, -60, 90, -90, 120, -120, 150, -150, 180])
_FURTHER = np.array([0.0, 0.5, 1.0, 1.6, 2.4, 3.4, 4.6])
_FURTHEST = 16  # in text heights, over the text's length: a long one far away would be taken for another point's


@dataclass(frozen=True)
class DrawOptions:
    """What is drawn; out-of-range values raise `ValueError`."""

    show_boxes: bool = option(
        True, "Draw the box of each face, with its number in videos and how sure the network is of it in photos."
    )
    show_edges: bool = option(True, "Join neighbouring points by lines.")
    labels: str = option(
        "none",
        "Write at each point, where there is room, its name or its number as points are counted in files, from 0.",
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
        for face in faces:
            _draw_labels(canvas, face, _texts(schema, options), colours, _radius(face, canvas) * options.point_size)
    return canvas


def count_unlabelled(
    image_rgb_u8: np.ndarray, faces: Sequence[Face], schema: Schema, options: DrawOptions
) -> tuple[int, int]:
    """How many points `draw_faces` leaves without the label asked for, as it finds no room; and how many there are."""
    if options.labels == "none":
        return 0, 0
    left_out = 0
    for face in faces:
        radius, size = _radius(face, image_rgb_u8) * options.point_size, _label_size(face, image_rgb_u8)
        left_out += sum(box is None for box in _label_places(image_rgb_u8, face, _texts(schema, options), radius, size))
    return left_out, len(faces) * len(schema)


def _texts(schema: Schema, options: DrawOptions) -> Sequence[str]:
    return schema.keypoints if options.labels == "names" else tuple(map(str, range(len(schema))))


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
    name, (x, y), size = _title(canvas, face)
    _text(canvas, (x, y), name, size)


def _title(canvas: np.ndarray, face: Face) -> tuple[str, tuple[float, float], int]:
    """What a face is called, the upper left corner of that text, and its size."""
    share = 0.075 * _face_px(face)
    size = round(max(10, share, min(2.7 * share, max(canvas.shape) / 36)))
    x, y = face.box_xyxy[0] + 0.1 * size, face.box_xyxy[1] - 1.5 * size
    name = f"Face {face.id}" if isinstance(face, TrackedFace) else f"{face.score:.2f}"
    return name, (x, y if y >= 0 else face.box_xyxy[1] + 0.4 * size), size


def _draw_labels(
    canvas: np.ndarray, face: Face, texts: Sequence[str], colours: Sequence[Colour], radius: float
) -> None:
    """Write beside each point, with a thin line to it from further away; a text that finds no room is left out."""
    size = _label_size(face, canvas)
    places = {i: box for i, box in enumerate(_label_places(canvas, face, texts, radius, size)) if box is not None}
    lines = {i: np.stack([face.points_px[i], _nearest(box, face.points_px[i])]) for i, box in places.items()}
    long = [i for i, line in lines.items() if np.linalg.norm(line[1] - line[0]) > radius + 0.5 * size]
    if long:
        _strokes(canvas, [lines[i] for i in long], [colours[i] for i in long], 0.08 * size, opacity=0.9)
    for i, box in places.items():
        _text(canvas, (box[0], box[1]), texts[i], size)


def _label_size(face: Face, canvas: np.ndarray) -> int:
    """Like `_unit`, it grows with the face, and can be read when a large picture is shown small."""
    share = _face_px(face) * (0.024 if len(face.points_px) > 30 else 0.035)
    return round(max(9, share, min(3 * share, max(canvas.shape) / 75)))


def _label_places(
    canvas: np.ndarray, face: Face, texts: Sequence[str], radius: float, size: int
) -> list[np.ndarray | None]:
    """For each point the box (x0, y0, x1, y1) of its text, which covers no point and no other text; None for no room.

    The place above the face, where its score or number may stand, stays free.

    A text is tried first on the side of its point that is turned away from the others, near by, and then round about
    and further away. Points among many others choose first, as they have the least choice.
    """
    points = face.points_px.astype(float)
    away = points[:, None] - points
    pushes = away / np.maximum((away**2).sum(axis=-1, keepdims=True), 1e-6)  # as charges of one sign push each other
    outwards = np.arctan2(*pushes.sum(axis=1).T[::-1])
    crowd = np.exp(-((away**2).sum(axis=-1)) / (3 * size) ** 2).sum(axis=1)
    name, (x, y), height = _title(canvas, face)
    title = (x, y, x + _font(height).getlength(name), y + 1.2 * height)
    taken = np.vstack([np.concatenate([points - radius, points + radius], axis=1), title])
    places: list[np.ndarray | None] = [None] * len(points)
    for i in np.argsort(-crowd, kind="stable"):
        half = np.array([_length(texts[i], size) / 2 + 0.1 * size, 0.55 * size])
        angles = outwards[i] + _TURNS
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
        # As far as the box reaches in that direction, so that it touches the rim of the point.
        reach = (half / np.maximum(np.abs(directions), 1e-6)).min(axis=-1) + 1.4 * radius
        further = _FURTHER[_FURTHEST * 0.5 * size / half[0] >= _FURTHER]
        far = reach + size * further[:, None]
        centres = points[i] + (directions * far[..., None]).reshape(-1, 2)
        lows, highs = centres - half, centres + half
        (x0, y0), (x1, y1) = lows.T[..., None], highs.T[..., None]
        meets = ((x0 < taken[:, 2]) & (taken[:, 0] < x1) & (y0 < taken[:, 3]) & (taken[:, 1] < y1)).any(axis=1)
        meets |= (lows < 0).any(axis=1) | (highs > canvas.shape[1::-1]).any(axis=1)
        if not meets.all():
            free = meets.argmin()
            places[i] = np.concatenate([lows[free], highs[free]])
            taken = np.vstack([taken, places[i]])
    return places


@lru_cache(maxsize=2048)
def _length(text: str, size: int) -> float:
    return _font(size).getlength(text)


def _nearest(box: np.ndarray, point_px: np.ndarray) -> np.ndarray:
    """The place of a box that is nearest to a point."""
    return np.clip(point_px, box[:2], box[2:])


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
    kept, added, offset = _written(text, size)
    x, y = np.round(xy).astype(int) + offset
    height, width = kept.shape[:2]
    rows, columns = slice(max(y, 0), max(y + height, 0)), slice(max(x, 0), max(x + width, 0))
    part = canvas[rows, columns]
    inside = (slice(max(-y, 0), max(-y, 0) + part.shape[0]), slice(max(-x, 0), max(-x, 0) + part.shape[1]))
    part[:] = np.round(part * kept[inside] + added[inside])


@lru_cache(maxsize=2048)
def _written(text: str, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A text to lay over pictures, kept as each frame of a video has the same ones: picture * first + second.

    Returns:
        (h, w, 1) float32 in [0, 1], (h, w, 3) float32 in [0, 255], and where they begin, (x, y) from the text's corner.
    """
    font, rim = _font(size), max(1, size // 10)
    left, top, right, bottom = (int(end) for end in font.getbbox(text, stroke_width=rim))
    covered = []
    for stroke in (rim, 0):
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).text((-left, -top), text, fill=255, font=font, stroke_width=stroke)
        covered.append(np.asarray(mask, np.float32)[:, :, None] / 255)
    dark, white = covered
    return (1 - dark) * (1 - white), dark * (1 - white) * _DARK + white * _WHITE, np.array([left, top])


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
