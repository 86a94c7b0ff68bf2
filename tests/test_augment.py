import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fkd.augment import Augmentation, change_light, compose, cover, draw_maps, warp_images, warp_points

STRONG = Augmentation(rotation_deg=40, scale=0.2, shift=0.1, mirror=True, light=0.5, noise=0.1, blur=0.5, cover=1.0)
PARTNERS = torch.tensor([1, 0, 2])


def generator(seed):
    return torch.Generator().manual_seed(seed)


def spots(points, side=64, sigma=1.5):
    """(n, 3, side, side): one soft spot for each point."""
    axis = torch.arange(side, dtype=torch.float32)
    x, y = points[..., 0, None, None], points[..., 1, None, None]
    return torch.exp(-((axis[None, :] - x) ** 2 + (axis[:, None] - y) ** 2) / (2 * sigma**2))


def centroids(images):
    axis = torch.arange(images.shape[-1], dtype=torch.float32)
    total = images.sum(dim=(-1, -2))
    return torch.stack([(images.sum(-2) * axis).sum(-1) / total, (images.sum(-1) * axis).sum(-1) / total], dim=-1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_points_go_where_the_picture_goes(seed):
    points = torch.tensor([[[24.0, 26.0], [41.0, 25.0], [33.0, 40.0]]])
    maps, mirrored = draw_maps(1, 64, STRONG, generator(seed))
    moved = warp_points(points, maps, mirrored, PARTNERS)
    pictures = torch.cat([warp_images(spot[:, None], maps, 64) for spot in spots(points).unbind(1)], dim=1)
    order = PARTNERS if mirrored[0] else torch.arange(3)
    torch.testing.assert_close(moved[0], centroids(pictures)[0][order], atol=0.15, rtol=0)


def test_the_defaults_change_nothing():
    images, points = torch.rand(4, 1, 32, 32), torch.rand(4, 3, 2) * 31
    maps, mirrored = draw_maps(4, 32, Augmentation(), generator(0))
    torch.testing.assert_close(warp_images(images, maps, 32), images, atol=1e-5, rtol=0)
    torch.testing.assert_close(warp_points(points, maps, mirrored, PARTNERS), points)
    torch.testing.assert_close(change_light(images, Augmentation(), generator(0)), images)
    assert not cover(images, points, Augmentation(), generator(0))[1].any()


def test_mirroring_alone_maps_x_to_width_minus_one_minus_x():
    maps, mirrored = draw_maps(64, 96, Augmentation(mirror=True), generator(1))
    assert 10 < mirrored.sum() < 54
    points = torch.tensor([[[10.0, 5.0], [80.0, 6.0], [50.0, 70.0]]]).repeat(64, 1, 1)
    moved = warp_points(points, maps, mirrored, PARTNERS)
    torch.testing.assert_close(moved[mirrored][0], torch.tensor([[15.0, 6.0], [85.0, 5.0], [45.0, 70.0]]))


def test_the_same_seed_draws_the_same_batch():
    images = torch.rand(3, 1, 32, 32)
    first, second = (change_light(images, STRONG, generator(5)) for _ in range(2))
    assert torch.equal(first, second)


def test_missing_points_stay_missing():
    points = torch.full((1, 3, 2), torch.nan)
    maps, mirrored = draw_maps(1, 64, STRONG, generator(2))
    assert warp_points(points, maps, mirrored, PARTNERS).isnan().all()


def test_compose_applies_the_inner_map_first():
    outer, inner = (draw_maps(2, 64, STRONG, generator(seed))[0] for seed in (3, 4))
    points = torch.rand(2, 5, 2) * 64
    homogeneous = torch.cat([points, torch.ones(2, 5, 1)], dim=-1)
    once = homogeneous @ compose(outer, inner).transpose(1, 2)
    inner_first = torch.cat([homogeneous @ inner.transpose(1, 2), torch.ones(2, 5, 1)], dim=-1)
    torch.testing.assert_close(once, inner_first @ outer.transpose(1, 2))


def test_covered_points_are_under_changed_pixels():
    images = torch.full((32, 1, 64, 64), 2.0)  # no covering value can be 2, but for a patch of a neighbour
    images[::2] = 3.0
    grid = torch.stack(torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="xy"), dim=-1)
    points = grid.reshape(1, -1, 2).repeat(32, 1, 1)
    covered, hidden = cover(images, points, STRONG, generator(6))
    changed = (covered != images).reshape(32, -1)
    np.testing.assert_array_equal(changed, hidden)
    assert hidden.any(dim=1).all()


@pytest.mark.parametrize("name", ["light", "noise", "blur"])
def test_each_photometric_step_changes_pictures_and_keeps_their_range(name):
    images = torch.rand(8, 1, 64, 64)
    changed = change_light(images, Augmentation(**{name: 0.3}), generator(7))
    assert not torch.allclose(changed, images)
    assert changed.min() >= 0 and changed.max() <= 1
