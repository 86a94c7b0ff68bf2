"""A head fitted to 68 points: how it is turned, and what the face would look like from the front.

    pose = fit_head(points_px, image_rgb_u8.shape[:2])
    pose.yaw_deg, pose.front_mm

OpenCV's `solvePnP` turns an average head to the points that hardly move in a face. Neither that
person's shape nor the camera is known, and a long nose looks like a turned head; so both are then
fitted together with the pose (Gauss-Newton, maximum a posteriori): the shape as a mixture of the ways
in which heads differ (a point distribution model, Cootes et al., 1995), and how far away the camera is.

The heads are synthetic ones, so no one's face is in the model. `python -m fkd.pipeline.head` draws them
again and writes `head.npz` beside this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from fkd.schema import IBUG68

_FILE = Path(__file__).with_name("head.npz")
_HEADS, _MODES = 300, 20
# What hardly moves when a face speaks or smiles: corners of the eyes, the nose, corners of the mouth.
_STEADY = np.array([36, 39, 42, 45, *range(27, 36), 48, 54])
# The jaw is left out: on a turned head its points lie on the outline, which is elsewhere on the head.
_FITTED = np.arange(17, 68)
_EYES_MM = 90.0  # between the outer corners, as in every synthetic head
# What is taken for granted of distance (log-normal) and of how exact points are, in mm on the head.
_DISTANCE_MM, _DISTANCE_SPREAD = 1000.0, 0.6
_POINT_ERROR_MM = 1.8
_STEPS = 6


@dataclass(frozen=True)
class HeadPose:
    """How a head is turned, with the signs and units of `fkd.data.synthetic.SyntheticFace`.

    Attributes:
        yaw_deg: positive to the picture's right (the subject's left).
        pitch_deg: positive upwards.
        roll_deg: positive clockwise as seen.
        front_mm: (68, 2) the points as they would lie seen from the front, x to the subject's left and y
            down, the outer eye corners about 90 mm apart.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    front_mm: np.ndarray


@dataclass(frozen=True)
class HeadModel:
    """Mean (68, 3) of heads in mm, and (modes, 68, 3) by one standard deviation of each way they differ."""

    mean_mm: np.ndarray
    modes_mm: np.ndarray


def build_head_model(heads_mm: np.ndarray, modes: int) -> HeadModel:
    """The model of (n, 68, 3) heads and their mirror images."""
    mirrored = heads_mm[:, IBUG68.mirror_partners] * np.array([-1.0, 1.0, 1.0])
    every = np.concatenate([heads_mm, mirrored])
    mean = every.mean(axis=0)
    _, spreads, directions = np.linalg.svd((every - mean).reshape(len(every), -1), full_matrices=False)
    scaled = directions[:modes] * spreads[:modes, None] / np.sqrt(len(every))
    return HeadModel(mean, scaled.reshape(modes, -1, 3))


@cache
def head_model() -> HeadModel:
    """The model that comes with the package."""
    with np.load(_FILE, allow_pickle=False) as stored:
        return HeadModel(stored["mean_mm"].astype(np.float64), stored["modes_mm"].astype(np.float64))


def fit_head(points_px: np.ndarray, image_shape: tuple[int, int]) -> HeadPose:
    """Fit a head to a face.

    Args:
        points_px: (68, 2) points of `ibug68`.
        image_shape: height and width of the uncropped picture, whose middle the camera looks at.

    Raises:
        ValueError: other than 68 finite points.
    """
    points = np.asarray(points_px, np.float64)
    if points.shape != (len(IBUG68), 2) or not np.isfinite(points).all():
        raise ValueError(f"expected (68, 2) finite points, received {points.shape}")
    height, width = image_shape
    centred = points - (np.array([width, height]) - 1) / 2
    fit = _first_fit(centred)
    for _ in range(_STEPS):
        fit = _improved(fit, centred[_FITTED])
    front = _seen_from_front(fit, centred)
    yaw, pitch, roll = _angles_deg(fit.rotation)
    return HeadPose(yaw, pitch, roll, front)


@dataclass(frozen=True)
class _Fit:
    """A head before a camera: a point q of the turned head is seen at (scale q_xy + shift) / (1 + q_z / distance)."""

    rotation: np.ndarray  # (3, 3) from the head's frame to the camera's
    shift_px: np.ndarray  # (2,) of the head's origin from the middle of the picture
    scale: float  # pixels per mm at the head's origin
    distance_mm: float
    shape: np.ndarray  # (modes,) in standard deviations

    def head_mm(self) -> np.ndarray:
        model = head_model()
        return model.mean_mm + np.tensordot(self.shape, model.modes_mm, axes=1)


