"""Whether a followed face lives or may be a print: a poster, a photograph, a face on a wall.

    liveness = Liveness(model.card.schema)
    liveness(time_s, points_px)      # at every look at this face
    liveness.lives, liveness.is_rigid

From one look at a print to the next, one affine map explains all that its points do: they shift, turn, grow
and lean together. A living face has depth and muscles, and its points also move against each other. The
measure is what the best affine maps leave over within some seconds, as root mean square over a group of
keypoints, in distances of the outer eye corners; the largest group counts, as a mouth may move alone. Mean
shapes of a fifth of a second are compared and not single looks, which tremble with the camera's noise.

The bounds are on the side of people. Between them lie prints that are moved by hand, which network and
perspective bend a little, as well as small faces, dark pictures, slow cameras, and people who sit still:
none of them is said to be rigid. Who sits as still as a wall for two seconds is, since blinks are too
small to be seen by points. That is why this alone is no verdict; see `Tracker`.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from fkd.schema import Schema

_SHAPE_S, _WINDOW_S = 0.2, 2.0
_FEWEST_SHAPES = 6  # in a window, without which it says nothing
# In eye distances. Prints that hang still stay below the first at 30 frames a second, and all but the smallest at
# 10 a second below the second; a person's calmest second was above the first, and any two seconds above the other.
_RIGID, _LIVING = 0.004, 0.01
# A face has to be rigid for so many times as long as it has lived before, up to so long.
_TRUST, _LONGEST_TRUST_S = 3.0, 30.0


class Liveness:
    """Watches the points of one face.

    Args:
        schema: which points they are.

    Attributes:
        lives: whether the face moved of late in a way that no print does.
        is_rigid: whether it has kept so rigid for so long that it may be a print.
    """

    def __init__(self, schema: Schema) -> None:
        self._groups = [np.array(members) for members in schema.groups.values()]
        self._eyes = list(schema.normalising_pair)
        self._begun_s, self._looks = -np.inf, list[np.ndarray]()
        self._shapes: deque[tuple[float, np.ndarray]] = deque()
        self._lived_s, self._rigid_from_s = 0.0, np.inf
        self.lives = self.is_rigid = False

    def __call__(self, time_s: float, points_px: np.ndarray) -> None:
        """Take in the (k, 2) points of the face at a later time than the last."""
        if self._looks and time_s - self._begun_s >= _SHAPE_S:
            shape = _mean_shape(np.stack(self._looks), self._looks[0])
            self._shapes.append((self._begun_s, shape))
            self._looks.clear()
            self._judge(time_s)
        if not self._looks:
            self._begun_s = time_s
        self._looks.append(points_px.astype(np.float64))

    def _judge(self, time_s: float) -> None:
        while len(self._shapes) > 1 and time_s - self._shapes[1][0] >= _WINDOW_S:
            self._shapes.popleft()
        moved = self._largest_move()
        self.lives = moved > _LIVING
        if self.lives:
            self._lived_s += _SHAPE_S
        first_s = self._shapes[0][0]
        is_calm = moved < _RIGID and len(self._shapes) >= _FEWEST_SHAPES and time_s - first_s >= _WINDOW_S
        self._rigid_from_s = min(self._rigid_from_s, first_s) if is_calm else np.inf
        self.is_rigid = time_s - self._rigid_from_s >= min(_TRUST * self._lived_s, _LONGEST_TRUST_S) and is_calm
        if self.is_rigid:
            self._lived_s = 0.0

    def _largest_move(self) -> float:
        """How far a group of keypoints was from where it is on average, at most, in eye distances."""
        shapes = np.stack([shape for _, shape in self._shapes])
        aligned = _aligned(shapes, shapes[-1])
        squares = ((aligned - aligned.mean(axis=0)) ** 2).sum(axis=2)
        largest = max(float(squares[:, group].mean(axis=1).max()) for group in self._groups)
        right, left = shapes[-1][self._eyes]
        return float(np.sqrt(largest)) / max(float(np.linalg.norm(left - right)), 1e-6)


def _mean_shape(looks_px: np.ndarray, onto_px: np.ndarray) -> np.ndarray:
    return _aligned(looks_px, onto_px).mean(axis=0)


def _aligned(shapes_px: np.ndarray, onto_px: np.ndarray) -> np.ndarray:
    """(n, k, 2) points, each mapped onto (k, 2) others by the affine map that fits best."""
    middle_px = onto_px.mean(axis=0)
    centred = shapes_px - shapes_px.mean(axis=1, keepdims=True)
    turned = centred.transpose(0, 2, 1)
    return centred @ (np.linalg.pinv(turned @ centred, hermitian=True) @ (turned @ (onto_px - middle_px))) + middle_px
