import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.crop import CropFrame, cut, has_tight_box, invert, tight_boxes, transform
from fkd.schema import IBUG68, KAGGLE15


def test_the_box_fills_its_share_of_the_crop():
    # A box 40 wide round (60, 50), shown at twice its size in 80 pixels: one crop pixel a picture pixel.
    matrix = CropFrame(2.0).matrices(np.array([[40, 40, 80, 60]]), 80)[0]
    corners = transform(np.array([[0.0, 0.0], [79.0, 79.0]]), matrix)
    np.testing.assert_allclose(corners, [[20.5, 10.5], [99.5, 89.5]])


def test_shift_moves_the_crop_by_sides_of_the_box():
    plain, shifted = (CropFrame(1.0, s).matrices(np.array([[0, 0, 40, 40]]), 8)[0] for s in ((0, 0), (0.5, -0.25)))
    np.testing.assert_allclose(shifted[:, 2] - plain[:, 2], [20, -10])


@given(angle=st.floats(-180, 180), scale=st.floats(1, 3), x=st.floats(-50, 50), side=st.floats(5, 300))
def test_a_map_and_its_inverse_give_the_points_back(angle, scale, x, side):
    matrix = CropFrame(scale).matrices(np.array([[x, 3, x + side, 3 + side]]), 64, angle)
    points = np.random.default_rng(0).uniform(0, 64, (1, 5, 2))
    np.testing.assert_allclose(transform(transform(points, matrix), invert(matrix)), points, atol=1e-6)


def test_a_box_without_extent_counts_as_a_pixel_wide():
    map_ = CropFrame(1.3).matrices(np.array([[5.0, 6.0, 5.0, 6.0]]), 64)[0]
    np.testing.assert_allclose(transform(np.array([[31.5, 31.5]]), map_), [[5, 6]])
    assert np.isfinite(invert(map_)).all() and map_[0, 0] * 64 == pytest.approx(1.3)


def test_the_angle_turns_a_tilted_face_upright():
    eyes = np.array([[40.0, 50.0], [60.0, 70.0]])  # tilted clockwise by 45 degrees
    matrix = CropFrame(1.5).matrices(np.array([[20, 30, 80, 90]]), 64, 45.0)
    left, right = transform(eyes[None], invert(matrix))[0]
    assert left[1] == pytest.approx(right[1]) and left[0] < right[0]


@pytest.mark.parametrize("side", [60, 500])  # enlarged, and averaged down
def test_what_lies_at_a_point_lies_there_in_the_crop(side):
    image = np.zeros((800, 900), np.uint8)
    point = np.array([[432.0, 387.0]])
    cv2.circle(image, (432, 387), max(side // 30, 1), 255, -1)
    matrix = CropFrame(1.3).matrices(np.array([[400, 340, 400 + side, 340 + side]]), 96)[0]
    crop = cut(image, matrix, 96).astype(float)
    y, x = np.indices(crop.shape)
    centroid = np.array([(x * crop).sum(), (y * crop).sum()]) / crop.sum()
    np.testing.assert_allclose(centroid, transform(point, invert(matrix))[0], atol=0.1)


def test_a_crop_is_smoothed_before_it_is_made_smaller():
    stripes = np.tile(np.array([0, 255], np.uint8), (1000, 500))
    crop = cut(stripes, CropFrame(1.0).matrices(np.array([[100, 100, 900, 900]]), 40)[0], 40)
    assert abs(crop.astype(int) - 127).max() < 10


def test_a_picture_wider_than_opencv_warps():
    image = np.full((40, 40_000), 50, np.uint8)
    image[18:23, 39_000:39_005] = 250
    crop = cut(image, CropFrame(1.0).matrices(np.array([[38_992, 10, 39_012, 30]]), 32)[0], 32)
    assert crop[15:17, 15:17].min() > 240 and crop[0, 0] == 50


def test_beyond_the_picture_its_border_is_repeated():
    image = np.full((50, 50, 3), 77, np.uint8)
    crop = cut(image, CropFrame(3.0).matrices(np.array([[30, 30, 60, 60]]), 32)[0], 32)
    assert crop.shape == (32, 32, 3) and (crop == 77).all()


def test_tight_boxes_leave_missing_points_out():
    points = np.array([[[3, 9], [np.nan, np.nan], [5, 2]]], np.float32)
    np.testing.assert_array_equal(tight_boxes(points), [[3, 2, 5, 9]])


@pytest.mark.filterwarnings("error")
def test_a_box_is_known_from_two_places_and_of_15_points_from_the_outermost():
    points = np.full((5, 68, 2), np.nan, np.float32)
    points[1, 30] = 7
    points[2, :4] = 7
    points[3, :2] = [[7, 7], [7, 9]]
    points[4] = np.random.default_rng(0).uniform(0, 99, (68, 2))
    assert has_tight_box(points, IBUG68).tolist() == [False, False, False, True, True]
    faces = np.random.default_rng(0).uniform(0, 99, (15, 15, 2))
    faces[range(15), range(15)] = np.nan
    lacking = [KAGGLE15.keypoints[i] for i in np.flatnonzero(~has_tight_box(faces, KAGGLE15))]
    assert lacking == ["left_eyebrow_outer_end", "right_eyebrow_outer_end", "mouth_center_bottom_lip"]
