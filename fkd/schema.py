"""Keypoint schemas as data: which points a face has, and how they relate.

A `Schema` is the one place that knows names, groups, drawing edges, mirror partners, the pair of
points that normalises errors, and colours; everything else follows from it. Left and right are
the subject's: `left_eye_center` has the larger x in an upright photo.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from fkd.errors import FkdError

# Okabe and Ito's palette: tellable apart with every common colour blindness.
GROUP_COLOURS = {
    "jaw": "#56B4E9",
    "brows": "#E69F00",
    "nose": "#F0E442",
    "eyes": "#009E73",
    "mouth": "#D55E00",
}
TRUTH_COLOUR = "#00C853"
PREDICTION_COLOUR = "#FF00FF"


@dataclass(frozen=True)
class Schema:
    """An ordered set of keypoints.

    Attributes:
        name: how the schema is called in files and on the command line.
        keypoints: one name per keypoint, in the order of every points array.
        groups: group name to the indices of its keypoints; each keypoint is in exactly one.
        edges: pairs of indices joined when a face is drawn.
        normalising_pair: the two outer eye corners, whose distance divides errors in NME.
    """

    name: str
    keypoints: tuple[str, ...]
    groups: dict[str, tuple[int, ...]]
    edges: tuple[tuple[int, int], ...]
    normalising_pair: tuple[int, int]

    def __len__(self) -> int:
        return len(self.keypoints)

    @cached_property
    def mirror_partners(self) -> np.ndarray:
        """(k,) int64: the keypoint that each one becomes when the picture is mirrored."""
        index = {name: i for i, name in enumerate(self.keypoints)}
        return np.array([index[_mirrored_name(name, index)] for name in self.keypoints])

    @cached_property
    def group_of(self) -> tuple[str, ...]:
        """The group name of each keypoint."""
        owner = {i: group for group, members in self.groups.items() for i in members}
        return tuple(owner[i] for i in range(len(self)))

    @cached_property
    def colours(self) -> tuple[str, ...]:
        """A `#RRGGBB` colour for each keypoint, one per group and the same on every page."""
        return tuple(GROUP_COLOURS[group] for group in self.group_of)

    def mirror(self, points_px: np.ndarray, width: int) -> np.ndarray:
        """Mirror points (..., k, 2) in a picture `width` wide: x to width - 1 - x, partners swapped."""
        mirrored = points_px[..., self.mirror_partners, :].copy()
        mirrored[..., 0] = width - 1 - mirrored[..., 0]
        return mirrored


def _mirrored_name(name: str, index: dict[str, int]) -> str:
    for side, other in (("left", "right"), ("right", "left")):
        swapped = name.replace(side, other)
        if side in name and swapped in index:
            return swapped
    return name


def _path(*indices: int, closed: bool = False) -> tuple[tuple[int, int], ...]:
    pairs = tuple(pairwise(indices))
    return (*pairs, (indices[-1], indices[0])) if closed else pairs


# The order of the Kaggle competition "Facial Keypoints Detection".
KAGGLE15 = Schema(
    name="kaggle15",
    keypoints=(
        "left_eye_center",
        "right_eye_center",
        "left_eye_inner_corner",
        "left_eye_outer_corner",
        "right_eye_inner_corner",
        "right_eye_outer_corner",
        "left_eyebrow_inner_end",
        "left_eyebrow_outer_end",
        "right_eyebrow_inner_end",
        "right_eyebrow_outer_end",
        "nose_tip",
        "mouth_left_corner",
        "mouth_right_corner",
        "mouth_center_top_lip",
        "mouth_center_bottom_lip",
    ),
    groups={"eyes": tuple(range(6)), "brows": (6, 7, 8, 9), "nose": (10,), "mouth": (11, 12, 13, 14)},
    edges=_path(2, 0, 3) + _path(4, 1, 5) + _path(6, 7) + _path(8, 9) + _path(11, 13, 12, 14, closed=True),
    normalising_pair=(3, 5),
)


def _eye(side: str) -> tuple[str, ...]:
    """Six names clockwise in the picture; the right eye starts outside, the left eye inside."""
    first, second = ("outer", "inner") if side == "right" else ("inner", "outer")
    upper = (f"{first}_corner", f"top_{first}", f"top_{second}")
    lower = (f"{second}_corner", f"bottom_{second}", f"bottom_{first}")
    return tuple(f"{side}_eye_{spot}" for spot in upper + lower)


def _side_to_side(prefix: str, per_side: int) -> tuple[str, ...]:
    """Names along a line that crosses the face from the subject's right to the left."""
    right = tuple(f"{prefix}_right_{i}" for i in range(per_side, 0, -1))
    left = tuple(f"{prefix}_left_{i}" for i in range(1, per_side + 1))
    return (*right, f"{prefix}_center", *left)


