"""Pictures of results for files: predictions over test faces, and the curves of a training.

    figure_rgb_u8 = keypoints_figure(faces, predicted_px, "kaggle15 on kaggle")
    figure_rgb_u8 = loss_figure(history, "kaggle15")

Truth is green and prediction magenta, as on every page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fkd.crop import CropFrame, cut, invert, tight_boxes, transform
from fkd.data.dataset import Dataset
from fkd.metrics import face_nme
from fkd.pipeline.draw import draw_points
from fkd.schema import PREDICTION_COLOUR, TRUTH_COLOUR

CELL_PX = 280
_COLUMNS, _ROWS = 4, 3
_MARGIN = 24
_INK, _FAINT, _GRID, _PAPER = "#1A1A20", "#6B6B76", "#DCDCE2", "#FFFFFF"
_SURROUNDINGS = 1.45  # side of a cell in longer sides of the face's tight box
# Tellable apart with every common colour blindness, and not the colours of truth and prediction.
_TRAIN_COLOUR, _VALIDATION_COLOUR = "#0072B2", "#D55E00"


def chosen_rows(n: int) -> np.ndarray:
    """At most twelve of n rows, evenly spread: neither the best nor the worst ones, and the same for all weights."""
    return np.unique(np.linspace(0, n - 1, min(n, _COLUMNS * _ROWS)).round().astype(int))


def keypoints_figure(faces: Dataset, predicted_px: np.ndarray, title: str) -> np.ndarray:
    """A grid of faces with true points in green, predicted ones in magenta, and each face's NME.

    Args:
        faces: n faces with every label; up to twelve, evenly spread, are shown.
        predicted_px: (n, k, 2) in the pixels of the dataset's pictures.
        title: stands above the grid.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    rows = chosen_rows(len(faces))
    shown, predicted_px = faces.subset(rows), predicted_px[rows]
    errors = face_nme(predicted_px, shown.points_px, shown.schema)
    columns = min(_COLUMNS, len(rows))
    step_x, step_y = CELL_PX + 12, CELL_PX + 34
    size = (2 * _MARGIN + columns * step_x - 12, 92 + -(-len(rows) // columns) * step_y)
    figure = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(figure)
    draw.text((_MARGIN, 18), title, fill=_INK, font=_font(22))
    _legend(draw, (_MARGIN, 54), {"true": TRUTH_COLOUR, "predicted": PREDICTION_COLOUR})
    for place, cell in enumerate(face_cells(shown, predicted_px)):
        x, y = _MARGIN + place % columns * step_x, 86 + place // columns * step_y
        figure.paste(Image.fromarray(cell), (x, y))
        draw.text((x, y + CELL_PX + 5), f"NME {100 * errors[place]:.1f} %", fill=_FAINT, font=_font(15))
    return np.asarray(figure)


def face_cells(faces: Dataset, predicted_px: np.ndarray) -> list[np.ndarray]:
    """Each face as it fills a (CELL_PX, CELL_PX, 3) cell, with true (green) and predicted points (magenta)."""
    maps = CropFrame(1.0).matrices(_within(faces), CELL_PX)
    radius = 2.6 if len(faces.schema) > 30 else 4.0
    cells = []
    for image_u8, true_px, guess_px, matrix in zip(faces.images_u8, faces.points_px, predicted_px, maps, strict=True):
        cell = np.repeat(cut(image_u8, matrix, CELL_PX)[..., None], 3, axis=2)
        for points_px, colour in ((true_px, TRUTH_COLOUR), (guess_px, PREDICTION_COLOUR)):
            cell = draw_points(cell, transform(points_px, invert(matrix)), [colour] * len(faces.schema), radius)
        cells.append(cell)
    return cells


def _within(faces: Dataset) -> np.ndarray:
    """(n, 4) squares round the true points that stay within the pictures, the same for all weights."""
    boxes, (height, width) = tight_boxes(faces.points_px), faces.images_u8.shape[1:]
    sides = np.minimum(_SURROUNDINGS * (boxes[:, 2:] - boxes[:, :2]).max(axis=1), min(height, width))[:, None]
    middle = np.array([width, height]) / 2 - 0.5
    reach = np.array([width, height]) / 2 - sides / 2
    centre = np.clip((boxes[:, :2] + boxes[:, 2:]) / 2, middle - reach, middle + reach)
    return np.concatenate([centre - sides / 2, centre + sides / 2], axis=1)


@dataclass(frozen=True)
class _Panel:
    """One system of axes: its title, and the columns of a history drawn in it."""

    title: str
    train: str
    validation: str


_PANELS = (
    _Panel("Loss", "train_loss", "validation_loss"),
    _Panel("NME, %", "train_nme", "validation_nme"),
    _Panel("RMSE, px", "train_rmse_px", "validation_rmse_px"),
)
_PANEL_WIDTH, _PANEL_HEIGHT = 460, 330
_FINER = 2  # drawn so many times larger and then reduced, for smooth lines


def loss_figure(history: Mapping[str, Sequence[float | None]], title: str) -> np.ndarray:
    """The curves of a training by epoch: loss, NME and RMSE, of training and validation faces where recorded.

    Args:
        history: columns of a run's metrics, at least `epoch`; None where one was not recorded.
        title: stands above the curves.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    panels = [panel for panel in _PANELS if panel.train in history or panel.validation in history]
    width, height = 2 * _MARGIN + _PANEL_WIDTH * len(panels), 92 + _PANEL_HEIGHT
    figure = Image.new("RGB", (width * _FINER, height * _FINER), _PAPER)
    draw = ImageDraw.Draw(figure)
    draw.text((_MARGIN * _FINER, 18 * _FINER), title, fill=_INK, font=_font(22 * _FINER))
    named = {"training": _TRAIN_COLOUR, "validation": _VALIDATION_COLOUR}
    _legend(draw, (_MARGIN * _FINER, 54 * _FINER), named, _FINER)
    for place, panel in enumerate(panels):
        curves = {
            colour: np.asarray(history[name], float)
            for name, colour in ((panel.train, _TRAIN_COLOUR), (panel.validation, _VALIDATION_COLOUR))
            if name in history
        }
        corner = ((_MARGIN + place * _PANEL_WIDTH) * _FINER, 84 * _FINER)
        _draw_panel(draw, corner, panel.title, np.asarray(history["epoch"], float), curves)
    return np.asarray(figure.resize((width, height), Image.Resampling.LANCZOS))


def _draw_panel(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], title: str, epochs: np.ndarray, curves: dict[str, np.ndarray]
) -> None:
    """Axes from the smallest to the largest value, logarithmic where these lie far apart, and the curves."""
    left, top = corner[0] + 62 * _FINER, corner[1] + 34 * _FINER
    width, height = (_PANEL_WIDTH - 92) * _FINER, (_PANEL_HEIGHT - 84) * _FINER
    values = np.concatenate(list(curves.values()))
    values = values[np.isfinite(values)]
    ratio_scale = bool(values.size and values.min() > 0 and values.max() > 8 * values.min())
    ticks = _log_ticks(values.min(), values.max()) if ratio_scale else _ticks(*_range(values))
    height_of = np.log if ratio_scale else np.asarray
    low, high = height_of(np.array([ticks[0], ticks[-1]]))
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def place(epoch: np.ndarray, value: np.ndarray) -> np.ndarray:
        share = np.stack([(epoch - first) / (last - first), 1 - (height_of(value) - low) / (high - low)], axis=-1)
        return np.array([left, top]) + share * [width, height]

    font = _font(13 * _FINER)
    draw.text((corner[0], corner[1]), title + (" (logarithmic)" if ratio_scale else ""), fill=_INK, font=_font(30))
    for tick in ticks:
        y = place(np.array(first), np.array(tick))[1]
        draw.line([(left, y), (left + width, y)], fill=_GRID, width=_FINER)
        draw.text((left - 8 * _FINER, y), f"{tick:.4g}", fill=_FAINT, font=font, anchor="rm")
    for tick in _ticks(first, last, whole=True):
        if first <= tick <= last:
            x = place(np.array(tick), np.array(ticks[0]))[0]
            draw.text((x, top + height + 8 * _FINER), f"{tick:.0f}", fill=_FAINT, font=font, anchor="mt")
    draw.text((left + width / 2, top + height + 28 * _FINER), "epoch", fill=_FAINT, font=font, anchor="mt")
    for colour, curve in curves.items():
        points = [tuple(point) for point in place(epochs, curve)[np.isfinite(curve)]]
        draw.line(points, fill=colour, width=2 * _FINER, joint="curve")
        if len(points) == 1:
            x, y = points[0]
            draw.ellipse([x - 6, y - 6, x + 6, y + 6], fill=colour)


def _range(values: np.ndarray) -> tuple[float, float]:
    """From the smallest to the largest value, and never nothing."""
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, whole: bool = False) -> list[float]:
    """Four to eight round numbers that enclose a range."""
    rough = (high - low) / 5
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * scale for factor in (1, 2, 2.5, 5, 10) if factor * scale >= rough)
    step = max(1.0, round(step)) if whole else step
    return [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten that enclose a range; powers alone where it is wide."""
    factors = (1, 2, 5) if high < 1000 * low else (1,)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    every = [factor * 10.0**decade for decade in decades for factor in factors]
    inner = [tick for tick, after in pairwise([*every, math.inf]) if after > low]
    return [tick for before, tick in pairwise([-math.inf, *inner]) if before < high]


def _legend(draw: ImageDraw.ImageDraw, corner: tuple[int, int], named: Mapping[str, str], finer: int = 1) -> None:
    x, y = corner
    font = _font(15 * finer)
    for name, colour in named.items():
        draw.ellipse([x, y + 3 * finer, x + 12 * finer, y + 15 * finer], fill=colour)
        draw.text((x + 19 * finer, y), name, fill=_INK, font=font)
        x += round(19 * finer + draw.textlength(name, font=font)) + 22 * finer


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
