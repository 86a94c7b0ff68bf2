"""A living face told from a print by its points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fkd.data.synthetic import synthetic_heads
from fkd.pipeline.liveness import Liveness
from fkd.pipeline.search import SHARES
from fkd.pipeline.track import Tracker
from fkd.schema import IBUG68, KAGGLE15, Schema, kaggle15_from_ibug68
from fkd.video import read_frames
from fkd.weights import LoadedModel, live_weights, load_model

FPS = 30
VERDICT_S = 2.5  # by when a print has to be known as one
CLIPS = ["help", "no", "please", "thanks", "yes"]


def face(schema: Schema = IBUG68) -> np.ndarray:
    """(k, 2) points with eyes 60 px apart."""
    points = synthetic_heads(1, seed=4)[0, :, :2]
    points = 60 * points / np.linalg.norm(points[36] - points[45])
    return points if schema is IBUG68 else kaggle15_from_ibug68(points)


def mouth_open(points_px: np.ndarray, by_px: float, schema: Schema = IBUG68) -> np.ndarray:
    """The lower half of the mouth moved down."""
    mouth = list(schema.groups["mouth"])
    lower = [i for i in mouth if points_px[i, 1] > points_px[mouth, 1].mean()]
    moved = points_px.copy()
    moved[lower, 1] += by_px
    return moved


def watch(
    shape_at: Callable[[float], np.ndarray],
    seconds: float,
    schema: Schema = IBUG68,
    fps: float = FPS,
    liveness: Liveness | None = None,
    start_s: float = 0.0,
    tremble_px: float = 0.25,
) -> tuple[Liveness, list[tuple[float, bool, bool]]]:
    """What is said at each time of points that tremble."""
    liveness, said = liveness or Liveness(schema), []
    rng = np.random.default_rng(int(1000 * start_s))
    for number in range(round(seconds * fps)):
        time_s = start_s + number / fps
        points = shape_at(time_s)
        liveness(time_s, (points + rng.normal(0, tremble_px, points.shape)).astype(np.float32))
        said.append((time_s, liveness.lives, liveness.is_rigid))
    return liveness, said


@settings(max_examples=25, deadline=None)
@given(
    angle=st.floats(-0.8, 0.8),
    stretch=st.floats(0.6, 1.4),
    lean=st.floats(-0.4, 0.4),
    away=st.floats(-300, 300),
)
def test_what_an_affine_map_explains_is_rigid(angle: float, stretch: float, lean: float, away: float) -> None:
    points = face()

    def at(time_s: float) -> np.ndarray:
        part = time_s / 3
        cos, sin = np.cos(part * angle), np.sin(part * angle)
        turn = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1 + part * (stretch - 1), part * lean], [0, 1]])
        return points @ turn.T + part * away

    _, said = watch(at, 3.0)
    assert not any(lives for _, lives, _ in said)
    assert not any(is_rigid for time_s, _, is_rigid in said if time_s < 1.9), "too soon to say"
    assert all(is_rigid for time_s, _, is_rigid in said if time_s >= VERDICT_S)


@pytest.mark.parametrize("schema", [IBUG68, KAGGLE15])
def test_a_mouth_that_moves_lives_at_once(schema: Schema) -> None:
    points = face(schema)
    liveness, said = watch(lambda _: points, 3.0, schema)
    assert liveness.is_rigid
    assert not liveness.lives
    _, said = watch(lambda _: mouth_open(points, 3.0, schema), 0.5, schema, liveness=liveness, start_s=3.0)
    assert said[-1][1], "lives"
    assert not said[-1][2], "is not rigid"


def test_the_longer_a_face_has_lived_the_longer_it_has_to_be_rigid() -> None:
    points = face()

    def rigid_after_s(talks_s: float) -> float:
        def at(time_s: float) -> np.ndarray:
            return mouth_open(points, 4 * np.sin(12 * time_s)) if time_s < talks_s else points

        _, said = watch(at, 60.0, fps=10, tremble_px=0.1)
        return next(time_s for time_s, _, is_rigid in said if is_rigid) - talks_s

    waits_s = [rigid_after_s(talks_s) for talks_s in (0.0, 1.0, 4.0, 25.0)]
    assert all(longer > 1.3 * shorter for shorter, longer in pairwise(waits_s))
    assert waits_s[0] < VERDICT_S
    assert 25 < waits_s[-1] < 33, "but not for ever"


def test_a_trembling_face_is_neither() -> None:
    """As the points of small faces and dark pictures do: by more than a print, by less than somebody who lives."""
    rng, points = np.random.default_rng(0), face()
    _, said = watch(lambda _: points + rng.normal(0, 0.5, points.shape), 4.0)
    assert not any(is_rigid for *_, is_rigid in said)
    assert not any(lives for _, lives, _ in said)


def test_few_looks_say_nothing() -> None:
    points = face()
    assert not any(is_rigid for *_, is_rigid in watch(lambda _: points, 40.0, fps=0.5)[1])


def test_a_face_that_was_away_is_compared_with_what_it_was() -> None:
    """So that somebody else in its place is not taken for the print that hung there."""
    liveness, _ = watch(lambda _: face(), 3.0)
    other = synthetic_heads(9, seed=9)[8, :, :2]
    _, said = watch(lambda _: other, 0.5, liveness=liveness, start_s=5.0)
    assert said[-1][1]


# Real faces ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    cv2.setNumThreads(1)
    return load_model(live_weights(), threads=1)


def to_and_fro(data_root: Path, clip: str, seconds: float) -> list[np.ndarray]:
    images = [image for _, image in read_frames(data_root / "videos" / f"{clip}.mkv")]
    images += images[-2:0:-1]
    return [images[number % len(images)] for number in range(round(seconds * FPS))]


@pytest.mark.data
@pytest.mark.parametrize(("left", "right"), list(pairwise([*CLIPS, CLIPS[0]])))
def test_nobody_of_the_clips_is_taken_for_a_print(data_root: Path, model: LoadedModel, left: str, right: str) -> None:
    tracker = Tracker(model)
    pairs = zip(*(to_and_fro(data_root, clip, 4.0) for clip in (left, right)), strict=True)
    for number, pair in enumerate(pairs):
        seen = tracker(np.concatenate(pair, axis=1), number / FPS)
        assert seen.prints == []
    assert len(seen.faces) == 2


@pytest.mark.data
@pytest.mark.parametrize(("living", "printed"), list(pairwise([*CLIPS, CLIPS[0]])))
def test_a_still_of_a_clip_beside_a_living_face_is_left_out(
    data_root: Path, model: LoadedModel, living: str, printed: str
) -> None:
    tracker, rng = Tracker(model), np.random.default_rng(0)
    still = to_and_fro(data_root, printed, 0.1)[0]
    for number, image in enumerate(to_and_fro(data_root, living, 3.5)):
        both = np.concatenate([image, still], axis=1)
        noise = rng.normal(0, 3.0, (*both.shape[:2], 1))
        seen = tracker(np.clip(np.round(both + noise), 0, 255).astype(np.uint8), number / FPS)
        if number > SHARES:  # by when both have been found
            assert any(each.points_px[:, 0].mean() < image.shape[1] for each in seen.faces), "the living one"
        if number / FPS > VERDICT_S:
            assert len(seen.faces) == 1
            assert [each.points_px[:, 0].mean() > image.shape[1] for each in seen.prints] == [True]
