"""The head as a surface: a radius for every direction round a vertical axis and every height.

The head's frame is right-handed, in mm: x to the subject's left, y down, z backwards, so that a
face looking into an OpenCV camera has the camera's axes. The vertical axis x = z = 0 runs between
the ears, the outer eye corners lie at y = 0. A surface point is (r sin a, y, -r cos a), with a the
azimuth: 0 in the middle of the face, growing to the subject's left. One table r(a, y) holds
skull, face, neck, shoulders and hair; features are bumps and dents in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from fkd.data.synthetic.person import Person

AZIMUTH_MAX = math.radians(140)
Y_TOP_MM, Y_BOTTOM_MM = -150.0, 200.0
ROWS, COLUMNS = 219, 225
AZIMUTHS = np.linspace(-AZIMUTH_MAX, AZIMUTH_MAX, COLUMNS, dtype=np.float32)
HEIGHTS = np.linspace(Y_TOP_MM, Y_BOTTOM_MM, ROWS, dtype=np.float32)[:, None]
_FRONT_X = np.linspace(-75, 75, 151, dtype=np.float32)  # mm, columns of the table of azimuths


@dataclass(frozen=True)
class Surface:
    """Tables over HEIGHTS x AZIMUTHS.

    Attributes:
        radius_mm: (ROWS, COLUMNS) float32.
        slope: (ROWS, COLUMNS, 2) float32: change of the radius per mm along azimuth and down.
        azimuth_of_front: (ROWS, 151) float32: azimuth of the surface seen at front x, -75 to 75 mm.
        hair: (ROWS, COLUMNS) float32, 0 to 1: where hair covers the head.
    """

    radius_mm: np.ndarray
    slope: np.ndarray
    azimuth_of_front: np.ndarray
    hair: np.ndarray

    def azimuths(self, front_mm: np.ndarray) -> np.ndarray:
        """(n,) azimuths of the surface points seen at (n, 2) front x, y."""
        columns = (front_mm[:, 0] - _FRONT_X[0]) / (_FRONT_X[1] - _FRONT_X[0])
        return _lookup(self.azimuth_of_front, columns, row(front_mm[:, 1]))

    def at(self, azimuths: np.ndarray, y_mm: np.ndarray) -> np.ndarray:
        """(..., 3) float64 points of the surface at azimuths and heights (...)."""
        radius = _lookup(self.radius_mm, column(azimuths), row(y_mm)).astype(np.float64)
        return np.stack([radius * np.sin(azimuths), np.asarray(y_mm, np.float64), -radius * np.cos(azimuths)], axis=-1)


def column(azimuths: np.ndarray) -> np.ndarray:
    """Azimuths as places along the tables' columns."""
    return (azimuths + AZIMUTH_MAX) * ((COLUMNS - 1) / (2 * AZIMUTH_MAX))


def row(y_mm: np.ndarray) -> np.ndarray:
    """Heights as places along the tables' rows."""
    return (y_mm - Y_TOP_MM) * ((ROWS - 1) / (Y_BOTTOM_MM - Y_TOP_MM))


