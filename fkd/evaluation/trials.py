"""Faces made difficult on purpose, with the truth known: what scores and robustness are measured on.

    covered = paste_boxes(faces)                          boxes over a part of each face
    rows, boxes_xyxy = jittered_boxes(faces, 500)         where a detector might see them
    trial = boxes_without_face(pictures, 500)             what is no face: false hits, background, parts

Everything is drawn from a seed, so that the same faces give the same trial.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from fkd.data.dataset import Dataset
from fkd.disturb import DISTURBANCES, turn_matrix
from fkd.evaluation.evaluate import true_boxes
from fkd.pipeline.detect import HaarDetector, HaarOptions
from fkd.progress import report, steps

SHIFT, SCALE = 0.1, 0.15  # how far boxes are off, in sides of the box and as a share of it
LITTLE = 1 / 3  # a crop that holds less of a face than this shows none
MARGIN = 1.3  # side of a crop in longer sides of its box
_EDGE = 0.02  # points closer to the edge of a pasted box, in widths of the face, are neither covered nor visible
_COVERED = (0.08, 0.35)  # area of a pasted box as a share of the face's
_ASPECT = (0.6, 1.6)
_DRAWS = 200  # boxes drawn before a picture is given up


@dataclass(frozen=True)
class Covered:
    """Faces under pasted boxes.

    Attributes:
        faces: the dataset with other pictures.
        covered: (n, k) bool: points under the box.
        visible: (n, k) bool: points beside it; those at its edge are neither.
    """

    faces: Dataset
    covered: np.ndarray
    visible: np.ndarray


def spread(faces: Dataset, most: int) -> Dataset:
    """At most so many of the faces, evenly spread over them."""
    return faces.subset(np.unique(np.linspace(0, len(faces) - 1, min(most, len(faces))).round().astype(int)))


def disturbed(faces: Dataset, name: str, seed: int = 0) -> Dataset:
    """The faces with each picture spoilt by the usual amount of one of `DISTURBANCES`, and the points turned with it.

    Args:
        faces: with every label.
        name: key of `DISTURBANCES`.
        seed: of noise and places; the same for all weights.
    """
    disturbance, rng = DISTURBANCES[name], np.random.default_rng(seed)
    boxes = true_boxes(faces)
    images = [disturbance.apply(*pair, disturbance.usual, rng) for pair in zip(faces.images_u8, boxes, strict=True)]
    points = faces.points_px
    if name == "turn":
        maps = np.stack([turn_matrix(box, disturbance.usual) for box in boxes])
        points = (points @ maps[:, :, :2].swapaxes(1, 2) + maps[:, None, :, 2]).astype(np.float32)
    return replace(faces, images_u8=np.stack(images), points_px=points)


def paste_boxes(faces: Dataset, seed: int = 0) -> Covered:
    """Paste a box over a part of every face: in turn of one grey, of noise, and of a piece of another picture."""
    rng = np.random.default_rng(seed)
    images, boxes = faces.images_u8.copy(), true_boxes(faces)
    inside = np.zeros(faces.points_px.shape[:2], bool)
    outside = inside.copy()
    for i, (box, points) in enumerate(zip(boxes, faces.points_px, strict=True)):
        pasted = _part_of(box, rng)
        x0, y0, x1, y1 = np.round(pasted).astype(int)
        columns, rows = slice(max(x0, 0), max(x1, 0)), slice(max(y0, 0), max(y1, 0))
        place = images[i, rows, columns]
        other = np.roll(faces.images_u8[(i + 1) % len(faces)], int(rng.integers(len(images[i]))), axis=0)
        fillings = (int(rng.integers(256)), rng.integers(0, 256, place.shape), other[rows, columns])
        images[i, rows, columns] = fillings[i % len(fillings)]
        # Positive outside of the box: how far beyond its nearest edge a point lies.
        beyond = np.maximum(pasted[:2] - points, points - pasted[2:]).max(axis=1)
        edge = _EDGE * (box[2] - box[0])
        inside[i], outside[i] = beyond < -edge, beyond > edge
    return Covered(replace(faces, images_u8=images), inside, outside)


def _part_of(box_xyxy: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(4,) a box somewhere within another one."""
    extent = box_xyxy[2:] - box_xyxy[:2]
    aspect = np.sqrt(rng.uniform(*_ASPECT))
    size = extent * np.sqrt(rng.uniform(*_COVERED)) * (aspect, 1 / aspect)
    low = box_xyxy[:2] + rng.random(2) * (extent - size)
    return np.concatenate([low, low + size])