# The 68 points of 300-W (Sagonas et al., 2013), in its order.
IBUG68 = Schema(
    name="ibug68",
    keypoints=(
        *_side_to_side("jaw", 8),
        *(f"right_eyebrow_{i}" for i in range(5, 0, -1)),
        *(f"left_eyebrow_{i}" for i in range(1, 6)),
        *(f"nose_bridge_{i}" for i in range(1, 5)),
        *_side_to_side("nose_base", 2),
        *_eye("right"),
        *_eye("left"),
        "mouth_right_corner",
        *_side_to_side("outer_lip_top", 2),
        "mouth_left_corner",
        *reversed(_side_to_side("outer_lip_bottom", 2)),
        "inner_mouth_right_corner",
        *_side_to_side("inner_lip_top", 1),
        "inner_mouth_left_corner",
        *reversed(_side_to_side("inner_lip_bottom", 1)),
    ),
    groups={
        "jaw": tuple(range(17)),
        "brows": tuple(range(17, 27)),
        "nose": tuple(range(27, 36)),
        "eyes": tuple(range(36, 48)),
        "mouth": tuple(range(48, 68)),
    },
    edges=(
        _path(*range(17))
        + _path(*range(17, 22))
        + _path(*range(22, 27))
        + _path(*range(27, 31))
        + _path(*range(31, 36))
        + _path(*range(36, 42), closed=True)
        + _path(*range(42, 48), closed=True)
        + _path(*range(48, 60), closed=True)
        + _path(*range(60, 68), closed=True)
    ),
    normalising_pair=(36, 45),
)

SCHEMAS = {schema.name: schema for schema in (KAGGLE15, IBUG68)}

# For each of the 15 keypoints the ones of the 68 whose mean it is.
_KAGGLE15_IN_IBUG68 = (
    *((42, 43, 44, 45, 46, 47), (36, 37, 38, 39, 40, 41), (42,), (45,), (39,), (36,)),
    *((22,), (26,), (21,), (17,), (30,), (54,), (48,), (51,), (57,)),
)


def get_schema(name: str) -> Schema:
    """The schema called `name`; `FkdError` names the known ones otherwise."""
    if name not in SCHEMAS:
        raise FkdError(f"Unknown schema {name!r}; known are {', '.join(SCHEMAS)}.")
    return SCHEMAS[name]


def kaggle15_from_ibug68(points_px: np.ndarray) -> np.ndarray:
    """The 15 keypoints that correspond to 68: (..., 68, 2) to (..., 15, 2), any frame.

    Eye centres are the mean of an eye's six points. Nose tip and lips are close but not the same
    by definition: Kaggle's labellers put the nose tip lower.
    """
    if points_px.shape[-2:] != (68, 2):
        raise ValueError(f"expected points of shape (..., 68, 2), got {points_px.shape}")
    return np.stack([points_px[..., list(members), :].mean(axis=-2) for members in _KAGGLE15_IN_IBUG68], axis=-2)