def _lookup(table: np.ndarray, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Bilinear look-up in a (ROWS, ...) table, in float32 but with exact weights.

    `cv2.remap` rounds positions to 1/32 of a cell, which is too coarse for ground truth.
    """
    rows = np.minimum(np.maximum(rows, 0), table.shape[0] - 1.001)
    columns = np.minimum(np.maximum(columns, 0), table.shape[1] - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    down, right = rows - top, columns - left
    upper = table[top, left] * (1 - right) + table[top, left + 1] * right
    lower = table[top + 1, left] * (1 - right) + table[top + 1, left + 1] * right
    return upper * (1 - down) + lower * down


def build_surface(front_mm: np.ndarray, person: Person) -> Surface:
    """The head whose front view shows the (68, 2) points where they are."""
    face = _skull(front_mm, person) + _features(front_mm, person)
    radius = _with_neck(face, front_mm)
    # The hair at the sides begins to stand off a little behind the edge of its colour.
    hair = hair_cover(person, HEIGHTS, np.maximum(np.abs(AZIMUTHS) - np.radians(4), 0), soft_mm=4.0)
    hair = cv2.GaussianBlur(hair, (0, 0), 1.8)
    radius = radius + hair * np.maximum(_hair_cap(front_mm, person) - radius, 0)
    radius = cv2.GaussianBlur(np.ascontiguousarray(radius, np.float32), (0, 0), 0.7)
    down, around = np.gradient(radius, HEIGHTS[1, 0] - HEIGHTS[0, 0], AZIMUTHS[1] - AZIMUTHS[0])
    slope = np.stack([around / radius, down], axis=-1)
    return Surface(radius, slope, _front_azimuths(radius), hair)


def _front_azimuths(radius: np.ndarray) -> np.ndarray:
    """Solve x = r(a, y) sin a for a, in every row, at the columns of front x."""
    rows = np.broadcast_to(np.arange(ROWS, dtype=np.float32)[:, None], (ROWS, len(_FRONT_X)))
    azimuth = np.broadcast_to(np.arcsin(_FRONT_X / 95), rows.shape)
    for _ in range(8):
        found = cv2.remap(radius, column(azimuth).astype(np.float32), rows, cv2.INTER_LINEAR)
        azimuth = np.arcsin(np.clip(_FRONT_X / np.maximum(found, 1), -0.995, 0.995))
    return azimuth.astype(np.float32)


def _smooth_profile(knots: list[tuple[float, float]]) -> np.ndarray:
    """(ROWS, 1): a value for each height through (y, value) knots, rounded off over about 10 mm."""
    y, value = zip(*knots, strict=True)
    line = np.interp(HEIGHTS[:, 0], y, value).astype(np.float32)
    return cv2.GaussianBlur(line[:, None], (1, 0), sigmaX=0.1, sigmaY=4, borderType=cv2.BORDER_REPLICATE)


def _dome(top_mm: float) -> np.ndarray:
    """(ROWS, 1): 1 below the forehead, falling to 0 at the top of the head as an ellipse does."""
    rise = np.clip((-35 - HEIGHTS) / (-35 - top_mm), 0, 1)
    return np.sqrt(np.maximum(1 - rise**2, 1e-8))


def _ellipse(width_mm: np.ndarray, depth_mm: np.ndarray) -> np.ndarray:
    """(ROWS, COLUMNS) radius of ellipses with half axes (ROWS, 1) to the side and to the front."""
    return 1 / np.sqrt((np.sin(AZIMUTHS) / width_mm) ** 2 + (np.cos(AZIMUTHS) / depth_mm) ** 2)


def _half_width(front_mm: np.ndarray) -> np.ndarray:
    """(ROWS, 1): a little outside the jaw points down to the corner of the jaw, then tapering."""
    x = (front_mm[16:7:-1, 0] - front_mm[:9, 0]) / 2
    y = front_mm[:9, 1]
    knots: list[tuple[float, float]] = [(-60, x[0] * 1.04), (-25, x[0] * 1.025)]
    knots += [(y[i], x[i] * 1.02) for i in range(4)]
    knots += [(y[4], x[4] * 1.06), (y[6], x[4] * 1.02), (y[8], x[4] * 0.95), (y[8] + 30, x[4] * 0.9)]
    return _smooth_profile(knots)


def _skull(front_mm: np.ndarray, person: Person) -> np.ndarray:
    nose, mouth, chin = front_mm[33, 1], front_mm[[51, 57], 1].mean(), front_mm[8, 1]
    depth: list[tuple[float, float]] = [(-70, 94), (-25, 94 + person.brow_ridge_mm), (0, 89), (nose, 93), (mouth, 95)]
    depth += [(chin - 22, 92), (chin - 8, 95 + person.chin_mm), (chin + 20, 88)]
    dome = _dome(-116)
    return _ellipse(_half_width(front_mm) * dome, _smooth_profile(depth) * dome)


def _bump(x_mm: float, y_mm: float, width_mm: float, height_mm: float) -> np.ndarray:
    """(ROWS, COLUMNS) a Gaussian hill of height 1 about front x, y, with its deviations in mm."""
    azimuth = np.arcsin(np.clip(x_mm / 92, -0.98, 0.98))
    across = np.exp(-0.5 * ((AZIMUTHS - azimuth) * 90 / width_mm) ** 2)
    return np.exp(-0.5 * ((HEIGHTS - y_mm) / height_mm) ** 2) * across


def _features(front_mm: np.ndarray, person: Person) -> np.ndarray:
    """(ROWS, COLUMNS) what stands out of the skull or lies deeper than it, in mm."""
    p = front_mm
    chin = p[8, 1]
    relief = (4 + person.chin_mm) * _bump(0, chin - 10, 14, 9) - 3 * _bump(0, (p[57, 1] + chin) / 2 - 5, 13, 4)
    relief += 4 * _bump(0, p[[33, 57], 1].mean() + 2, 20, 13)  # the teeth push the mouth forward
    for side, eye, brow in ((-1, p[36:42].mean(axis=0), p[17:22]), (1, p[42:48].mean(axis=0), p[22:27])):
        relief += (2.5 + person.brow_ridge_mm) * _bump(brow[2, 0], brow[:, 1].mean() + 4, 15, 6)
        relief += -8 * _bump(eye[0] * 0.95, eye[1] - 1, 14, 9) + 4.5 * _bump(eye[0], eye[1] + 1, 10, 7)
        relief -= 3 * _bump(side * 18, eye[1] + 2, 6, 8)
        relief += (3.5 + person.cheek_mm) * _bump(side * 44, eye[1] + 27, 13, 11)
        relief -= 3 * _bump(side * 52, p[48, 1] - 4, 10, 14)
        relief -= 3 * _bump(side * 68, -28, 9, 14)
        relief += _ear(side)
    return relief + _lips(p) + _nose(p, person)


def _ear(side: int) -> np.ndarray:
    across = np.exp(-0.5 * ((AZIMUTHS - side * np.radians(100)) / np.radians(4.5)) ** 2)
    return 15 * across * np.exp(-(((HEIGHTS - 16) / 30) ** 4))


def _lips(p: np.ndarray) -> np.ndarray:
    half = (p[54, 0] - p[48, 0]) / 2
    upper = (p[51, 1] + p[62, 1]) / 2
    lower = (p[57, 1] + p[66, 1]) / 2
    gap = p[66, 1] - p[62, 1]
    relief = 3 * _bump(0, upper, half * 0.55, 3) + 4 * _bump(0, lower, half * 0.5, 3.5)
    relief -= 2.5 * _bump(0, (p[62, 1] + p[66, 1]) / 2, half * 0.75, 1.8 + gap / 3)
    return relief - 2 * (_bump(-half, p[48, 1], 4, 4) + _bump(half, p[54, 1], 4, 4))


def _nose(p: np.ndarray, person: Person) -> np.ndarray:
    tip, base, wing = p[30, 1], p[33, 1], (p[35, 0] - p[31, 0]) / 2
    out = np.interp(HEIGHTS, (p[27, 1] - 16, p[27, 1], tip - 6, tip + 3), (0, 5, *[0.72 * person.nose_mm] * 2))
    fall = 1 / (1 + np.exp((HEIGHTS - base + 3) / 2.0))
    spread = np.interp(HEIGHTS, (p[27, 1] - 14, p[27, 1], tip - 10, tip + 2), (13, 7, 7.5, 0.5 * wing))
    ridge = np.exp(-0.5 * (AZIMUTHS * 92 / spread) ** 2)
    relief = out * fall * (0.75 * ridge + 0.25 * ridge**0.3) + 0.28 * person.nose_mm * _bump(0, tip, 6, 6)
    for side in (-1, 1):
        relief += 8 * _bump(side * (wing - 4), base - 6, 3.8, 4.5)
    return relief


def _with_neck(face: np.ndarray, front_mm: np.ndarray) -> np.ndarray:
    """Below the line of the jaw the surface turns under and goes on as neck and shoulders."""
    rows = row(front_mm[:17, 1])
    azimuth = np.arcsin(np.clip(front_mm[:17, 0] / 92, -0.95, 0.95))
    for _ in range(10):
        azimuth = np.arcsin(np.clip(front_mm[:17, 0] / _lookup(face, column(azimuth), rows), -0.985, 0.985))
    # From the corner of the jaw the line climbs to the ear.
    line = np.interp(
        AZIMUTHS,
        np.radians([-115, -98, *np.degrees(azimuth[3:14]), 98, 115]),
        [-5, 45, *front_mm[3:14, 1], 45, -5],
    )
    chin = front_mm[8, 1]
    width = _smooth_profile([(chin - 40, 51), (chin + 25, 53), (chin + 45, 85), (chin + 90, 200)])
    depth = _smooth_profile([(chin - 40, 48), (chin + 30, 46), (chin + 80, 72)])
    neck = _ellipse(width, depth)
    fall = np.clip((HEIGHTS - line + 2) / 10, 0, 1)
    return face + (neck - face) * fall * fall * (3 - 2 * fall)


def _hair_cap(front_mm: np.ndarray, person: Person) -> np.ndarray:
    """(ROWS, COLUMNS) outer radius of the hair, as if it covered everything."""
    side = -front_mm[0, 0]
    dome = _dome(-116 - person.hair_mm)
    width = _smooth_profile([(-40, side * 1.04), (60, side * 1.06), (150, side * 1.15)]) + person.hair_mm
    depth = _smooth_profile([(-70, 94), (0, 94), (100, 70), (150, 80)]) + person.hair_mm
    return _ellipse(width * dome, depth * dome)


def hair_cover(person: Person, heights_mm: np.ndarray, azimuths: np.ndarray, soft_mm: float) -> np.ndarray:
    """(rows, columns) float32, 0 to 1: where hair covers the head.

    Args:
        person: whose hair it is.
        heights_mm: (rows, 1).
        azimuths: (columns,).
        soft_mm: half the width of its edge.
    """
    front = person.hairline_mm
    if person.hair_end_mm is None:
        line = [(0, front), (30, front + 2), (48, front + 16), (58, -34), (70, -26), (75, 4), (86, 8), (90, -14)]
        line += [(106, -10), (110, 62), (140, 82)]
    else:
        line = [(0, front), (28, front + 3), (50, front + 18), (64, -30), (76, -8), (81, person.hair_end_mm)]
        line += [(140, person.hair_end_mm)]
    degrees, y = zip(*line, strict=True)
    edge = np.interp(np.degrees(np.abs(azimuths)), degrees, y)
    return np.clip(0.5 + (edge - heights_mm) / (2 * soft_mm), 0, 1).astype(np.float32)