def jittered_boxes(faces: Dataset, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(count,) rows, evenly spread, and (count, 4) their tight boxes shifted and scaled as a detector might."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(0, len(faces) - 1, count).round().astype(int)
    boxes = true_boxes(faces)[rows]
    side = (boxes[:, 2:] - boxes[:, :2]).max(axis=1, keepdims=True)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2 + side * rng.uniform(-SHIFT, SHIFT, (count, 2))
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * rng.uniform(1 - SCALE, 1 + SCALE, (count, 1))
    return rows, np.concatenate([centre - half, centre + half], axis=1)


@dataclass(frozen=True)
class NoFaces:
    """Boxes that hold no face.

    Attributes:
        rows: (n,) the pictures they lie in.
        boxes_xyxy: (n, 4).
        kinds: (n,) str: `false hit` of the cascade, `background`, or `part` of a face.
    """

    rows: np.ndarray
    boxes_xyxy: np.ndarray
    kinds: np.ndarray


def boxes_without_face(pictures: Dataset, count: int, seed: int = 0) -> NoFaces:
    """Boxes whose crops hold less than a third of the labelled face, and of no other that a detector sees.

    A third of them are false hits of the frontal cascade at its most lenient, as far as there are so
    many; the others are in equal parts background without a bit of the face, and parts of it.
    """
    rng = np.random.default_rng(seed)
    faces = true_boxes(pictures)
    hits = list(_false_hits(pictures, faces, count // 3))
    found = [(row, box, "false hit") for row, box in hits]
    kinds = ("background", "part")
    rows = np.resize(rng.permutation(len(pictures)), count)
    strict = HaarDetector()
    seen: dict[int, np.ndarray] = {}
    for place, row in enumerate(rows.tolist()):
        report("drawing what is no face", place / count)
        if len(found) == count:
            break
        if row not in seen:
            seen[row] = strict(pictures.images_u8[row]).tight_xyxy
        kind = kinds[len(found) % 2]
        box = _draw_box(kind, faces[row], seen[row], pictures.images_u8.shape[1:], rng)
        if box is not None:
            found.append((row, box, kind))
    chosen_rows, boxes, chosen_kinds = zip(*found, strict=True) if found else ((), (), ())
    return NoFaces(np.array(chosen_rows, int), np.array(boxes).reshape(-1, 4), np.array(chosen_kinds, str))


def _false_hits(pictures: Dataset, faces_xyxy: np.ndarray, most: int) -> Iterator[tuple[int, np.ndarray]]:
    """Where one hit is enough for the cascade, but several are not found and no labelled face is."""
    lenient, strict = HaarDetector(HaarOptions(min_neighbors=1)), HaarDetector(HaarOptions(min_neighbors=3))
    found = 0
    for row in steps("searching for false hits", range(len(pictures))):
        hits = lenient(pictures.images_u8[row]).tight_xyxy
        away = [box for box in hits if held_share(box, faces_xyxy[row]) < LITTLE]
        if not away:
            continue
        others = strict(pictures.images_u8[row]).tight_xyxy
        for box in away:
            if found < most and not _touches(box, others):
                found += 1
                yield row, box.astype(np.float64)
        if found == most:
            return


def _draw_box(
    kind: str, face_xyxy: np.ndarray, others_xyxy: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator
) -> np.ndarray | None:
    """A square whose crop lies mostly in the picture and holds none or a part of the face; None where none fits."""
    side_of_face = (face_xyxy[2:] - face_xyxy[:2]).max()
    limits = np.array(shape[::-1], float)
    apart = [box for box in others_xyxy if held_share(box, face_xyxy) < LITTLE]
    for _ in range(_DRAWS):
        half = side_of_face * rng.uniform(0.15, 0.5) / 2
        centre = rng.uniform(MARGIN * half, np.maximum(limits - MARGIN * half, MARGIN * half + 1e-9))
        box = np.concatenate([centre - half, centre + half])
        held = held_share(box, face_xyxy)
        fits = held == 0 if kind == "background" else 0.02 < held < LITTLE
        if fits and not _touches(box, apart):
            return box
    return None


def held_share(box_xyxy: np.ndarray, face_xyxy: np.ndarray) -> float:
    """Share of a face's tight box that lies in the square crop which a network sees round a box."""
    half = MARGIN * (box_xyxy[2:] - box_xyxy[:2]).max() / 2
    centre = (box_xyxy[:2] + box_xyxy[2:]) / 2
    shared = np.minimum(centre + half, face_xyxy[2:]) - np.maximum(centre - half, face_xyxy[:2])
    return float(np.prod(np.clip(shared, 0, None)) / np.prod(face_xyxy[2:] - face_xyxy[:2]))


def _touches(box_xyxy: np.ndarray, others_xyxy: list[np.ndarray] | np.ndarray) -> bool:
    return any(held_share(box_xyxy, other) > 0 for other in others_xyxy)
