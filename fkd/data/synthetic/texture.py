"""Skin, hair, brows, eyes, lips and clothes, painted on the surface unrolled to azimuth x height."""

from __future__ import annotations

from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike

from fkd.data.synthetic.person import Expression, Person
from fkd.data.synthetic.surface import AZIMUTH_MAX, Y_BOTTOM_MM, Y_TOP_MM, Surface, hair_cover

_ARC_RADIUS_MM = 90.0  # the distance from the axis at which texels are square
_SHIFT = 4  # cv2 draws at 1/16 of a texel


class Canvas:
    """An RGB texture that is painted in front-view millimetres.

    Attributes:
        rgb: (height, width, 3) uint8, rows of equal height, columns of equal azimuth.
        per_mm: texels per mm.
    """

    def __init__(self, surface: Surface, per_mm: float) -> None:
        self.surface = surface
        self.per_mm = per_mm
        height = round((Y_BOTTOM_MM - Y_TOP_MM) * per_mm) + 1
        width = round(2 * AZIMUTH_MAX * _ARC_RADIUS_MM * per_mm) + 1
        self.rgb: np.ndarray = np.zeros((height, width, 3), np.uint8)

    @cached_property
    def azimuths(self) -> np.ndarray:
        """(width,) azimuth of each column."""
        return np.linspace(-AZIMUTH_MAX, AZIMUTH_MAX, self.rgb.shape[1], dtype=np.float32)

    @cached_property
    def heights_mm(self) -> np.ndarray:
        """(height, 1) height of each row."""
        return np.linspace(Y_TOP_MM, Y_BOTTOM_MM, self.rgb.shape[0], dtype=np.float32)[:, None]

    def place(self, azimuths: np.ndarray, y_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Columns and rows of the texture at azimuths and heights."""
        columns = (azimuths + AZIMUTH_MAX) * ((self.rgb.shape[1] - 1) / (2 * AZIMUTH_MAX))
        return columns, (y_mm - Y_TOP_MM) * self.per_mm

    def texels(self, front_mm: np.ndarray) -> np.ndarray:
        """(n, 2) texture positions of front-view points."""
        return np.stack(self.place(self.surface.azimuths(front_mm), front_mm[:, 1]), axis=-1)

    def fill(
        self,
        outline_mm: np.ndarray,
        rgb: ArrayLike,
        alpha: float = 1.0,
        soft_mm: float = 0.0,
        inside_mm: np.ndarray | None = None,
        weave: np.ndarray | None = None,
    ) -> None:
        """Fill a front-view polygon.

        Args:
            outline_mm: (n, 2).
            rgb: (3,) 0 to 255.
            alpha: 0 to 1.
            soft_mm: blur of its edge.
            inside_mm: (m, 2) another polygon, outside of which nothing is painted.
            weave: factor on alpha for each texel, of the texture's shape.
        """
        self._blend(self.texels(outline_mm), None, rgb, alpha, soft_mm, inside_mm, weave)

    def stroke(
        self,
        line_mm: np.ndarray,
        width_mm: float,
        rgb: ArrayLike,
        alpha: float = 1.0,
        soft_mm: float = 0.0,
        inside_mm: np.ndarray | None = None,
    ) -> None:
        """Draw along front-view points (n, 2); the other arguments as for `fill`."""
        width = max(1, round(width_mm * self.per_mm))
        self._blend(self.texels(line_mm), width, rgb, alpha, soft_mm, inside_mm, None)

    def _blend(
        self,
        points: np.ndarray,
        width: int | None,
        rgb: ArrayLike,
        alpha: float,
        soft_mm: float,
        inside_mm: np.ndarray | None,
        weave: np.ndarray | None,
    ) -> None:
        blur = soft_mm * self.per_mm
        margin = int(np.ceil(3 * blur)) + 3 + (width or 0)
        low = np.maximum(np.floor(points.min(axis=0)).astype(int) - margin, 0)
        high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + margin + 1, self.rgb.shape[1::-1])
        window = (slice(low[1], high[1]), slice(low[0], high[0]))
        shape = (high[1] - low[1], high[0] - low[0])
        mask = _drawn(shape, points - low, width)
        if blur > 0.3:
            mask = cv2.GaussianBlur(mask, (0, 0), blur)
        if inside_mm is not None:
            mask *= _drawn(shape, self.texels(inside_mm) - low, None)
        if weave is not None:
            mask = np.minimum(mask * weave[window], 1)
        part = self.rgb[window]
        part[:] = part + (np.asarray(rgb, np.float32) - part) * (mask * np.float32(alpha))[..., None]


def _drawn(shape: tuple[int, int], points: np.ndarray, width: int | None) -> np.ndarray:
    """(shape) float32, 0 to 1: a filled polygon, or with a width a line."""
    mask = np.zeros(shape, np.uint8)
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    if width is None:
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
    else:
        cv2.polylines(mask, [fixed], False, 255, width, cv2.LINE_AA, _SHIFT)
    return mask * np.float32(1 / 255)


def curve(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """A smooth line through (n, 2) points (Catmull and Rom's spline), `steps` pieces between two."""
    padded = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    line = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([line.reshape(-1, 2), points[-1:]])


def paint(
    surface: Surface,
    front_mm: np.ndarray,
    person: Person,
    expression: Expression,
    per_mm: float,
    rng: np.random.Generator,
) -> Canvas:
    """The colours of a head under even white light.

    Args:
        surface: what is painted.
        front_mm: (68, 2) front view with the expression.
        person: says how the person looks.
        expression: says where the eyes look.
        per_mm: texels per mm.
        rng: for the grain of skin and hair.
    """
    canvas = Canvas(surface, per_mm)
    weave = _strands(canvas, rng)
    _skin(canvas, front_mm, person, rng)
    _beard(canvas, front_mm, person, weave)
    _nose(canvas, front_mm, person)
    _mouth(canvas, front_mm, person)
    for side, eye in ((-1, front_mm[36:42]), (1, front_mm[42:48])):
        _eye(canvas, eye, side, person, expression)
    for brow in (front_mm[17:22], front_mm[22:27][::-1]):
        _brow(canvas, brow, person, weave)
    _hair_and_clothes(canvas, front_mm, person, weave)
    if person.glasses:
        _glasses(canvas, front_mm, person)
    return canvas


def _strands(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """(height, width) float32 about 1: fine streaks that run downwards."""
    height, width = canvas.rgb.shape[:2]
    fine = rng.normal(0, 1, (height // 24 + 2, width // 2)).astype(np.float32)
    broad = rng.normal(0, 1, (height // 60 + 2, width // 14)).astype(np.float32)
    streaks = cv2.resize(fine, (width, height), interpolation=cv2.INTER_LINEAR) * 0.14
    streaks += cv2.resize(broad, (width, height), interpolation=cv2.INTER_CUBIC) * 0.14
    return 1 + streaks


def _skin(canvas: Canvas, p: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    height, width = (side // 2 for side in canvas.rgb.shape[:2])
    blotches = rng.normal(0, 2.5, (height // 12, width // 12, 3)).astype(np.float32)
    grain = rng.standard_normal((height, width, 1), np.float32) * 2
    colour = cv2.resize(blotches, (width, height), interpolation=cv2.INTER_CUBIC) + grain + person.skin_rgb
    canvas.rgb = cv2.resize(np.clip(colour, 0, 255).astype(np.uint8), canvas.rgb.shape[1::-1])
    red, dark = person.skin_rgb * (1.0, 0.8, 0.78), person.skin_rgb * (0.72, 0.62, 0.6)
    for side in (-1, 1):
        canvas.fill(_disc((side * 38, p[33, 1] - 12), 11, 9), red, 0.35, soft_mm=5)
        eye = p[36:42] if side < 0 else p[42:48]
        canvas.fill(_disc(_shifted(eye.mean(axis=0), side * -2, 0), 17, 9), dark, 0.4, soft_mm=4)
        fold = np.array(
            [
                _shifted(p[33], side * 19, -6),
                _shifted(p[33], side * 27, 6),
                _shifted(p[48 if side < 0 else 54], side * 8, -2),
            ]
        )
        canvas.stroke(curve(fold), 1.5, dark, 0.45, soft_mm=1.3)
    canvas.fill(_disc(p[30], 9, 7), red, 0.3, soft_mm=4)


def _disc(centre: ArrayLike, across_mm: float, down_mm: float) -> np.ndarray:
    """(24, 2) outline of an ellipse."""
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return np.asarray(centre) + np.stack([across_mm * np.cos(angle), down_mm * np.sin(angle)], axis=-1)


def _shifted(points: np.ndarray, x_mm: float, y_mm: float) -> np.ndarray:
    return points + np.array([x_mm, y_mm])


def _beard(canvas: Canvas, p: np.ndarray, person: Person, weave: np.ndarray) -> None:
    if person.beard == 0:
        return
    jaw = p[2:15].copy()
    jaw[:, 1] += 6
    upper = p[[14, 54, 35, 33, 31, 48, 2]] + np.array([(-8, 0), (14, 0), (6, 9), (0, 5), (-6, 9), (-14, 0), (8, 0)])
    outline = np.concatenate([jaw, upper])
    colour = person.hair_rgb * 0.9 + 8
    canvas.fill(outline, colour, person.beard, soft_mm=4, weave=weave)
    bare = p[[48, 58, 56, 54]] + np.array([(0, 7), (-6, 4), (6, 4), (0, 7)])
    canvas.fill(bare, person.skin_rgb, 0.5, soft_mm=2)


def _nose(canvas: Canvas, p: np.ndarray, person: Person) -> None:
    dark, hole = person.skin_rgb * (0.6, 0.5, 0.48), person.skin_rgb * 0.16
    canvas.stroke(_shifted(curve(p[31:36]), 0, 0.6), 1.2, dark, 0.6, soft_mm=0.9)
    for side, wing, middle in ((-1, p[31], p[32]), (1, p[35], p[34])):
        nostril = _shifted((wing + middle) / 2, side * -0.8, -1.4)
        canvas.fill(_disc(nostril, 3.4, 1.7), hole, 0.9, soft_mm=0.6)
        crease = wing + np.array([(side * 0.5, 0.5), (side * 3.2, -3.5), (side * 2.6, -8.5)])
        canvas.stroke(curve(crease), 1.2, dark, 0.75, soft_mm=0.8)
    canvas.stroke(p[27:31], 3.5, np.minimum(person.skin_rgb * 1.15 + 8, 255), 0.3, soft_mm=1.6)


def _mouth(canvas: Canvas, p: np.ndarray, person: Person) -> None:
    outer = np.concatenate([curve(p[48:55]), curve(p[[54, 55, 56, 57, 58, 59, 48]])])
    top, bottom = curve(p[60:65]), curve(p[[60, 67, 66, 65, 64]])
    inner = np.concatenate([top, bottom[::-1]])
    canvas.fill(outer, person.lip_rgb, 0.85, soft_mm=0.5)
    upper = np.concatenate([curve(p[48:55]), top[::-1]])
    canvas.fill(upper, person.lip_rgb * 0.72, 0.5, soft_mm=0.6)
    canvas.fill(_disc((p[57] + p[66]) / 2, 9, 1.3), np.minimum(person.lip_rgb * 1.25 + 12, 255), 0.4, soft_mm=1.2)
    shade = person.skin_rgb * (0.66, 0.56, 0.54)
    canvas.stroke(_shifted(curve(p[[59, 58, 57, 56, 55]]), 0, 1.6), 2.2, shade, 0.5, soft_mm=1.3)
    canvas.fill(inner, (52, 18, 18), 1.0, soft_mm=0.2)
    gap = p[66, 1] - p[62, 1]
    if gap > 2:
        teeth = np.concatenate([top, _shifted(top, 0, min(0.75 * gap, 8.0))[::-1]])
        canvas.fill(teeth, (206, 197, 182), min((gap - 1.5) / 4, 0.95), soft_mm=0.4, inside_mm=inner)
        tongue = _disc(_shifted((p[66] + p[62]) / 2, 0, 0.45 * gap), 13, 0.3 * gap)
        canvas.fill(tongue, (150, 70, 70), 0.8, soft_mm=1.0, inside_mm=inner)
    else:
        canvas.stroke((top + bottom) / 2, 1.1, person.lip_rgb * 0.28, 0.85, soft_mm=0.4)
    for corner, side in ((p[48], -1), (p[54], 1)):
        canvas.fill(_disc(_shifted(corner, side * -0.5, 0.3), 1.8, 1.2), person.lip_rgb * 0.35, 0.7, soft_mm=0.7)


def _eye(canvas: Canvas, eye: np.ndarray, side: int, person: Person, expression: Expression) -> None:
    upper, lower = curve(eye[[0, 1, 2, 3]]), curve(eye[[0, 5, 4, 3]])
    outline = np.concatenate([upper, lower[::-1]])
    dark, lash = person.skin_rgb * (0.52, 0.42, 0.4), np.minimum(person.hair_rgb, 60) * 0.5
    canvas.stroke(_shifted(upper[2:-2], 0, -4.2), 1.2, dark, 0.7, soft_mm=0.7)
    canvas.stroke(_shifted(lower[1:-1], 0, 5.0), 2.0, dark, 0.25, soft_mm=1.6)
    canvas.fill(outline, (214, 206, 198), 1.0, soft_mm=0.15)
    middle = _shifted((eye[0] + eye[3]) / 2, 0, -0.6) + expression.gaze_mm
    for radius, colour in ((6.0, person.iris_rgb * 0.55), (5.2, person.iris_rgb), (2.4, (10, 8, 8))):
        canvas.fill(_disc(middle, radius, radius), colour, 1.0, soft_mm=0.25, inside_mm=outline)
    canvas.stroke(_shifted(upper, 0, 1.0), 2.4, (40, 30, 28), 0.45, soft_mm=0.8, inside_mm=outline)
    canvas.fill(_disc(_shifted(middle, -1.6, -2.0), 1.0, 1.0), (250, 250, 250), 0.95, soft_mm=0.2, inside_mm=outline)
    inner = eye[3] if side < 0 else eye[0]
    canvas.fill(_disc(_shifted(inner, side * 1.2, 0), 1.5, 1.1), person.lip_rgb * 0.9, 0.7, soft_mm=0.4)
    canvas.stroke(lower, 0.8, dark, 0.7, soft_mm=0.5)
    canvas.stroke(upper, 1.5, lash, 0.95, soft_mm=0.35)


def _brow(canvas: Canvas, brow: np.ndarray, person: Person, weave: np.ndarray) -> None:
    """The five points, outer end first, run along the upper part of the brow."""
    line = curve(np.concatenate([brow, brow[-1:] + 0.12 * (brow[-1:] - brow[-2:-1])]))
    along = np.linspace(0, 1, len(line))[:, None]
    thick = person.brow_mm * np.interp(along, (0, 0.35, 0.8, 1), (0.3, 0.75, 1, 0.8))
    down = np.array([[0.0, 1.0]])
    outline = np.concatenate([line - 0.25 * thick * down, (line + 0.75 * thick * down)[::-1]])
    canvas.fill(outline, np.minimum(person.hair_rgb, 105) * 0.7, person.brow_alpha, soft_mm=0.9, weave=weave)


def _hair_and_clothes(canvas: Canvas, p: np.ndarray, person: Person, weave: np.ndarray) -> None:
    collar = p[8, 1] + 40 - 14 * np.abs(np.sin(canvas.azimuths))
    cloth = np.clip((canvas.heights_mm - collar) * canvas.per_mm, 0, 1)
    _cover(canvas, cloth, person.clothes_rgb, weave, 0.3)
    hair = hair_cover(person, canvas.heights_mm + 5 * (weave - 1), canvas.azimuths, soft_mm=3)
    _cover(canvas, hair, person.hair_rgb, weave, 1.6)


def _cover(canvas: Canvas, mask: np.ndarray, rgb: np.ndarray, weave: np.ndarray, depth: float) -> None:
    """Lay a colour over the whole texture where the mask is, streaked as far as `depth` says."""
    shades = np.clip((np.arange(256, dtype=np.float32)[:, None] / 128) ** depth * rgb, 0, 255).astype(np.uint8)
    index = cv2.convertScaleAbs(weave, alpha=128)
    streaked = cv2.LUT(cv2.merge([index] * 3), shades[None])
    mask = np.ascontiguousarray(mask, np.float32)
    canvas.rgb = cv2.blendLinear(streaked, canvas.rgb, mask, 1 - mask)


def _glasses(canvas: Canvas, p: np.ndarray, person: Person) -> None:
    frame = person.hair_rgb * 0.5
    for side, eye in ((-1, p[36:42]), (1, p[42:48])):
        angle = np.linspace(0, 2 * np.pi, 41)
        rim = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        rim = np.sign(rim) * np.abs(rim) ** 0.7 * (22, 16) + _shifted(eye.mean(axis=0), side, 4)
        canvas.stroke(rim, 1.8, frame, 0.9, soft_mm=0.3)
        arm = eye.mean(axis=0) + np.array([[side * 23, 0], [side * 36, -1]])
        canvas.stroke(arm, 1.8, frame, 0.9, soft_mm=0.3)
    bridge = np.array([p[39], (p[27] + p[28]) / 2, p[42]]) + np.array([(9, 2), (0, -3), (-9, 2)])
    canvas.stroke(curve(bridge), 1.6, frame, 0.9, soft_mm=0.3)
