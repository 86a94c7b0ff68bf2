"""Each disturbance does what its amount says, leaves the picture it is given alone, and keeps shape and type."""

from __future__ import annotations

import numpy as np
import pytest

from fkd.crop import transform
from fkd.disturb import DISTURBANCES, turn_matrix

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(40, 200, (80, 100), np.uint8)
BOX = np.array([20.0, 10.0, 70.0, 60.0])


def spoilt(name: str, amount: float, image: np.ndarray = IMAGE) -> np.ndarray:
    return DISTURBANCES[name].apply(image, BOX, amount, np.random.default_rng(1))


@pytest.mark.parametrize("name", DISTURBANCES)
def test_a_disturbance_keeps_shape_type_and_the_original(name: str) -> None:
    before = IMAGE.copy()
    for amount in (DISTURBANCES[name].low, DISTURBANCES[name].usual, DISTURBANCES[name].high):
        after = spoilt(name, amount)
        assert after.shape == IMAGE.shape and after.dtype == np.uint8
    assert (spoilt(name, DISTURBANCES[name].usual) != before).any()
    np.testing.assert_array_equal(IMAGE, before)


def test_noise_has_the_deviation_asked_for() -> None:
    flat = np.full((200, 200), 128, np.uint8)
    assert np.std(spoilt("noise", 15, flat).astype(float)) == pytest.approx(15, rel=0.03)


def test_a_quarter_of_the_face_is_covered() -> None:
    changed = spoilt("cover", 25, np.zeros((80, 100), np.uint8)) == 128
    rows, columns = np.nonzero(changed)
    assert changed.sum() == pytest.approx(0.25 * 50 * 50, rel=0.05)
    assert rows.min() >= 10 and rows.max() < 60 and columns.min() >= 20 and columns.max() < 70


def test_brightness_is_a_factor_that_saturates() -> None:
    np.testing.assert_array_equal(spoilt("dark", 0.5), np.round(IMAGE * 0.5))
    np.testing.assert_array_equal(spoilt("bright", 2.0), np.minimum(IMAGE.astype(int) * 2, 255))


def test_a_turned_point_lies_where_its_map_says() -> None:
    dot = np.zeros((80, 100), np.uint8)
    dot[35, 65] = 255  # right of the middle of the face at (45, 35)
    x, y = transform(np.array([[65.0, 35.0]]), turn_matrix(BOX, 90.0))[0]
    assert (x, y) == pytest.approx((45.0, 55.0))  # clockwise, so below it
    assert spoilt("turn", 90.0, dot)[55, 45] > 200


def test_blur_grows_with_the_face() -> None:
    step = np.repeat(np.array([0, 255], np.uint8), 50)[None].repeat(80, axis=0)
    width = (np.abs(spoilt("blur", 4, step)[40].astype(float) - 127.5) < 80).sum()
    wider = (np.abs(DISTURBANCES["blur"].apply(step, BOX * 2, 4, RNG)[40].astype(float) - 127.5) < 80).sum()
    assert wider > 1.5 * width
