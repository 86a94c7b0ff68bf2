"""Videos of synthetic people: portraits cut out round the head and moved over a background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from fkd.data.synthetic import SyntheticFace, render_face

HEIGHT, WIDTH = 360, 480


@dataclass(frozen=True)
class Actor:
    """A portrait with the opacity of each pixel, cut out round the head."""

    face: SyntheticFace
    opacity: np.ndarray

    @property
    def eyes_px(self) -> float:
        points = self.face.points68_px
        return float(np.linalg.norm(points[36] - points[45]))


def actor(seed: int, size: int = 150, **pose: float) -> Actor:
    """Somebody whose face is about half as large as `size`."""
    face = render_face(seed, size, **{"yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0, "face_fraction": 0.55, **pose})
    low, high = face.points68_px.min(axis=0), face.points68_px.max(axis=0)
    rows, columns = np.ogrid[:size, :size]
    # Hair and ears are seen too: the ellipse reaches further up than the points do.
    centre, radii = (low + high) / 2 - (0, 0.12 * size), (high - low) * (0.72, 0.85)
    distance = np.hypot((columns - centre[0]) / radii[0], (rows - centre[1]) / radii[1])
    return Actor(face, np.clip((1 - distance) * 12, 0, 1)[..., None])


def background(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = np.clip(rng.normal(120, 25, (6, 8, 3)), 0, 255).astype(np.float32)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def scene(*cast: tuple[Actor, float, float], backdrop: np.ndarray | None = None) -> np.ndarray:
    """(HEIGHT, WIDTH, 3) uint8 with portraits whose middles lie at x, y, later ones in front."""
    picture = (background() if backdrop is None else backdrop).astype(np.float32).copy()
    for person, x, y in cast:
        size = len(person.opacity)
        map_to = np.array([[1, 0, x - (size - 1) / 2], [0, 1, y - (size - 1) / 2]])
        opacity = cv2.warpAffine(person.opacity.astype(np.float32), map_to, (WIDTH, HEIGHT))[..., None]
        portrait = cv2.warpAffine(
            person.face.image_rgb_u8.astype(np.float32), map_to, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE
        )
        picture += opacity * (portrait - picture)
    noise = np.random.default_rng(int(picture[0, 0, 0] * 7) + len(cast)).normal(0, 1.0, (HEIGHT, WIDTH, 1))
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


def points_of(person: Actor, x: float, y: float) -> np.ndarray:
    """(68, 2) where the scene shows the points of a portrait at x, y."""
    return person.face.points68_px + np.array([x, y]) - (len(person.opacity) - 1) / 2


def nearest(faces: Sequence, points_px: np.ndarray):
    """The face of a list whose points lie nearest, and how far in px."""
    distances = [float(np.linalg.norm(face.points_px - points_px, axis=1).mean()) for face in faces]
    best = int(np.argmin(distances))
    return faces[best], distances[best]
