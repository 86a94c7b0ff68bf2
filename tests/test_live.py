"""The session behind a live picture: what it draws, tells, records and survives."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest

from fkd.errors import FkdError
from fkd.pipeline.clip import ClipOptions
from fkd.pipeline.draw import DrawOptions
from fkd.pipeline.live import DelayGauge, LiveSession, LiveSettings
from fkd.pipeline.recording import Recording
from fkd.pipeline.smooth import Smoother, SmoothOptions
from fkd.pipeline.track import TrackedFace, TrackOptions
from fkd.schema import IBUG68, KAGGLE15
from fkd.weights import LoadedModel, live_weights, load_model
from tests.clips import moving_face
from tests.scenes import actor, scene

STEP = Fraction(1, 25)
PLAIN = ClipOptions(draw=DrawOptions(show_boxes=False, show_edges=False), smooth=SmoothOptions(smoothing=False))


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_model(live_weights(), threads=1)


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    return moving_face(5)


def frame(image: np.ndarray, number: int) -> av.VideoFrame:
    made = av.VideoFrame.from_ndarray(image, format="rgb24")
    made.pts, made.time_base = number, STEP
    return made


def play(session: LiveSession, images: list[np.ndarray], start: int = 0) -> list[np.ndarray]:
    """The pictures that come back."""
    return [session.on_frame(frame(image, start + i)).to_ndarray(format="rgb24") for i, image in enumerate(images)]


def is_drawn_at(shown: np.ndarray, image: np.ndarray, points_px: np.ndarray) -> float:
    """Share of points round which the picture is not what the camera gave."""
    changed = np.abs(shown.astype(int) - image.astype(int)).max(axis=2) > 40
    return float(
        np.mean([changed[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2].any() for x, y in points_px])
    )


class Failing:
    """An onnxruntime session that fails."""

    def __getattr__(self, name: str) -> None:
        raise RuntimeError("out of order")


@pytest.mark.parametrize("mirror", [False, True])
def test_points_are_drawn_where_the_face_is_shown(model: LoadedModel, images: list[np.ndarray], mirror: bool) -> None:
    session = LiveSession(LiveSettings(model, PLAIN, mirror))
    shown = play(session, images)[-1]
    (face,) = session.figures().faces
    # Points stay those of the camera's picture; only what is shown is mirrored.
    straight, turned = face.points_px, face.points_px * (-1, 1) + (images[0].shape[1] - 1, 0)
    image = np.ascontiguousarray(images[-1][:, ::-1]) if mirror else images[-1]
    assert is_drawn_at(shown, image, turned if mirror else straight) > 0.9
    assert is_drawn_at(shown, image, straight if mirror else turned) < 0.5


def test_mirroring_leaves_left_left(model: LoadedModel, images: list[np.ndarray]) -> None:
    seen = []
    for mirror in (False, True):
        session = LiveSession(LiveSettings(model, PLAIN, mirror))
        play(session, images)
        seen.append(session.figures())
    np.testing.assert_array_equal(seen[0].faces[0].points_px, seen[1].faces[0].points_px)
    assert seen[0].expressions == seen[1].expressions


def test_the_answer_is_of_the_frames_time(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    for number, each in ((7, model), (8, replace(model, session=Failing()))):  # type: ignore[call-arg]
        session.settings = replace(session.settings, model=each)
        shown = session.on_frame(frame(images[0], number))
        assert (shown.pts, shown.time_base) == (number, STEP)


def test_settings_take_effect_at_the_next_frame(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model, PLAIN, mirror=False))
    play(session, images)
    boxed = replace(PLAIN, draw=replace(PLAIN.draw, show_boxes=True))
    session.settings = replace(session.settings, options=boxed)
    plain, framed = play(LiveSession(LiveSettings(model, PLAIN, False)), images)[-1], play(session, images, 5)[-1]
    assert (plain != framed).any()

    session.settings = replace(session.settings, model=load_model("kaggle15", threads=1))
    play(session, images[-1:], 10)
    (face,) = session.figures().faces
    assert face.points_px.shape == (15, 2)
    assert face.id == 2, "a number is never used for two faces"
    assert session.figures().expressions == {}

    strict = replace(PLAIN, track=TrackOptions(find_score=1.0, keep_score=1.0))
    session.settings = replace(session.settings, options=strict)
    play(session, images[-1:], 11)
    assert session.figures().faces == ()


def test_smoothing_can_be_changed_without_losing_the_face(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model, PLAIN))
    play(session, images[:2])
    session.settings = replace(session.settings, options=replace(PLAIN, smooth=SmoothOptions(min_cutoff_hz=0.1)))
    play(session, images[2:], 2)
    (face,) = session.figures().faces
    assert face.id == 1
    assert face.age_s == pytest.approx(4 * STEP)


def test_the_figures_tell_of_prints_that_are_left_out(model: LoadedModel) -> None:
    talking, still = [actor(1, mouth_opening=opening) for opening in (0.0, 0.3)], actor(4)
    shots = [scene((each, 130, 180), (still, 340, 180)) for each in talking]
    session = LiveSession(LiveSettings(model))
    for number in range(24):
        session.on_frame(frame(shots[number // 4 % 2], 3 * number))
    assert (len(session.figures().faces), session.figures().prints) == (1, 1)
    session.end_stream()
    assert session.figures().prints == 0


def test_the_figures_tell_of_the_frames(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    assert session.figures().frames_per_s == 0
    assert session.figures().idle_s == float("inf")
    play(session, images)
    figures = session.figures()
    assert figures.frames == len(images)
    assert figures.failures == 0
    assert figures.frames_per_s > 0
    assert figures.idle_s < 60
    assert {step for step, ms in figures.milliseconds.items() if ms > 0} == set(figures.milliseconds)
    told = len(images) - 1  # the first one comes before the camera's step is known
    assert figures.delay_ms >= 1000 * STEP * told / len(images)
    (expression,) = figures.expressions.values()
    assert abs(expression.yaw_deg) < 15
    assert 0 < expression.left_eye_opening < 1


def test_a_failing_frame_is_counted_told_and_survived(
    model: LoadedModel, images: list[np.ndarray], caplog: pytest.LogCaptureFixture
) -> None:
    session = LiveSession(LiveSettings(model, PLAIN, mirror=False))
    play(session, images[:2])
    assert session.figures().expressions
    session.settings = replace(session.settings, model=replace(model, session=Failing()))  # type: ignore[call-arg]
    failed = play(session, images[2:4], 2)
    figures = session.figures()
    assert (figures.frames, figures.failures, figures.failure) == (4, 2, "an unforeseen RuntimeError")
    assert failed[0].shape == images[2].shape
    assert (np.abs(failed[0][:40].astype(int) - images[2][:40]) > 60).any(), "the frame says so itself"
    assert (figures.faces, figures.prints, figures.expressions) == ((), 0, {})
    assert len(caplog.records) == 1, "a failure of every frame does not flood the log"
    assert "out of order" in caplog.text

    session.settings = replace(session.settings, model=model)
    play(session, images[4:], 4)
    assert session.figures().failures == 2
    assert len(session.figures().faces) == 1


def test_a_frame_without_a_time_is_worked_on_too(model: LoadedModel) -> None:
    session = LiveSession(LiveSettings(model))
    shown = session.on_frame(av.VideoFrame.from_ndarray(np.zeros((240, 320, 3), np.uint8), format="rgb24"))
    assert (shown.width, shown.height, shown.pts) == (320, 240, None)
    assert session.figures().failures == 0


def test_a_frame_that_cannot_be_decoded_comes_back_as_it_is(model: LoadedModel) -> None:
    class Undecodable:
        def to_ndarray(self, format: str) -> None:
            raise ValueError("no picture")

    session, broken = LiveSession(LiveSettings(model)), Undecodable()
    assert session.on_frame(broken) is broken  # type: ignore[arg-type, comparison-overlap]
    assert session.figures().failures == 1


def test_the_recording_holds_what_was_seen(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    play(session, images[:2])
    session.start_recording()
    play(session, images[2:4], 2)
    figures = session.figures()
    session.stop_recording()
    play(session, images[4:], 4)
    assert session.recording is not None
    rows = list(csv.DictReader(io.StringIO(session.recording.csv_text())))
    assert [float(row["time_s"]) for row in rows] == pytest.approx([0, float(STEP)])
    (face,), (expression,) = figures.faces, figures.expressions.values()
    last = rows[-1]
    assert last["face"] == str(face.id)
    assert float(last["score"]) == pytest.approx(face.score, abs=1e-4)
    assert float(last["yaw_deg"]) == pytest.approx(expression.yaw_deg, abs=1e-3)
    assert float(last["mouth_opening"]) == pytest.approx(expression.mouth_opening, abs=1e-3)
    points = [[float(last[f"{name}_{axis}"]) for axis in "xy"] for name in IBUG68.keypoints]
    np.testing.assert_allclose(points, face.points_px, atol=1e-3)
    scores = [float(last[f"{name}_score"]) for name in IBUG68.keypoints]
    np.testing.assert_allclose(scores, face.point_scores, atol=1e-4)


def some_face(schema=KAGGLE15, number: int = 1) -> TrackedFace:
    k = len(schema)
    return TrackedFace(np.zeros(4, np.float32), 0.9, np.ones((k, 2), np.float32), np.ones(k, np.float32), number, 0.0)


def test_a_recording_is_bounded() -> None:
    recording = Recording(KAGGLE15, most_rows=5)
    for number in range(10):
        recording.add(number / 25, [some_face(number=1), some_face(number=2)], {})
    assert len(recording) == 5
    assert recording.is_full
    rows = list(csv.reader(io.StringIO(recording.csv_text())))
    assert len(rows) == 6
    assert {len(row) for row in rows} == {3 + 3 * 15}
    assert recording.seconds == pytest.approx(2 / 25)


def test_a_full_recording_ends_by_itself(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    session.start_recording()
    session.recording = Recording(IBUG68, most_rows=1)
    play(session, images[:2])
    assert not session.is_recording
    assert len(session.recording) == 1


def test_a_recording_ends_with_the_weights_it_was_begun_with(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    session.start_recording()
    play(session, images[:1])
    session.settings = replace(session.settings, model=load_model("kaggle15", threads=1))
    play(session, images[1:2], 1)
    assert not session.is_recording
    assert len(session.recording or []) == 1


def test_a_recording_stopped_in_mid_frame_stays_stopped(model: LoadedModel, images: list[np.ndarray]) -> None:
    class StoppedMeanwhile(Recording):
        def add(self, *row: Any) -> None:
            session.stop_recording()
            super().add(*row)

    session = LiveSession(LiveSettings(model))
    session.start_recording()
    session.recording = StoppedMeanwhile(IBUG68)
    play(session, images[:2])
    assert not session.is_recording
    assert len(session.recording) == 1


def test_a_frame_is_recorded_by_the_weights_it_was_worked_on_with(
    model: LoadedModel, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others change the weights, and begin to record, while a frame is under way."""
    kaggle = load_model("kaggle15", threads=1)
    session, meanwhile = LiveSession(LiveSettings(model)), list[Callable[[], None]]()
    smooth = Smoother.__call__

    def slowly(smoother: Smoother, *arguments: Any) -> list[TrackedFace]:
        while meanwhile:
            meanwhile.pop()()
        return smooth(smoother, *arguments)

    def change_to(other: LoadedModel) -> None:
        session.settings = replace(session.settings, model=other)

    monkeypatch.setattr(Smoother, "__call__", slowly)
    session.start_recording()
    meanwhile.append(lambda: change_to(kaggle))
    play(session, images[:1])
    assert len(session.recording or []) == 1
    play(session, images[1:2], 1)
    assert not session.is_recording

    meanwhile += [session.start_recording, lambda: change_to(model)]
    play(session, images[2:3], 2)
    assert session.recording is not None
    assert (len(session.recording), session.is_recording) == (0, True), "it begins with the next frame"
    play(session, images[3:4], 3)
    assert len(session.recording.csv_text().splitlines()) == 2


