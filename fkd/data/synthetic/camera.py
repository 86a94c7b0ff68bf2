"""Pose, perspective and the picture of a surface: where points land, and what each pixel sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from fkd.data.synthetic.surface import Surface, column, row

_COARSE_STEPS, _FINE_STEPS = 30, 6
_ARRIVED_MM = 0.3
_SAFETY_MM = 2.0  # how much before its neighbours' ends a ray starts
# No visible part of head and shoulders is further before or behind the axis than this.
_NEAREST_MM, _FURTHEST_MM = 150, 110


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """(3, 3) from the head's frame to the camera's (x right, y down, z away), both right-handed.

    Yaw and pitch are azimuth and elevation of the direction the face looks in; all three are 0 for
    a face that looks straight into the camera. Positive yaw turns the nose to the picture's right
    (the subject's left), positive pitch lifts it, and positive roll tilts the head clockwise as the
    picture shows it. The matrix is Rz(roll) Ry(-yaw) Rx(-pitch).
    """
    yaw, pitch, roll = np.radians([yaw_deg, pitch_deg, roll_deg])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), np.sin(pitch)], [0, -np.sin(pitch), np.cos(pitch)]])
    about_y = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, its axis through the middle of a square picture.

    Attributes:
        rotation: (3, 3), translation_mm: (3,): from the head's frame to the camera's.
        focal_px: focal length.
        size: side of the picture; the axis meets it at ((size - 1) / 2, (size - 1) / 2).
    """

    rotation: np.ndarray
    translation_mm: np.ndarray
    focal_px: float
    size: int

    def project(self, points_mm: np.ndarray) -> np.ndarray:
        """(..., 3) points in the head's frame to (..., 2) pixels."""
        seen = points_mm @ self.rotation.T + self.translation_mm
        return seen[..., :2] / seen[..., 2:] * self.focal_px + (self.size - 1) / 2

    def enlarged(self, factor: int) -> Camera:
        """The same view with `factor` times as many pixels a side."""
        return Camera(self.rotation, self.translation_mm, self.focal_px * factor, self.size * factor)


@dataclass(frozen=True)
class Framing:
    """Where the picture shows the face, and how large.

    Attributes:
        measure: tells the centre (2,) and the span of projected points (68, 2), in pixels.
        centre_px: (2,) where the centre should lie. span_px: how large the span should be.
    """

    measure: Callable[[np.ndarray], tuple[np.ndarray, float]]
    centre_px: np.ndarray
    span_px: float


def aim(points_mm: np.ndarray, rotation: np.ndarray, distance_mm: float, size: int, framing: Framing) -> Camera:
    """The camera, `distance_mm` before the middle of the head, that frames (68, 3) points as told."""
    focal_px = framing.span_px * distance_mm / 150
    translation = np.array([0.0, 0.0, distance_mm])
    for _ in range(8):  # each round leaves a few percent of the error
        centre, span = framing.measure(Camera(rotation, translation, focal_px, size).project(points_mm))
        translation[:2] += (framing.centre_px - centre) * distance_mm / focal_px
        focal_px *= framing.span_px / span
    return Camera(rotation, translation, float(focal_px), size)


def trace(surface: Surface, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What each pixel sees, by walking along its ray as far as the surface is away (sphere tracing).

    Every fourth pixel's ray walks first; the rest start a little before their neighbours' ends.

    Returns:
        azimuths, heights in mm, (size, size) float32 each, and (size, size) bool: where the ray
        meets the surface at all.
    """
    steepness = 1 / np.sqrt(1 + (surface.slope**2).sum(axis=-1))
    # The steepest place nearby decides, or a ray would step through a wall such as the side of the hair.
    safe = cv2.erode(np.clip(steepness, 0.2, 0.95).astype(np.float32), np.ones((7, 7), np.uint8))
    field = cv2.merge([surface.radius_mm, safe])
    coarse = np.arange(-2, camera.size + 3, 4, dtype=np.float32)
    start = np.full((len(coarse), len(coarse)), camera.translation_mm[2] - _NEAREST_MM, np.float32)
    _, _, reach, _ = _walk(field, camera, _rays(camera, coarse[None, :], coarse[:, None]), start, _COARSE_STEPS)
    nearest = cv2.erode(reach, np.ones((3, 3), np.uint8)) - np.float32(_SAFETY_MM)

    fine = np.arange(camera.size, dtype=np.float32)
    place = np.broadcast_to((fine + 2) / 4, (camera.size, camera.size))
    begin = cv2.remap(nearest, np.ascontiguousarray(place), np.ascontiguousarray(place.T), cv2.INTER_LINEAR)
    rays = _rays(camera, fine[None, :], fine[:, None])
    azimuths, heights, reach, gap = _walk(field, camera, rays, begin, _FINE_STEPS)

    # Rays that pass close by an edge take small steps: the few that have not arrived go on alone.
    rows, columns = np.nonzero((gap > _ARRIVED_MM) & (reach < camera.translation_mm[2] + _FURTHEST_MM))
    if len(rows):
        shape = (-(-len(rows) // 256), 256)  # cv2.remap takes no long lists; the surplus is done twice
        rows, columns = np.resize(rows, shape), np.resize(columns, shape)
        rays = _rays(camera, fine[columns], fine[rows])
        found = _walk(field, camera, rays, reach[rows, columns], _COARSE_STEPS)
        azimuths[rows, columns], heights[rows, columns], reach[rows, columns], _ = found
    return azimuths, heights, reach < np.float32(camera.translation_mm[2] + _FURTHEST_MM)


def _rays(camera: Camera, columns_px: np.ndarray, rows_px: np.ndarray) -> list[np.ndarray]:
    """The head's x, y, z gained per mm of depth along the rays through pixels."""
    across, down, ahead = camera.rotation.astype(np.float32)  # the camera's axes in the head's frame
    middle, focal_px = np.float32((camera.size - 1) / 2), np.float32(camera.focal_px)
    right, below = (columns_px - middle) / focal_px, (rows_px - middle) / focal_px
    return [right * across[i] + below * down[i] + ahead[i] for i in range(3)]


def _walk(
    field: np.ndarray, camera: Camera, rays: list[np.ndarray], reach: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Azimuths, heights, depths and what is left to go where rays arrive, each of the rays' shape.

    Args:
        field: (rows, columns, 2) radius, and the safe share of the gap to it for one step.
        camera: where the rays start.
        rays: the head's x, y, z gained per mm of depth.
        reach: depths from the camera to start at.
        steps: how many to take.
    """
    origin = (-camera.rotation.T @ camera.translation_mm).astype(np.float32)
    end = np.float32(camera.translation_mm[2] + _FURTHEST_MM)
    for _ in range(steps):
        x, y, z = (origin[i] + reach * rays[i] for i in range(3))
        azimuths = np.arctan2(x, -z)
        found = cv2.remap(field, column(azimuths), row(y), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        radius, share = cv2.split(found)
        gap = np.sqrt(x * x + z * z) - radius
        reach = np.minimum(reach + gap * share, end)
    return azimuths, y, reach, gap
