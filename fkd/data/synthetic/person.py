"""Who is shown and what the face does: shape, colours and expression, all drawn from a seed.

The front view of a face is given in millimetres of the head's own frame (see `surface`): x to the
subject's left, y down, the origin halfway between the outer eye corners, which are 90 mm apart in
everybody (size is the camera's business, and the schema's NME divides by that distance anyway).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fkd.schema import IBUG68

EYE_DISTANCE_MM = 90.0
RIGHT_EYE, LEFT_EYE = np.arange(36, 42), np.arange(42, 48)

# The subject's right half and the middle of an average relaxed face, lips closed: index, x, y in mm.
_AVERAGE_HALF = (
    *((0, -76, -2), (1, -74.5, 18), (2, -72, 37), (3, -68, 56), (4, -60, 73.5), (5, -47, 88), (6, -33, 99)),
    *((7, -17.5, 109), (8, 0, 111.5)),
    *((17, -60, -13), (18, -50.5, -20.5), (19, -38, -22.5), (20, -25, -20.5), (21, -12.5, -16)),
    *((27, 0, -1), (28, 0, 12), (29, 0, 25), (30, 0, 38), (31, -14, 45), (32, -7.5, 47.5), (33, 0, 49.5)),
    *((36, -45, 0), (37, -37.5, -4.5), (38, -28, -4.5), (39, -19.5, 2), (40, -28, 4), (41, -37.5, 4)),
    *((48, -26.5, 67.5), (49, -16.5, 64.5), (50, -7, 62.5), (51, 0, 64), (57, 0, 80), (58, -7.5, 79), (59, -17, 75.5)),
    *((60, -22.5, 68.5), (61, -7, 69.2), (62, 0, 70), (66, 0, 70), (67, -7, 69.2)),
)

_UPPER_LIP, _UPPER_INNER = np.arange(49, 54), np.arange(61, 64)
_LOWER_LIP, _LOWER_INNER = np.arange(55, 60), np.arange(65, 68)
_MOUTH_CORNERS = np.array([48, 54, 60, 64])

_SKIN_RGB = ((240, 194, 166), (226, 174, 143), (205, 155, 122), (178, 126, 94), (141, 94, 66), (104, 68, 50))
_HAIR_RGB = ((22, 18, 17), (38, 28, 22), (62, 42, 28), (98, 66, 40), (150, 112, 66), (190, 160, 108), (150, 148, 145))
_IRIS_RGB = ((52, 32, 20), (70, 44, 26), (92, 84, 54), (84, 110, 128), (98, 116, 98))


def average_points_mm() -> np.ndarray:
    """(68, 2) float64: the front view of the average relaxed face, symmetric."""
    points = np.zeros((68, 2))
    for index, x, y in _AVERAGE_HALF:
        points[index] = x, y
        points[IBUG68.mirror_partners[index]] = -x, y
    return points


@dataclass(frozen=True)
class Person:
    """What stays the same from one picture of somebody to the next.

    Attributes:
        front_mm: (68, 2) front view of the relaxed face, lips closed.
        nose_mm: how far the tip of the nose stands out.
        chin_mm, cheek_mm, brow_ridge_mm: how far these stand out more than on the average face.
        skin_rgb, hair_rgb, iris_rgb, lip_rgb, clothes_rgb: colours 0 to 255 under white light.
        brow_mm: thickness of the brows. brow_alpha: 0 to 1, how much they hide the skin.
        hair_mm: how far the hair stands off the skull. hairline_mm: y of its front edge.
        hair_end_mm: y that hair at the sides reaches down to, None for hair above the ears.
        beard: 0 to 1, how much a beard hides the skin. glasses: whether some are worn.
    """

    front_mm: np.ndarray
    nose_mm: float
    chin_mm: float
    cheek_mm: float
    brow_ridge_mm: float
    skin_rgb: np.ndarray
    hair_rgb: np.ndarray
    iris_rgb: np.ndarray
    lip_rgb: np.ndarray
    clothes_rgb: np.ndarray
    brow_mm: float
    brow_alpha: float
    hair_mm: float
    hairline_mm: float
    hair_end_mm: float | None
    beard: float
    glasses: bool


def draw_person(rng: np.random.Generator) -> Person:
    """A person at random."""
    skin = _mixture(rng, _SKIN_RGB) * rng.uniform(0.97, 1.03, 3)
    hair = _mixture(rng, _HAIR_RGB if skin[1] > 140 else _HAIR_RGB[:3])
    long_hair = rng.random() < 0.45
    bearded = not long_hair and rng.random() < 0.35
    fringe = rng.random() < 0.2
    return Person(
        front_mm=_draw_front(rng),
        nose_mm=rng.uniform(17, 24),
        chin_mm=rng.normal(0, 1.5),
        cheek_mm=rng.normal(0, 1.2),
        brow_ridge_mm=rng.normal(0, 0.8) + (0 if long_hair else 1),
        skin_rgb=np.clip(skin, 30, 248),
        hair_rgb=hair,
        iris_rgb=_mixture(rng, _IRIS_RGB[:2] if skin[1] < 150 else _IRIS_RGB),
        lip_rgb=skin * (0.86, 0.62, 0.62) + rng.uniform(-8, 8, 3) + ((12, -14, -8) if long_hair else (0, 6, 6)),
        clothes_rgb=np.clip(rng.uniform(25, 215) + rng.normal(0, 28, 3), 10, 240),
        brow_mm=rng.uniform(5, 7.5) if long_hair else rng.uniform(6, 9),
        brow_alpha=rng.uniform(0.65, 0.95),
        hair_mm=rng.uniform(8, 22) if long_hair else rng.uniform(3, 20),
        hairline_mm=rng.uniform(-52, -38) if fringe else rng.uniform(-78, -60),
        hair_end_mm=rng.uniform(60, 190) if long_hair else None,
        beard=rng.uniform(0.15, 0.75) if bearded else 0.0,
        glasses=bool(rng.random() < 0.1),
    )


def _mixture(rng: np.random.Generator, colours: tuple[tuple[int, int, int], ...]) -> np.ndarray:
    """A colour between two neighbours of a list that runs from one extreme to the other."""
    place = rng.uniform(0, len(colours) - 1)
    first = min(int(place), len(colours) - 2)
    share = place - first
    return np.asarray(colours[first]) * (1 - share) + np.asarray(colours[first + 1]) * share


def _draw_front(rng: np.random.Generator) -> np.ndarray:
    """(68, 2) the relaxed front view of a person at random, in mm."""
    points = average_points_mm()
    x, y = points.T  # views: every line below changes `points`

    below = np.clip(y / 111, 0, 1)
    x[:17] *= rng.normal(1, 0.04) * (1 + rng.normal(0, 0.06) * np.clip(below[:17] - 0.3, 0, 1))
    nose, mouth, chin = rng.normal(0, 2.4), rng.normal(0, 2.0), rng.normal(0, 4.5)
    y += np.interp(y, (0, 49, 70, 111), (0, nose, nose + mouth, nose + mouth + chin))

    x[17:27] *= rng.normal(1, 0.03)
    y[17:27] += rng.normal(0, 3) + rng.normal(0, 1.2) * (np.abs(x[17:27]) - 36) / 24
    x[31:36] *= np.clip(rng.normal(1, 0.12), 0.75, 1.35)

    wider = rng.normal(0, 1.2)
    tilt = rng.normal(0, 1.2)
    for eye in (RIGHT_EYE, LEFT_EYE):
        inwards = (45 - np.abs(x[eye])) / 25.5
        x[eye] -= np.sign(x[eye]) * wider * inwards
        y[eye] += tilt * inwards

    lip_line = y[[62, 66]].mean()
    for lip in (_UPPER_LIP, _LOWER_LIP):
        y[lip] = lip_line + (y[lip] - lip_line) * np.clip(rng.normal(1, 0.2), 0.5, 1.5)
    points[17:] += rng.normal(0, 0.35, points[17:].shape) * (np.abs(x[17:, None]) > 1)
    points[RIGHT_EYE[0]], points[LEFT_EYE[3]] = (-45, 0), (45, 0)
    return points


@dataclass(frozen=True)
class Expression:
    """What changes from one moment to the next.

    Attributes:
        eye_opening: subject's right and left eye, lid gap / eye width (see `fkd.front_view`).
        mouth_opening: inner lip gap / mouth width (see `fkd.front_view`).
        mouth_width: mouth width / distance of the outer eye corners.
        smile: -0.3 to 1: how far the corners of the mouth go up.
        brow_raise_mm: how far the brows go up.
        gaze_mm: how far both irises move to the subject's left, and down.
    """

    eye_opening: tuple[float, float]
    mouth_opening: float
    mouth_width: float
    smile: float
    brow_raise_mm: float
    gaze_mm: tuple[float, float]


def draw_expression(rng: np.random.Generator) -> Expression:
    """An expression at random: as often closed as open lips, now and then a blink."""
    opening = np.clip(rng.normal(0.33, 0.06), 0.12, 0.5)
    eyes = np.clip(opening + rng.normal(0, 0.012, 2), 0.08, 0.5)
    if rng.random() < 0.05:
        eyes = rng.uniform(0, 0.1) * np.ones(2)
    smile = np.clip(rng.normal(0.3, 0.35), -0.3, 1)
    mouth = max(0.0, rng.normal(0.02, 0.15))
    return Expression(
        eye_opening=(float(eyes[0]), float(eyes[1])),
        mouth_opening=float(min(mouth, 0.6)),
        mouth_width=float(np.clip(rng.normal(0.585, 0.035) + 0.1 * smile, 0.46, 0.82)),
        smile=float(smile),
        brow_raise_mm=float(rng.normal(0, 1.5)),
        gaze_mm=(float(rng.normal(0, 1.6)), float(rng.normal(0, 0.7))),
    )


def expressive_front(person: Person, expression: Expression) -> np.ndarray:
    """(68, 2) the person's front view in mm, wearing the expression."""
    points = person.front_mm.copy()
    points[17:27, 1] -= expression.brow_raise_mm
    for eye, opening in zip((RIGHT_EYE, LEFT_EYE), expression.eye_opening, strict=True):
        points[eye] = _lids(points[eye], opening)
    _move_mouth(points, expression)
    return points


