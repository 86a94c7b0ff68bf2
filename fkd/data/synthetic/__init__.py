"""Synthetic faces: rendered pictures of people who do not exist, with everything known about them.

A head of our own (`surface`) takes a person's shape and an expression (`person`), is painted
(`texture`), lit, posed and seen by a camera (`camera`). The 68 points lie on that surface, on the
lines that are painted through them, so their projections are exact. Used where no data has been
fetched, and as ground truth for tests and for what is measured from points.

    from fkd.data.synthetic import render_face
    face = render_face(7, yaw_deg=20)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from fkd import front_view, schema
from fkd.data.dataset import Dataset
from fkd.data.synthetic.camera import Camera, Framing, aim, rotation_matrix, trace
from fkd.data.synthetic.light import shade
from fkd.data.synthetic.person import (
    Expression,
    Person,
    draw_expression,
    draw_person,
    expressive_front,
)
from fkd.data.synthetic.surface import Surface, build_surface
from fkd.data.synthetic.texture import paint
from fkd.front_view import measure_eyes, measure_mouth
from fkd.progress import steps
from fkd.schema import KAGGLE15, Schema, get_schema, kaggle15_from_ibug68

# The source of everything that a drawn face depends on; faces drawn by another are drawn anew.
DRAWN_BY = [*sorted(Path(__file__).parent.glob("*.py")), Path(front_view.__file__), Path(schema.__file__)]
_KAGGLE_SIZE, _PORTRAIT_SIZE = 96, 208
# Where Kaggle's faces have the eye centres and the middle of the mouth, in their 96 x 96 pixels.
_KAGGLE_ANCHORS_PX = np.array([[66.0, 37.0], [30.0, 37.0], [48.0, 76.0]])


@dataclass(frozen=True)
class SyntheticFace:
    """A rendered face and the truth about it.

    The camera follows OpenCV: x right, y down, z away from it; its axis meets the picture at
    ((size - 1) / 2, (size - 1) / 2) and it has no distortion. The head's frame has the same axes
    when the face looks straight at the camera; its unit is the millimetre, its origin lies between
    the ears at the height of the outer eye corners, which are 90 mm apart.

    Attributes:
        image_rgb_u8: (size, size, 3) uint8.
        points68_px: (68, 2) float32 x, y of the `ibug68` points.
        yaw_deg: how far the face is turned, positive to the picture's right (the subject's left).
        pitch_deg: how far it looks up; negative is down.
        roll_deg: how far it is tilted in the picture, positive clockwise as seen. The rotation from
            the head's frame to the camera's is Rz(roll) Ry(-yaw) Rx(-pitch).
        eye_opening: subject's right and left eye: in the un-posed front view, the mean height
            between upper and lower lid (37 to 41 and 38 to 40) over the eye's width (36 to 39).
        mouth_opening: in the same view, the height between the inner lips (62 to 66) over the width
            of the mouth (48 to 54).
        mouth_width: that width over the distance of the outer eye corners (36 to 45).
        model_points: (68, 3) float64 points of the head, with expression and before the pose. Jaw
            points that the turned face hides are moved along the surface to its outline, as
            people label them; so the jaw's model points depend on the pose.
        focal_px: focal length of the camera.
    """

    image_rgb_u8: np.ndarray
    points68_px: np.ndarray
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    eye_opening: tuple[float, float]
    mouth_opening: float
    mouth_width: float
    model_points: np.ndarray
    focal_px: float

    def points_px(self, schema: Schema) -> np.ndarray:
        """(k, 2) float32: the points of `kaggle15` or `ibug68`."""
        if schema.name == KAGGLE15.name:
            return kaggle15_from_ibug68(self.points68_px)
        return self.points68_px


@dataclass(frozen=True)
class _Shot:
    """How a picture is taken: pose in degrees, camera, light and film."""

    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    distance_mm: float
    face_fraction: float
    off_centre: np.ndarray  # (2,) in sides of the picture
    light: np.ndarray  # (3,) unit vector towards it, in the camera's frame
    ambient: float
    light_rgb: np.ndarray
    gloss: float
    contrast: float
    blur_px: float  # in a picture 256 wide
    noise: float


def render_face(
    seed: int,
    size: int = 256,
    *,
    yaw_deg: float | None = None,
    pitch_deg: float | None = None,
    roll_deg: float | None = None,
    eye_opening: float | tuple[float, float] | None = None,
    mouth_opening: float | None = None,
    face_fraction: float | None = None,
) -> SyntheticFace:
    """Draw a portrait; the same arguments give the same bytes.

    Args:
        seed: decides everything that is left at None.
        size: side of the picture in pixels.
        yaw_deg: as in `SyntheticFace`; sensible up to about 40 either way.
        pitch_deg: likewise, up to about 30.
        roll_deg: likewise, up to about 45.
        eye_opening: of both eyes, or the subject's right and left; 0 to about 0.5.
        mouth_opening: 0 to about 0.6.
        face_fraction: longer side of the tight box round the points over the picture's side.
    """
    person = draw_person(np.random.default_rng([seed, 0]))
    rng = np.random.default_rng([seed, 1])
    expression = draw_expression(rng)
    if eye_opening is not None:
        both = eye_opening if isinstance(eye_opening, tuple) else (eye_opening, eye_opening)
        expression = replace(expression, eye_opening=both)
    if mouth_opening is not None:
        expression = replace(expression, mouth_opening=mouth_opening)
    shot = _draw_shot(rng)
    shot = replace(
        shot,
        yaw_deg=shot.yaw_deg if yaw_deg is None else float(yaw_deg),
        pitch_deg=shot.pitch_deg if pitch_deg is None else float(pitch_deg),
        roll_deg=shot.roll_deg if roll_deg is None else float(roll_deg),
        face_fraction=shot.face_fraction if face_fraction is None else float(face_fraction),
    )
    middle = (size - 1) / 2 + shot.off_centre * size * max(0.0, 1 - shot.face_fraction)
    return _take(person, expression, shot, size, Framing(_tight_frame, middle, shot.face_fraction * size), rng)


def synthetic_heads(count: int, seed: int = 0) -> np.ndarray:
    """(count, 68, 3) float64 mm: points of people at random with an expression, seen from the front.

    The frame is that of `SyntheticFace.model_points`.
    """
    heads = np.empty((count, 68, 3))
    for index in range(count):
        rng = np.random.default_rng([seed, 4, index])
        person = draw_person(rng)
        front = expressive_front(person, draw_expression(rng))
        surface = build_surface(front, person)
        heads[index] = surface.at(surface.azimuths(front), front[:, 1])
    return heads


def synthetic_dataset(schema_name: str, count: int = 400, seed: int = 0, faces_per_person: int = 4) -> Dataset:
    """Grey synthetic faces in the form every source has; a person is a group.

    Args:
        schema_name: `kaggle15`: 96 x 96 pictures framed as Kaggle's are; `ibug68`: 208 x 208 with
            the tight box round the points in the middle, its longer side 104.
        count: how many faces; a smaller count gives the first of a larger one.
        seed: another seed, other people.
        faces_per_person: pictures of each, with other poses, light and expressions.

    Raises:
        FkdError: when the schema is unknown.
    """
    schema = get_schema(schema_name)
    drawing = steps("drawing synthetic faces, once", range(count))
    faces = [_dataset_face(schema, seed, i, i // faces_per_person) for i in drawing]
    name, size = f"synthetic{len(schema)}", _KAGGLE_SIZE if schema.name == KAGGLE15.name else _PORTRAIT_SIZE
    images = [cv2.cvtColor(face.image_rgb_u8, cv2.COLOR_RGB2GRAY) for face in faces]
    points = [face.points_px(schema) for face in faces]
    return Dataset(
        name=name,
        schema=schema,
        images_u8=np.array(images, np.uint8).reshape(count, size, size),
        points_px=np.array(points, np.float32).reshape(count, len(schema), 2),
        groups=np.array([f"synthetic_{seed}_{i // faces_per_person:05d}" for i in range(count)], dtype=str),
        sources=np.full(count, name),
        rows=np.array([f"synthetic_{i:06d}" for i in range(count)], dtype=str),
        published_split=np.array(["synthetic"] * count, dtype=str),
    )


def _dataset_face(schema: Schema, seed: int, index: int, person_index: int) -> SyntheticFace:
    person = draw_person(np.random.default_rng([seed, 2, person_index]))
    rng = np.random.default_rng([seed, 3, index])
    expression, shot = draw_expression(rng), _draw_shot(rng)
    if schema.name == KAGGLE15.name:
        centre, span = _spread(_KAGGLE_ANCHORS_PX)
        framing = Framing(_anchor_frame, centre + rng.normal(0, 1, 2), span)
        return _take(person, expression, shot, _KAGGLE_SIZE, framing, rng)
    framing = Framing(_tight_frame, np.full(2, (_PORTRAIT_SIZE - 1) / 2), _PORTRAIT_SIZE / 2)
    return _take(person, expression, shot, _PORTRAIT_SIZE, framing, rng)


def _draw_shot(rng: np.random.Generator) -> _Shot:
    azimuth, elevation = np.radians([rng.normal(0, 35), rng.normal(32, 18)])
    light = np.array([np.sin(azimuth) * np.cos(elevation), -np.sin(elevation), -np.cos(azimuth) * np.cos(elevation)])
    return _Shot(
        yaw_deg=float(np.clip(rng.normal(0, 14), -40, 40)),
        pitch_deg=float(np.clip(rng.normal(0, 6), -20, 20)),
        roll_deg=float(np.clip(rng.normal(0, 6), -25, 25)),
        distance_mm=float(np.exp(rng.uniform(np.log(500), np.log(2500)))),
        face_fraction=float(rng.uniform(0.45, 0.6)),
        off_centre=rng.uniform(-0.12, 0.12, 2),
        light=light,
        ambient=float(rng.uniform(0.4, 0.75)),
        light_rgb=rng.uniform(0.95, 1.25) * np.array([1, 1, 1]) + rng.normal(0.02, 0.03) * np.array([1, 0, -1]),
        gloss=float(rng.uniform(0.03, 0.22)),
        contrast=float(rng.uniform(0.85, 1.2)),
        blur_px=float(rng.uniform(0.3, 1.0)),
        noise=float(rng.uniform(0.5, 4)),
    )


def _tight_frame(points_px: np.ndarray) -> tuple[np.ndarray, float]:
    low, high = points_px.min(axis=0), points_px.max(axis=0)
    return (low + high) / 2, float((high - low).max())


def _anchor_frame(points_px: np.ndarray) -> tuple[np.ndarray, float]:
    points = kaggle15_from_ibug68(points_px)
    return _spread(np.stack([points[0], points[1], points[11:15].mean(axis=0)]))


def _spread(anchors_px: np.ndarray) -> tuple[np.ndarray, float]:
    centre = anchors_px.mean(axis=0)
    return centre, float(np.sqrt(((anchors_px - centre) ** 2).sum(axis=1).mean()))


def _take(
    person: Person,
    expression: Expression,
    shot: _Shot,
    size: int,
    framing: Framing,
    rng: np.random.Generator,
) -> SyntheticFace:
    """Build, pose, frame and photograph somebody."""
    front = expressive_front(person, expression)
    surface = build_surface(front, person)
    rotation = rotation_matrix(shot.yaw_deg, shot.pitch_deg, shot.roll_deg)
    azimuths = surface.azimuths(front)
    camera = aim(surface.at(azimuths, front[:, 1]), rotation, shot.distance_mm, size, framing)
    azimuths = _outline(surface, azimuths, front, camera)
    points = surface.at(azimuths, front[:, 1])
    camera = aim(points, rotation, shot.distance_mm, size, framing)
    right, left = measure_eyes(points)
    opening, width = measure_mouth(points)
    return SyntheticFace(
        image_rgb_u8=_photograph(surface, front, person, expression, shot, camera, rng),
        points68_px=camera.project(points).astype(np.float32),
        yaw_deg=shot.yaw_deg,
        pitch_deg=shot.pitch_deg,
        roll_deg=shot.roll_deg,
        eye_opening=(right, left),
        mouth_opening=opening,
        mouth_width=width,
        model_points=points,
        focal_px=camera.focal_px,
    )


def _outline(surface: Surface, azimuths: np.ndarray, front_mm: np.ndarray, camera: Camera) -> np.ndarray:
    """Azimuths (68,) with each jaw point moved along its height to where the face ends for the camera."""
    share = np.linspace(1, 0, 40)[:, None]
    candidates = share * azimuths[:17]
    heights = np.broadcast_to(front_mm[:17, 1], candidates.shape)
    seen = camera.project(surface.at(candidates, heights))
    sideways = camera.rotation[:2, 0] / np.linalg.norm(camera.rotation[:2, 0])
    outwards = (seen @ sideways) * np.sign(azimuths[:17])
    moved = azimuths.copy()
    moved[:17] = candidates[outwards.argmax(axis=0), np.arange(17)]
    return moved


def _photograph(
    surface: Surface,
    front_mm: np.ndarray,
    person: Person,
    expression: Expression,
    shot: _Shot,
    camera: Camera,
    rng: np.random.Generator,
) -> np.ndarray:
    """(size, size, 3) uint8 RGB picture."""
    pixels_per_mm = camera.focal_px / shot.distance_mm
    canvas = paint(surface, front_mm, person, expression, float(np.clip(1.5 * pixels_per_mm, 1.0, 2.5)), rng)
    to_camera = -camera.rotation.T @ camera.translation_mm
    to_camera /= np.linalg.norm(to_camera)
    factor, white = shade(surface, camera.rotation.T @ shot.light, to_camera, shot.ambient, shot.gloss)
    exposure = (140 / person.skin_rgb.mean()) ** 0.4  # cameras brighten dark skin
    light = factor[..., None] * (exposure * shot.light_rgb).astype(np.float32)
    texture_size = canvas.rgb.shape[1::-1]
    lit = cv2.multiply(canvas.rgb, cv2.resize(light, texture_size), dtype=cv2.CV_8U)
    highlights = cv2.resize(cv2.convertScaleAbs(white, alpha=255), texture_size)
    lit = cv2.add(lit, cv2.merge([highlights] * 3))

    enlarged = camera.enlarged(2 if camera.size <= 128 else 1)
    azimuths, heights, hit = trace(surface, enlarged)
    columns, rows = canvas.place(azimuths, heights)
    seen = cv2.remap(lit, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = cv2.blur(hit.astype(np.float32), (3, 3))[..., None] * hit[..., None]
    picture = _background(enlarged.size, rng)
    picture += (seen - picture) * cover
    return _develop(picture, shot, camera.size, rng)


def _background(size: int, rng: np.random.Generator) -> np.ndarray:
    """(size, size, 3) float32: out-of-focus surroundings."""
    base, spread = rng.uniform(20, 220) + rng.normal(0, 22, 3), rng.uniform(5, 60)
    coarse = base + rng.normal(0, spread, (5, 5, 1)) + rng.normal(0, spread / 4, (5, 5, 3))
    return np.clip(cv2.resize(coarse.astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC), 0, 255)


def _develop(picture: np.ndarray, shot: _Shot, size: int, rng: np.random.Generator) -> np.ndarray:
    """Blur, contrast and noise, at the final size."""
    picture = cv2.GaussianBlur(picture, (0, 0), max(shot.blur_px * picture.shape[0] / 256, 0.3))
    if len(picture) != size:
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
    picture = (picture - 118) * np.float32(shot.contrast) + 118
    picture += rng.standard_normal((size, size, 1), np.float32) * np.float32(shot.noise)
    return np.clip(picture, 0, 255).astype(np.uint8)
