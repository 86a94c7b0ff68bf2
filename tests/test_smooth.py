"""The one-euro filter: points at rest are held, moving ones let through, at any size and frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from fkd.data.synthetic import render_face
from fkd.pipeline.smooth import OneEuro, Smoother, SmoothOptions
from fkd.pipeline.track import TrackedFace

SHAPE = render_face(3, 256, roll_deg=0, yaw_deg=0).points68_px.astype(np.float64)
EYES = np.linalg.norm(SHAPE[36] - SHAPE[45])


def filtered(clip: np.ndarray, fps: float = 30.0, **options: float) -> np.ndarray:
    one_euro = OneEuro(SmoothOptions(**options))
    return np.array([one_euro(i / fps, points) for i, points in enumerate(clip)])


def trembling(clip: np.ndarray) -> float:
    """Mean over points of the standard deviation from place to place."""
    return float(np.sqrt(clip.var(axis=0).sum(axis=-1)).mean())


def noisy_copies(frames: int = 60, share_of_eyes: float = 0.005) -> np.ndarray:
    return SHAPE + np.random.default_rng(0).normal(0, share_of_eyes * EYES, (frames, *SHAPE.shape))


def moving(fps: float, eyes_per_s: float, seconds: float = 2.0) -> np.ndarray:
    steps = np.arange(round(seconds * fps)) / fps * eyes_per_s * EYES
    return SHAPE + steps[:, None, None] * np.array([1.0, 0.0])


def test_points_at_rest_are_held() -> None:
    clip = noisy_copies()
    assert trembling(filtered(clip)) < 0.35 * trembling(clip)
    assert trembling(filtered(clip)) < 0.003 * EYES


def test_the_first_points_of_a_face_at_rest_are_averaged() -> None:
    clips = np.stack(
        [SHAPE + np.random.default_rng(seed).normal(0, 0.005 * EYES, (4, *SHAPE.shape)) for seed in range(9)]
    )
    off = [np.linalg.norm(filtered(clip)[3] - SHAPE, axis=1).mean() for clip in clips]
    averaged = [np.linalg.norm(clip.mean(axis=0) - SHAPE, axis=1).mean() for clip in clips]
    assert np.mean(off) < 1.15 * np.mean(averaged)


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_a_face_that_moves_is_followed_within_two_frames_of_30(fps: float) -> None:
    clip = moving(fps, eyes_per_s=1.0)
    behind_s = (clip - filtered(clip, fps))[:, :, 0] / EYES
    assert behind_s.max() < 2 / 30
    assert behind_s[-1].mean() > 0.005  # it is a filter


def test_a_face_that_stops_is_reached() -> None:
    clip = np.concatenate([moving(30, 1.0, 1.0), np.repeat(moving(30, 1.0, 1.0)[-1:], 30, axis=0)])
    assert np.abs(clip - filtered(clip))[-1].max() < 0.005 * EYES


def test_size_and_place_change_nothing() -> None:
    clip = np.concatenate([noisy_copies(20), moving(30, 1.0)])
    np.testing.assert_allclose(filtered(clip * 5 + 300), filtered(clip) * 5 + 300, rtol=1e-5)


def test_a_blink_is_let_through() -> None:
    clip = np.repeat(SHAPE[None], 40, axis=0)
    lid = 0.08 * EYES
    clip[20:25, 37, 1] += lid
    assert (filtered(clip)[20:25, 37, 1] - SHAPE[37, 1]).max() > 0.6 * lid


def test_one_point_that_trembles_more_than_the_others_is_held_as_well() -> None:
    clip = np.repeat(SHAPE[None], 240, axis=0)
    clip[:, 8] += np.random.default_rng(1).normal(0, 0.008 * EYES, (240, 2))
    assert trembling(filtered(clip)[60:, 8:9]) < 0.18 * trembling(clip[60:, 8:9])


def test_gain_and_cutoff_trade_steadiness_for_lag() -> None:
    clip, run = noisy_copies(), moving(30, 1.0)
    assert (
        trembling(filtered(clip, min_cutoff_hz=5))
        > trembling(filtered(clip))
        > trembling(filtered(clip, speed_gain=0, min_cutoff_hz=0.2))
    )
    lags = [(run - filtered(run, speed_gain=gain))[-1, :, 0].mean() for gain in (0.0, 8.0, 50.0)]
    assert lags == sorted(lags, reverse=True)


def test_the_first_points_and_those_after_a_step_back_in_time_are_taken_as_they_are() -> None:
    one_euro = OneEuro(SmoothOptions())
    np.testing.assert_array_equal(one_euro(5.0, SHAPE), SHAPE.astype(np.float32))
    one_euro(5.1, SHAPE + 3)
    np.testing.assert_array_equal(one_euro(1.0, SHAPE + 50), (SHAPE + 50).astype(np.float32))


def face(number: int, points_px: np.ndarray) -> TrackedFace:
    points = points_px.astype(np.float32)
    return TrackedFace(np.zeros(4, np.float32), 0.9, points, np.ones(len(points), np.float32), number, 0.0)


def test_each_face_has_a_filter_of_its_own_that_ends_when_it_is_lost() -> None:
    smoother = Smoother()
    smoother(0.0, [face(1, SHAPE), face(2, SHAPE + 100)])
    first, second = smoother(0.1, [face(2, SHAPE + 110), face(1, SHAPE)])
    assert (first.id, second.id) == (2, 1)
    assert 100 < (first.points_px - SHAPE).mean() < 110
    np.testing.assert_allclose(second.points_px, SHAPE, atol=1e-4)
    smoother(0.2, [face(1, SHAPE)])  # the second one is missing
    (_, back) = smoother(0.3, [face(1, SHAPE), face(2, SHAPE + 200)])
    np.testing.assert_array_equal(back.points_px, (SHAPE + 200).astype(np.float32))


def test_smoothing_can_be_switched_off() -> None:
    smoother = Smoother(SmoothOptions(smoothing=False))
    smoother(0.0, [face(1, SHAPE)])
    (same,) = smoother(0.1, [face(1, SHAPE + 9)])
    np.testing.assert_array_equal(same.points_px, (SHAPE + 9).astype(np.float32))


def test_options_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"min_cutoff_hz: expected 0.05 to 30.0"):
        SmoothOptions(min_cutoff_hz=0)
