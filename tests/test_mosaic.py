"""Pictures of many maps: every channel once, in the order asked for, in the colours of its numbers."""

from __future__ import annotations

import numpy as np
import pytest

from fkd.mosaic import MosaicOptions, colourise, colourise_signed, dead_channels, mosaic, overlay, signed_mosaic

MAPS = np.stack([np.full((4, 4), value, np.float32) for value in (1.0, 5.0, 3.0, 0.0, 2.0)])


def grey(**options: str) -> MosaicOptions:
    return MosaicOptions(colours="grey", **options)


def test_each_tile_shows_its_channel_on_the_scale_of_the_layer() -> None:
    picture = mosaic(MAPS, grey(scale="layer", order="peak"))
    assert picture.channels.tolist() == [1, 2, 4, 0, 3]
    x, y = np.round(picture.centres_px).astype(int).T
    expected = np.floor(MAPS[picture.channels, 0, 0] / 5 * 255)
    np.testing.assert_array_equal(picture.rgb_u8[y, x, 0], expected)


def test_a_channel_is_brought_to_its_own_scale() -> None:
    maps = np.array([[[0, 1], [2, 4]], [[0, 10], [20, 40]]], np.float32)
    picture = mosaic(maps, grey(scale="channel"))
    first, second = picture.rgb_u8[:, : picture.tile_px[0] - picture.gap_px], picture.rgb_u8[:, picture.tile_px[0] :]
    np.testing.assert_array_equal(first, second)


def test_common_limits_make_two_pictures_comparable() -> None:
    limits = np.array([[0, 10]])
    low, high = (mosaic(maps, grey(), limits).rgb_u8[0, 0, 0] for maps in (MAPS[:1], MAPS[1:2]))
    assert (low, high) == (25, 127)


def test_two_pictures_can_have_the_order_of_one() -> None:
    order = mosaic(MAPS, grey(order="peak")).channels
    other = mosaic(-MAPS, grey(order="peak"), channels=order)
    assert other.channels.tolist() == order.tolist() == [1, 2, 4, 0, 3]


@pytest.mark.parametrize("count", [1, 3, 32, 68, 512])
def test_every_channel_has_its_tile_within_the_picture(count: int) -> None:
    picture = mosaic(np.random.default_rng(0).random((count, 5, 7), np.float32))
    assert sorted(picture.channels) == list(range(count))
    height, width = picture.rgb_u8.shape[:2]
    assert ((picture.centres_px > 0) & (picture.centres_px < (width, height))).all()
    assert len(np.unique(picture.centres_px, axis=0)) == count


@pytest.mark.parametrize(
    ("count", "cells", "columns"),
    [(1, 8, 1), (16, 64, 8), (32, 64, 8), (48, 32, 12), (256, 4, 32), (256, 96, 16), (512, 24, 32)],
)
def test_a_grid_is_wide_with_filled_rows_and_details_stay_visible(count: int, cells: int, columns: int) -> None:
    assert mosaic(np.zeros((count, cells, cells), np.float32)).columns == columns


def test_dense_outputs_and_unchanging_maps_are_shown_too() -> None:
    assert mosaic(np.arange(10, dtype=np.float32)).rgb_u8.std() > 0
    assert mosaic(np.ones((3, 2, 2), np.float32)).rgb_u8.shape[2] == 3


def test_dead_channels_are_zero_everywhere() -> None:
    assert dead_channels(MAPS).tolist() == [False, False, False, True, False]
    assert dead_channels(np.array([0.0, -1.0])).tolist() == [True, False]


def test_signed_colours_tell_below_from_above_zero() -> None:
    below, zero, above = colourise_signed(np.array([[-2.0, 0.0, 2.0]]), 2.0)[0]
    assert below[2] > below[0] and above[0] > above[2] and zero.min() > 240
    picture = signed_mosaic(np.array([[[-1.0]], [[1.0]]]))
    assert (picture.rgb_u8[0, 0] == below).all() and (picture.rgb_u8[0, -1] == above).all()


def test_an_overlay_goes_from_the_face_to_the_map() -> None:
    face, heat = np.full((8, 8), 100, np.uint8), colourise(np.eye(2, dtype=np.float32))
    assert (overlay(face, heat, 0.0) == 100).all()
    np.testing.assert_array_equal(overlay(face, heat, 1.0)[0, 0], heat[0, 0])
    where = overlay(face, heat, 1.0, strength=np.eye(2))  # the map has nothing to say in two of its corners
    assert (where[0, -1] == 100).all() and (where[0, 0] == heat[0, 0]).all()


def test_unknown_choices_are_refused() -> None:
    with pytest.raises(ValueError, match="order"):
        MosaicOptions(order="size")