def test_the_snapshot_is_what_was_shown(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    with pytest.raises(FkdError, match="start the camera"):
        session.snapshot_png()
    shown = play(session, images[:1])[0]
    image = cv2.imdecode(np.frombuffer(session.snapshot_png(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert image.shape == shown.shape
    assert np.abs(image.astype(int) - shown).mean() < 5, "but for what the video format takes"


def test_an_ended_stream_is_forgotten_but_for_its_last_picture(model: LoadedModel, images: list[np.ndarray]) -> None:
    session = LiveSession(LiveSettings(model))
    session.start_recording()
    play(session, images[:2], start=100)
    session.end_stream()
    session.end_stream()  # the connection may say it twice
    figures = session.figures()
    assert (figures.faces, figures.expressions, figures.frames_per_s) == ((), {}, 0)
    assert not session.is_recording
    assert session.recording is not None
    assert len(session.recording) == 2
    assert session.snapshot_png()
    play(session, images[:2])  # a stream whose clock begins anew
    (face,) = session.figures().faces
    assert (face.id, face.age_s) == (2, pytest.approx(float(STEP)))


def test_an_ended_stream_tells_how_slow_it_was_and_how_long_it_was_silent(
    model: LoadedModel, images: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, session = Clockwork(), LiveSession(LiveSettings(model))
    monkeypatch.setattr("fkd.pipeline.live.time.perf_counter", lambda: clock.now_s)
    monkeypatch.setattr("fkd.pipeline.live.draw_faces", clock.slowly([0.1, 12.0, 0.1]))
    play(session, images[:3])
    assert session.figures().slowest_s == pytest.approx(12.0)
    assert session.figures().silence_s == 0
    clock.now_s += 7
    session.end_stream()
    clock.now_s += 100
    session.end_stream()
    assert (session.figures().slowest_s, session.figures().silence_s) == pytest.approx((12.0, 7.0))

    monkeypatch.setattr("fkd.pipeline.live.draw_faces", clock.slowly([0.2]))
    play(session, images[:1], 10)
    assert (session.figures().slowest_s, session.figures().silence_s) == pytest.approx((0.2, 0.0)), "another stream"


class Clockwork:
    """A clock that only drawing moves on."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def slowly(self, seconds: list[float]) -> Callable[..., np.ndarray]:
        left = iter(seconds)

        def draw(image: np.ndarray, *_: object) -> np.ndarray:
            self.now_s += next(left)
            return image

        return draw


def test_two_sessions_keep_apart(model: LoadedModel, images: list[np.ndarray]) -> None:
    one, other = (LiveSession(LiveSettings(model)) for _ in range(2))
    empty = np.full_like(images[0], 90)
    for number, image in enumerate(images[:3]):
        play(one, [image], number)
        play(other, [empty], number)
    assert len(one.figures().faces) == 1
    assert other.figures().faces == ()


@pytest.mark.parametrize(
    ("come_s", "done_after_s", "delay_s"),
    [
        ([0.0, 0.1, 0.2], 0.01, 0.1),  # done at once: it leaves when the next one comes
        ([0.0, 0.1, 0.2], 0.15, 0.2),  # done after the next one came
        ([0.0, 0.1, 0.35], 0.01, 0.2),  # the last one waited for 0.15 s on its way
    ],
)
def test_the_delay_counts_waiting_working_and_sending(come_s: list[float], done_after_s: float, delay_s: float) -> None:
    gauge = DelayGauge()
    for number, came_s in enumerate(come_s):
        told = gauge(7.0 + number / 10, 1000 + came_s, 1000 + came_s + done_after_s)
    assert told == pytest.approx(delay_s)
