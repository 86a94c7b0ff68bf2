"""Haar cascades: what they find, in whose pixels, from how many threads, and what they say where there are none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from fkd.crop import tight_boxes
from fkd.data.points68 import read_points_table
from fkd.errors import FkdError
from fkd.images import read_image, to_gray
from fkd.pipeline.detect import (
    CASCADES,
    CloserSearch,
    HaarDetector,
    HaarOptions,
    Spots,
    suppress_overlaps,
    tight_from_haar,
)
from fkd.pipeline.search import FaceSearch

FACE_CENTRE = np.array([222.0, 117.0])  # between the astronaut's cheeks


@pytest.fixture(scope="module")
def astronaut_gray_u8() -> np.ndarray:
    return to_gray(skimage.data.astronaut())


def centres(boxes_xyxy: np.ndarray) -> np.ndarray:
    return (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]) / 2


def find_the_face(boxes_xyxy: np.ndarray, centre: np.ndarray, reach: float) -> np.ndarray:
    near = boxes_xyxy[np.linalg.norm(centres(boxes_xyxy) - centre, axis=1) < reach]
    assert len(near) == 1, f"one box expected at {centre}, found {boxes_xyxy.round()}"
    return near[0]


@pytest.mark.parametrize("cascade", ["frontal", "frontal_alt2"])
def test_the_tight_box_lies_on_the_face(astronaut_gray_u8: np.ndarray, cascade: str) -> None:
    found = HaarDetector(HaarOptions(cascade=cascade))(astronaut_gray_u8)
    x0, y0, x1, y1 = find_the_face(found.tight_xyxy, FACE_CENTRE, reach=25)
    assert 75 < x1 - x0 < 125  # from ear to ear
    assert 75 < y1 - y0 < 125


@pytest.mark.parametrize("factor", [0.5, 2.0, 4.0])
def test_boxes_are_in_the_pixels_of_the_photo(astronaut_gray_u8: np.ndarray, factor: float) -> None:
    scaled = cv2.resize(astronaut_gray_u8, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    box = find_the_face(HaarDetector()(scaled).boxes_xyxy, FACE_CENTRE * factor, reach=25 * factor)
    plain = find_the_face(HaarDetector()(astronaut_gray_u8).boxes_xyxy, FACE_CENTRE, reach=25)
    assert np.abs(box / factor - plain).max() < 15


def test_forty_small_faces_are_found_in_one_photo(astronaut_gray_u8: np.ndarray) -> None:
    portrait = cv2.resize(astronaut_gray_u8[:256, 94:350], (100, 100), interpolation=cv2.INTER_AREA)
    found = HaarDetector()(np.tile(portrait, (5, 8)))
    at_home = {tuple((centre // 100).astype(int)) for centre in centres(found.boxes_xyxy)}
    assert len(at_home) == 40


def test_faces_are_told_from_left_to_right(astronaut_gray_u8: np.ndarray) -> None:
    found = HaarDetector()(np.tile(astronaut_gray_u8[:256, 94:350], (1, 3)))
    assert len(found) >= 3
    assert (np.diff(centres(found.boxes_xyxy)[:, 0]) >= 0).all()


def test_profile_looks_both_ways(astronaut_gray_u8: np.ndarray) -> None:
    """A picture and its mirror image give mirrored boxes, whichever way the cascade itself looks."""
    detector = HaarDetector(HaarOptions(cascade="profile", min_neighbors=2))
    found, mirrored = detector(astronaut_gray_u8), detector(np.ascontiguousarray(astronaut_gray_u8[:, ::-1]))
    assert len(found) > 0
    width = astronaut_gray_u8.shape[1]
    for there, back in ((found.boxes_xyxy, mirrored.boxes_xyxy), (found.tight_xyxy, mirrored.tight_xyxy)):
        turned = np.stack([width - 1 - back[:, 2], back[:, 1], width - 1 - back[:, 0], back[:, 3]], axis=1)
        np.testing.assert_allclose(np.sort(turned, axis=0), np.sort(there, axis=0), atol=0.01)


@pytest.mark.parametrize("cascade", CASCADES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (30, 30)])
def test_pictures_without_room_for_a_face_have_none(cascade: str, shape: tuple[int, int]) -> None:
    found = HaarDetector(HaarOptions(cascade=cascade))(np.full(shape, 128, np.uint8))
    assert found.boxes_xyxy.shape == found.tight_xyxy.shape == (0, 4)


def test_one_detector_serves_several_threads(astronaut_gray_u8: np.ndarray) -> None:
    """Pictures of several sizes at once: a shared classifier mixes up its scales and raises or errs."""
    detector = HaarDetector(HaarOptions(scale_factor=1.2, min_face=0.04))
    pictures = [astronaut_gray_u8[: 512 - 40 * i, : 512 - 30 * i].copy() for i in range(4)] * 10
    expected = [detector(picture).boxes_xyxy for picture in pictures[:4]] * 10
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda picture: detector(picture).boxes_xyxy, pictures))
    assert all(np.array_equal(*pair) for pair in zip(answers, expected, strict=True))


@pytest.mark.parametrize("tilt_deg", [30.0, -30.0, 90.0, -90.0, 180.0])
def test_a_closer_search_finds_a_face_that_is_tilted_or_turned(astronaut_gray_u8: np.ndarray, tilt_deg: float) -> None:
    size = astronaut_gray_u8.shape[::-1]
    middle = np.array([224.0, 115.0])  # of her face
    turn = cv2.getRotationMatrix2D(tuple(middle), -tilt_deg, 1.0)  # clockwise
    image = cv2.warpAffine(astronaut_gray_u8, turn, size, borderMode=cv2.BORDER_REPLICATE)
    assert not any(np.hypot(*(centre - middle)) < 30 for centre in centres(HaarDetector()(image).tight_xyxy))
    spots = [Spots(*part) for part in CloserSearch(HaarOptions())(image)]
    found = Spots(*(np.concatenate(parts) for parts in zip(*spots, strict=True)))
    near = np.linalg.norm(centres(found.tight_xyxy) - middle, axis=1) < 30
    assert tilt_deg in found.angles_deg[near]


@pytest.mark.parametrize(("factor", "greys"), [(0.08, 0), (0.12, 112), (0.08, 230)])
def test_a_closer_search_finds_a_face_in_a_picture_that_is_dark_flat_or_pale(
    astronaut_gray_u8: np.ndarray, factor: float, greys: int
) -> None:
    image = (factor * astronaut_gray_u8 + greys).astype(np.uint8)
    assert len(HaarDetector()(image)) == 0
    spots = next(CloserSearch(HaarOptions())(image))
    assert (np.abs(centres(spots.tight_xyxy) - np.array([224.0, 115.0])) < 30).all(axis=1).any()


def test_a_closer_search_looks_at_large_pictures_in_their_own_pixels(astronaut_gray_u8: np.ndarray) -> None:
    large = cv2.resize(astronaut_gray_u8, None, fx=8, fy=8)
    spots = next(CloserSearch(HaarOptions())(large))
    assert (np.abs(centres(spots.tight_xyxy) - 8 * np.array([224.0, 115.0])) < 8 * 30).all(axis=1).any()


def test_the_order_in_which_threads_answer_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    squares = [(10, 10, 30, 30), (14, 10, 30, 30), (18, 10, 30, 30), (60, 40, 24, 24), (12, 12, 40, 40)]

    class Threads:
        """A cascade whose squares come in another order each time."""

        rng = np.random.default_rng(0)

        def detectMultiScale2(self, *_: object, **__: object) -> tuple[np.ndarray, np.ndarray]:
            return self.rng.permutation(squares), np.ones(len(squares), np.int32)

    monkeypatch.setattr("fkd.pipeline.detect.load_cascade", lambda name: Threads())
    monkeypatch.setattr("fkd.pipeline.search.load_cascade", lambda name: Threads())
    blank, search = np.zeros((100, 120), np.uint8), FaceSearch(0.2)
    finders = (HaarDetector(HaarOptions(min_face=0.2)).find_tight, search.everywhere)
    for find in finders:
        first = find(blank)
        assert len(first) == 2
        for _ in range(10):
            np.testing.assert_array_equal(find(blank), first)


def test_an_opencv_without_cascades_is_told_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, astronaut_gray_u8: np.ndarray
) -> None:
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(FkdError, match=r'pip install "opencv-python-headless>=4.10,<5"'):
        HaarDetector()(astronaut_gray_u8)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"cascade": "cat"}, "cascade: expected one of frontal, frontal_alt2, profile"),
        ({"scale_factor": 1.0}, "scale_factor: expected 1.01 to 2.0"),
        ({"scale_factor": float("nan")}, "scale_factor"),
        ({"min_neighbors": 0}, "min_neighbors"),
        ({"min_face": 2.0}, "min_face"),
    ],
)
def test_options_out_of_range_are_refused(wrong: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        HaarOptions(**wrong)


def test_overlapping_boxes_leave_the_better_one() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 0, 30, 10], [8, 8, 18, 18]], float)
    assert suppress_overlaps(boxes, np.array([1, 5, 2, 3]), iou=0.3).tolist() == [1, 3, 2]
    assert suppress_overlaps(np.empty((0, 4)), np.empty(0), iou=0.3).tolist() == []


@pytest.mark.data
def test_tight_boxes_are_right_on_average(data_root: Path) -> None:
    """The measured constants leave no shift and no wrong size on real faces."""
    folder = data_root / "portraits68"
    table = read_points_table(folder / "training_frames_keypoints.csv")
    errors = []
    for name, true in list(zip(table.names, tight_boxes(table.points_px), strict=True))[::40]:
        found = HaarDetector()(to_gray(read_image(folder / "training" / name)))
        side = (true[2:] - true[:2]).max()
        for box in found.tight_xyxy:
            if np.linalg.norm((box - true)[:2] + (box - true)[2:]) / 2 < 0.4 * side:
                errors.append((box - true) / side)
    assert len(errors) >= 30
    assert np.abs(np.median(errors, axis=0)).max() < 0.05


def test_tight_boxes_follow_the_size_of_the_detection() -> None:
    small = tight_from_haar(np.array([[0.0, 0.0, 100.0, 100.0]]), "frontal")
    large = tight_from_haar(np.array([[0.0, 0.0, 300.0, 300.0]]), "frontal")
    np.testing.assert_allclose(large, 3 * small)