def _lids(eye_mm: np.ndarray, opening: float) -> np.ndarray:
    """Six points of an eye whose lids are `opening` eye widths apart; the upper lid moves most."""
    moved = eye_mm.copy()
    first, last = eye_mm[0], eye_mm[3]
    width = last[0] - first[0]
    gap = opening * width
    for upper, lower in ((1, 5), (2, 4)):
        share = (eye_mm[upper, 0] - first[0]) / width
        chord = first[1] + share * (last[1] - first[1])
        moved[lower] = eye_mm[upper, 0], chord + 1.6 + 0.16 * gap
        moved[upper, 1] = moved[lower, 1] - gap
    return moved


def _move_mouth(points: np.ndarray, expression: Expression) -> None:
    """Widen, open and smile, in place; the jaw follows the lower lip."""
    x, y = points.T
    x[48:] *= expression.mouth_width * EYE_DISTANCE_MM / (x[54] - x[48])
    gap = expression.mouth_opening * (x[54] - x[48]) - (y[66] - y[62])
    smile = expression.smile
    y[_MOUTH_CORNERS] -= 4 * smile
    y[[49, 53, 55, 59]] -= 1.5 * smile
    y[[50, 51, 52]] -= 1.0 * max(smile, 0)
    y[_UPPER_LIP] -= 0.3 * gap * np.array([0.7, 1, 1, 1, 0.7])
    y[_UPPER_INNER] -= 0.3 * gap * np.array([0.85, 1, 0.85])
    y[_LOWER_LIP] += 0.7 * gap * np.array([0.7, 1, 1, 1, 0.7])
    y[_LOWER_INNER] += 0.7 * gap * np.array([0.85, 1, 0.85])
    y[_MOUTH_CORNERS] += 0.15 * gap
    drop = np.clip((np.arange(17) - 1) / 5, 0, 1) * np.clip((15 - np.arange(17)) / 5, 0, 1)
    y[:17] += 0.6 * gap * drop
    x[31:36] *= 1 + 0.08 * max(smile, 0)