def _first_fit(centred_px: np.ndarray) -> _Fit:
    """The average head, turned to the steady points, at the usual distance."""
    model = head_model()
    across_px = max(float(np.linalg.norm(centred_px[36] - centred_px[45])), 1e-3)
    focal_px = across_px / _EYES_MM * _DISTANCE_MM
    camera = np.diag([focal_px, focal_px, 1.0])
    try:
        _, turn, place = cv2.solvePnP(
            model.mean_mm[_STEADY], centred_px[_STEADY], camera, None, flags=cv2.SOLVEPNP_SQPNP
        )
    except cv2.error:  # points that are no face, such as all in one place: begin with a look straight ahead
        turn, place = np.zeros(3), np.array([[0.0], [0.0], [_DISTANCE_MM]])
    distance = float(np.clip(place[2, 0], 100, 10_000))
    scale = focal_px / distance
    return _Fit(cv2.Rodrigues(turn)[0], place[:2, 0] * scale, scale, distance, np.zeros(len(model.modes_mm)))


def _improved(fit: _Fit, seen_px: np.ndarray) -> _Fit:
    """One Gauss-Newton step; `seen_px` are the fitted points, from the middle of the picture."""
    turned = fit.head_mm()[_FITTED] @ fit.rotation.T
    depth = 1 + turned[:, 2] / fit.distance_mm
    before = fit.scale * turned[:, :2] + fit.shift_px  # perspective
    residuals = seen_px - before / depth[:, None]

    # How the turned head's points move with each unknown: three turns, then the modes.
    x, y, z = turned.T
    zero = np.zeros_like(x)
    turns = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)])
    moves = np.concatenate([turns, head_model().modes_mm[:, _FITTED] @ fit.rotation.T])
    toward = moves[..., 2:] * (before / (fit.distance_mm * depth**2)[:, None])
    by_moves = fit.scale * moves[..., :2] / depth[:, None] - toward
    by_shift = np.zeros((2, len(x), 2))
    by_shift[0, :, 0] = by_shift[1, :, 1] = 1 / depth
    by_scale = turned[:, :2] / depth[:, None]
    by_distance = before * (z / (fit.distance_mm * depth**2))[:, None]
    jacobian = np.concatenate([by_moves, by_shift, by_scale[None], by_distance[None]]).reshape(len(moves) + 4, -1).T

    # Weights: of residuals by how exact points are, of shape and distance by how usual they are.
    spread_px = _POINT_ERROR_MM * fit.scale
    from_usual = np.log(fit.distance_mm / _DISTANCE_MM)
    usual = np.concatenate([np.zeros(3), np.ones(len(fit.shape)), np.zeros(3), [_DISTANCE_SPREAD**-2]])
    gone = np.concatenate([np.zeros(3), fit.shape, np.zeros(3), [from_usual]])
    normal = jacobian.T @ jacobian / spread_px**2 + np.diag(usual + 1e-9)
    step = np.linalg.solve(normal, jacobian.T @ residuals.ravel() / spread_px**2 - usual * gone)

    modes_end = 3 + len(fit.shape)
    return _Fit(
        cv2.Rodrigues(np.clip(step[:3], -0.5, 0.5))[0] @ fit.rotation,
        fit.shift_px + step[modes_end : modes_end + 2],
        fit.scale * float(np.exp(np.clip(step[-2] / fit.scale, -0.3, 0.3))),
        float(np.clip(fit.distance_mm * np.exp(np.clip(step[-1], -0.7, 0.7)), 150, 20_000)),
        fit.shape + step[3:modes_end],
    )


def _seen_from_front(fit: _Fit, centred_px: np.ndarray) -> np.ndarray:
    """(68, 2) x, y in the head's frame of what is seen, at the depth that the fitted head has there."""
    z = fit.head_mm()[:, 2]
    across, down, ahead = fit.rotation
    # Both equations of the projection are linear in x and y: scale q_xy + shift = seen (1 + q_z / distance).
    pull = centred_px / fit.distance_mm
    rows = fit.scale * np.stack([across[:2], down[:2]]) - pull[:, :, None] * ahead[:2]
    away = centred_px - fit.shift_px + z[:, None] * (pull * ahead[2] - fit.scale * np.array([across[2], down[2]]))
    return np.linalg.solve(rows, away[..., None])[..., 0]


def _angles_deg(rotation: np.ndarray) -> tuple[float, float, float]:
    """Yaw, pitch and roll of Rz(roll) Ry(-yaw) Rx(-pitch)."""
    yaw = np.arcsin(np.clip(rotation[2, 0], -1, 1))
    pitch = np.arctan2(-rotation[2, 1], rotation[2, 2])
    roll = np.arctan2(rotation[1, 0], rotation[0, 0])
    return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


def main() -> None:
    """Draw heads and write the model."""
    from fkd.data.synthetic import synthetic_heads

    model = build_head_model(synthetic_heads(_HEADS), _MODES)
    np.savez_compressed(_FILE, **{name: part.astype(np.float32) for name, part in vars(model).items()})


if __name__ == "__main__":
    main()
