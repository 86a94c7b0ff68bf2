"""A head fitted to 68 points: how it is turned, and what the face would look like from the front.

    pose = fit_head(points_px, image_rgb_u8.shape[:2])
    pose.yaw_deg, pose.front_mm
    pose = fit_head(next_points_px, image_rgb_u8.shape[:2], pose)    # in a video, a third of the work

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
# Most steps from the average head, and from the fit of the frame before, which come equally far; and by how
# many radians or standard deviations of a shape the last of them may move.
_STEPS, _STEPS_ON, _SETTLED = 6, 2, 0.2
# A fit that misses the points by more, on average over real faces it is 1.3, has gone astray and is begun anew.
_ASTRAY_MM = 4.0


@dataclass(frozen=True)
class HeadPose:
    """How a head is turned, with the signs and units of `fkd.data.synthetic.SyntheticFace`.

    Attributes:
        yaw_deg: positive to the picture's right (the subject's left).
        pitch_deg: positive upwards.
        roll_deg: positive clockwise as seen.
        front_mm: (68, 2) the points as they would lie seen from the front, x to the subject's left and y
            down, the outer eye corners about 90 mm apart.
        fit: what was fitted.
    """

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    front_mm: np.ndarray
    fit: HeadFit


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


def fit_head(points_px: np.ndarray, image_shape: tuple[int, int], before: HeadPose | None = None) -> HeadPose:
    """Fit a head to a face.

    Args:
        points_px: (68, 2) points of `ibug68`.
        image_shape: height and width of the uncropped picture, whose middle the camera looks at.
        before: the same face a moment ago, where the fit then begins.

    Raises:
        ValueError: other than 68 finite points.
    """
    points = np.asarray(points_px, np.float64)
    if points.shape != (len(IBUG68), 2) or not np.isfinite(points).all():
        raise ValueError(f"expected (68, 2) finite points, received {points.shape}")
    height, width = image_shape
    centred = points - (np.array([width, height]) - 1) / 2
    fit = _improved(before.fit, centred[_FITTED], _STEPS_ON) if before else None
    if fit is None or _miss_mm(fit, centred[_FITTED]) > _ASTRAY_MM:
        fit = _improved(_first_fit(centred), centred[_FITTED], _STEPS)
    return HeadPose(*_angles_deg(fit.rotation), _seen_from_front(fit, centred), fit)


@dataclass(frozen=True)
class HeadFit:
    """A head before a camera: a point q of the turned head is seen at (scale q_xy + shift) / (1 + q_z / distance).

    Attributes:
        rotation: (3, 3) from the head's frame to the camera's.
        shift_px: (2,) of the head's origin from the middle of the picture.
        scale: pixels per mm at the head's origin.
        distance_mm: of the camera.
        shape: (modes,) in standard deviations.
    """

    rotation: np.ndarray
    shift_px: np.ndarray
    scale: float
    distance_mm: float
    shape: np.ndarray


def _first_fit(centred_px: np.ndarray) -> HeadFit:
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
    return HeadFit(cv2.Rodrigues(turn)[0], place[:2, 0] * scale, scale, distance, np.zeros(len(model.modes_mm)))


@dataclass(frozen=True)
class _Projection:
    """The fitted points of a head as a camera sees them.

    Attributes:
        turned_mm: (n, 3) in the camera's frame, from the head's origin.
        depth: (n,) by how much further than the head's origin each is seen.
        seen_px: (n, 2) from the middle of the picture.
    """

    turned_mm: np.ndarray
    depth: np.ndarray
    seen_px: np.ndarray

    @classmethod
    def of(cls, fit: HeadFit) -> _Projection:
        mean_mm, modes_mm = _fitted_part()
        turned = (mean_mm + modes_mm @ fit.shape) @ fit.rotation.T
        depth = 1 + turned[:, 2] / fit.distance_mm
        return cls(turned, depth, (fit.scale * turned[:, :2] + fit.shift_px) / depth[:, None])


@cache
def _fitted_part() -> tuple[np.ndarray, np.ndarray]:
    """Mean (n, 3) and modes (n, 3, modes) of the points that are fitted, as the steps want them."""
    model = head_model()
    return model.mean_mm[_FITTED], np.ascontiguousarray(model.modes_mm[:, _FITTED].transpose(1, 2, 0))


def _miss_mm(fit: HeadFit, seen_px: np.ndarray) -> float:
    """How far the fitted points lie from the seen ones, as the root of the mean square of x and y."""
    return float(np.sqrt(np.square(_Projection.of(fit).seen_px - seen_px).mean())) / fit.scale


def _improved(fit: HeadFit, seen_px: np.ndarray, steps: int) -> HeadFit:
    """A fit after up to some Gauss-Newton steps; `seen_px` are the fitted points, from the middle of the picture."""
    for _ in range(steps):
        projection = _Projection.of(fit)
        jacobian = _jacobian(fit, projection)
        # Weights: of residuals by how exact points are, of shape and distance by how usual they are.
        weight = (_POINT_ERROR_MM * fit.scale) ** -2
        usual = np.zeros(jacobian.shape[1])
        usual[3:-4], usual[-1] = 1.0, _DISTANCE_SPREAD**-2
        gone = np.zeros_like(usual)
        gone[3:-4], gone[-1] = fit.shape, np.log(fit.distance_mm / _DISTANCE_MM)
        normal = weight * (jacobian.T @ jacobian) + np.diag(usual + 1e-9)
        residuals = (seen_px - projection.seen_px).ravel()
        step = np.linalg.solve(normal, weight * (residuals @ jacobian) - usual * gone)
        fit = _moved(fit, step)
        if np.abs(step[:-4]).max() < _SETTLED:
            break
    return fit


def _jacobian(fit: HeadFit, projection: _Projection) -> np.ndarray:
    """(2n, modes + 7) how the seen points move with each unknown: turns, modes, shift, scale, distance."""
    turned, depth, seen = projection.turned_mm, projection.depth[:, None], projection.seen_px
    _, modes_mm = _fitted_part()
    by_place = np.zeros((len(depth), 2, 3))
    by_place[:, 0, 0] = by_place[:, 1, 1] = fit.scale / projection.depth
    by_place[:, :, 2] = -seen / (fit.distance_mm * depth)
    by_x, by_y, by_z = by_place.transpose(2, 0, 1)
    x, y, z = turned.T[:, :, None]
    parts = np.empty((len(depth), 2, modes_mm.shape[2] + 7))
    parts[..., 0] = by_z * y - by_y * z
    parts[..., 1] = by_x * z - by_z * x
    parts[..., 2] = by_y * x - by_x * y
    parts[..., 3:-4] = by_place @ fit.rotation @ modes_mm
    parts[..., -4:-2] = np.eye(2) / depth[..., None]
    parts[..., -2] = turned[:, :2] / depth
    parts[..., -1] = seen * z / (fit.distance_mm * depth)
    return parts.reshape(-1, parts.shape[2])


def _moved(fit: HeadFit, step: np.ndarray) -> HeadFit:
    """A fit after one step of all unknowns; scale and distance move by factors, and nothing moves too far."""
    return HeadFit(
        cv2.Rodrigues(np.clip(step[:3], -0.5, 0.5))[0] @ fit.rotation,
        fit.shift_px + step[-4:-2],
        fit.scale * float(np.exp(np.clip(step[-2] / fit.scale, -0.3, 0.3))),
        float(np.clip(fit.distance_mm * np.exp(np.clip(step[-1], -0.7, 0.7)), 150, 20_000)),
        fit.shape + step[3:-4],
    )


def _seen_from_front(fit: HeadFit, centred_px: np.ndarray) -> np.ndarray:
    """(68, 2) x, y in the head's frame of what is seen, at the depth that the fitted head has there."""
    model = head_model()
    z = model.mean_mm[:, 2] + fit.shape @ model.modes_mm[:, :, 2]
    across, down, ahead = fit.rotation
    # Both equations of the projection are linear in x and y: scale q_xy + shift = seen (1 + q_z / distance).
    pull = centred_px / fit.distance_mm
    (a, b), (c, d) = (
        fit.scale * row[:2, None] - column * ahead[:2, None] for row, column in zip((across, down), pull.T, strict=True)
    )
    e, f = (centred_px - fit.shift_px + z[:, None] * (pull * ahead[2] - fit.scale * fit.rotation[:2, 2])).T
    return np.stack([e * d - b * f, a * f - e * c], axis=1) / (a * d - b * c)[:, None]


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
