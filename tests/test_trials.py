"""Faces made difficult: the truth that is told of them is the truth, and the same seed gives the same trial."""

from __future__ import annotations

import numpy as np
import pytest

from fkd.crop import tight_boxes
from fkd.data.dataset import Dataset
from fkd.data.synthetic import synthetic_dataset
from fkd.disturb import DISTURBANCES
from fkd.evaluation.evaluate import true_boxes
from fkd.evaluation.trials import (
    LITTLE,
    boxes_without_face,
    disturbed,
    held_share,
    jittered_boxes,
    paste_boxes,
    spread,
)


@pytest.fixture(scope="module")
def faces() -> Dataset:
    return synthetic_dataset("ibug68", 6)


def test_points_told_covered_lie_where_the_picture_was_changed(faces: Dataset) -> None:
    trial = paste_boxes(faces)
    assert not (trial.covered & trial.visible).any() and trial.covered.any() and trial.visible.any()
    changed = trial.faces.images_u8 != faces.images_u8
    for i, points in enumerate(faces.points_px.round().astype(int)):
        rows, columns = np.nonzero(changed[i])
        low, high = (columns.min(), rows.min()), (columns.max(), rows.max())
        inside = ((points >= low) & (points <= high)).all(axis=1)
        assert inside[trial.covered[i]].all() and not inside[trial.visible[i]].any()
    np.testing.assert_array_equal(trial.faces.points_px, faces.points_px)
    np.testing.assert_array_equal(paste_boxes(faces).faces.images_u8, trial.faces.images_u8)
    assert (paste_boxes(faces, seed=1).faces.images_u8 != trial.faces.images_u8).any()


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbance_leaves_the_points_but_for_tilt(faces: Dataset, name: str) -> None:
    spoilt = disturbed(faces, name)
    assert (spoilt.images_u8 != faces.images_u8).any(axis=(1, 2)).all()
    if name != "turn":
        np.testing.assert_array_equal(spoilt.points_px, faces.points_px)
        return
    across, turned = (points[:, 45] - points[:, 36] for points in (faces.points_px, spoilt.points_px))
    angle = np.degrees(np.arctan2(turned[:, 1], turned[:, 0]) - np.arctan2(across[:, 1], across[:, 0]))
    np.testing.assert_allclose(angle, DISTURBANCES["turn"].usual, atol=1e-2)


def test_boxes_are_off_by_no_more_than_told(faces: Dataset) -> None:
    rows, boxes = jittered_boxes(faces, 50)
    assert rows.tolist() == sorted(rows.tolist()) and set(rows) == set(range(6))
    true = tight_boxes(faces.points_px)[rows]
    side = (true[:, 2:] - true[:, :2]).max(axis=1)
    shift = np.abs((boxes[:, :2] + boxes[:, 2:]) - (true[:, :2] + true[:, 2:])).max(axis=1) / 2 / side
    scale = (boxes[:, 2:] - boxes[:, :2])[:, 0] / (true[:, 2:] - true[:, :2])[:, 0]
    assert 0.05 < shift.max() <= 0.1001
    assert 0.849 < scale.min() < 0.95 and 1.05 < scale.max() < 1.151


def test_what_is_no_face_holds_less_than_a_third_of_one(faces: Dataset) -> None:
    trial = boxes_without_face(faces, 12)
    assert len(trial.rows) == len(trial.boxes_xyxy) == len(trial.kinds) == 12
    held = np.array(
        [held_share(box, true_boxes(faces)[row]) for row, box in zip(trial.rows, trial.boxes_xyxy, strict=True)]
    )
    assert (held < LITTLE).all()
    assert (held[trial.kinds == "background"] == 0).all() and (held[trial.kinds == "part"] > 0).all()
    assert {"background", "part"} <= set(trial.kinds)


def test_the_share_of_a_face_in_a_crop() -> None:
    face = np.array([0.0, 0.0, 10.0, 10.0])
    assert held_share(face, face) == 1
    assert held_share(np.array([50.0, 50.0, 60.0, 60.0]), face) == 0
    half = 1.3 * 2  # the crop round a box of side 4
    assert held_share(np.array([3.0, 3.0, 7.0, 7.0]), face) == pytest.approx((2 * half) ** 2 / 100)


def test_faces_are_spread_over_all_of_them(faces: Dataset) -> None:
    assert spread(faces, 3).rows.tolist() == faces.rows[[0, 2, 5]].tolist()
    assert len(spread(faces, 100)) == 6
