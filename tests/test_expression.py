"""Pose, openings and blinks against synthetic faces, whose true values are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from fkd import DEFAULT_WEIGHTS, LIVE_WEIGHTS
from fkd.crop import tight_boxes
from fkd.data.synthetic import SyntheticFace, render_face, synthetic_heads
from fkd.front_view import measure_eyes
from fkd.pipeline.expression import BlinkCounter, Expression, ExpressionReader, read_expression
from fkd.pipeline.head import HeadPose, build_head_model, fit_head, head_model
from fkd.pipeline.predict import Pipeline
from fkd.pipeline.track import TrackedFace, Tracker
from fkd.schema import IBUG68
from fkd.video import read_frames
from fkd.weights import live_weights, load_model

SIZE = 96


@pytest.fixture(scope="module")
def turned_faces() -> list[SyntheticFace]:
    """People of all shapes, before cameras from half a metre to 2.5 m away, turned by up to 30 degrees."""
    rng = np.random.default_rng(11)
    return [
        render_face(
            700 + i,
            SIZE,
            yaw_deg=rng.uniform(-30, 30),
            pitch_deg=rng.uniform(-30, 30),
            roll_deg=rng.uniform(-30, 30),
            eye_opening=rng.uniform(0, 0.45),
            mouth_opening=rng.uniform(0, 0.6),
        )
        for i in range(60)
    ]


def angle_errors(face: SyntheticFace, read: Expression) -> list[float]:
    return [read.yaw_deg - face.yaw_deg, read.pitch_deg - face.pitch_deg, read.roll_deg - face.roll_deg]


def opening_errors(face: SyntheticFace, read: Expression) -> list[float]:
    right, left = face.eye_opening
    return [
        read.right_eye_opening - right,
        read.left_eye_opening - left,
        read.mouth_opening - face.mouth_opening,
        read.mouth_width - face.mouth_width,
    ]


def test_angles_from_true_points_are_within_five_degrees(turned_faces: list[SyntheticFace]) -> None:
    errors = [angle_errors(face, read_expression(face.points68_px, (SIZE, SIZE))) for face in turned_faces]
    assert np.abs(errors).max() < 5
    assert np.abs(errors).mean() < 1.5


def test_openings_from_true_points_do_not_depend_on_the_turn(turned_faces: list[SyntheticFace]) -> None:
    errors = [opening_errors(face, read_expression(face.points68_px, (SIZE, SIZE))) for face in turned_faces]
    assert np.abs(errors).max() < 0.06
    assert np.abs(errors).mean() < 0.01


@pytest.mark.long
@pytest.mark.parametrize("weights", [DEFAULT_WEIGHTS, LIVE_WEIGHTS])
def test_from_predicted_points(weights: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the errors that docs/following-faces.md states; run with `-m long`."""
    pipeline, rng = Pipeline(load_model(weights)), np.random.default_rng(11)
    angles, openings = [], []
    for i in range(100):
        yaw, pitch, roll = rng.uniform(-30, 30, 3)
        eyes, mouth = rng.uniform(0, 0.45), rng.uniform(0, 0.5)
        face = render_face(
            700 + i, 256, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, eye_opening=eyes, mouth_opening=mouth
        )
        (found,) = pipeline(face.image_rgb_u8, boxes=tight_boxes(face.points68_px)[None])
        read = read_expression(found.points_px, (256, 256))
        angles.append(angle_errors(face, read))
        openings.append(opening_errors(face, read))
    names = ("yaw", "pitch", "roll", "right eye", "left eye", "mouth opening", "mouth width")
    errors = np.abs(np.hstack([angles, openings]))
    with capsys.disabled():
        for name, column in zip(names, errors.T, strict=True):
            print(f"\n{name}: mean {column.mean():.3f}, 95 % below {np.percentile(column, 95):.3f}", end="")
    assert (errors[:, :3].mean(axis=0) < 5).all()
    assert (errors[:, 3:].mean(axis=0) < 0.15).all()


def test_mirroring_mirrors_the_pose(turned_faces: list[SyntheticFace]) -> None:
    points = turned_faces[0].points68_px
    read = read_expression(points, (SIZE, SIZE))
    mirrored = read_expression(IBUG68.mirror(points, SIZE), (SIZE, SIZE))
    np.testing.assert_allclose(
        [mirrored.yaw_deg, mirrored.pitch_deg, mirrored.roll_deg],
        [-read.yaw_deg, read.pitch_deg, -read.roll_deg],
        atol=0.05,
    )
    assert mirrored.left_eye_opening == pytest.approx(read.right_eye_opening, abs=0.01)


def test_the_size_of_the_picture_changes_nothing(turned_faces: list[SyntheticFace]) -> None:
    points = turned_faces[1].points68_px.astype(np.float64)
    small, large = (read_expression((points + 0.5) * factor - 0.5, (SIZE * factor, SIZE * factor)) for factor in (1, 7))
    np.testing.assert_allclose(list(vars(large).values()), list(vars(small).values()), atol=0.01)


def moving_points(frames: int = 20) -> list[np.ndarray]:
    """Points of one head that turns by 40 degrees a second, at 30 frames a second, as exact as predicted ones."""
    rng = np.random.default_rng(2)
    faces = (render_face(707, SIZE, yaw_deg=-14 + 1.4 * i, pitch_deg=8 - 0.7 * i) for i in range(frames))
    return [face.points68_px + rng.normal(0, 0.3, (68, 2)) for face in faces]


def read_all(points_px: Sequence[np.ndarray], before: HeadPose | None, follows: bool) -> np.ndarray:
    read = []
    for points in points_px:
        pose = fit_head(points, (SIZE, SIZE), before)
        read.append([pose.yaw_deg, pose.pitch_deg, pose.roll_deg, *100 * np.array(measure_eyes(pose.front_mm))])
        before = pose if follows else before
    return np.array(read)


def test_beginning_at_the_fit_before_gives_what_beginning_anew_gives() -> None:
    points = moving_points()
    apart = np.abs(read_all(points, None, follows=True) - read_all(points, None, follows=False))
    assert apart.max() < 1.5, "degrees, and hundredths of an opening"
    assert apart.mean() < 0.2


def test_a_fit_gone_astray_is_begun_anew() -> None:
    points = moving_points(4)
    scattered = fit_head(np.random.default_rng(0).uniform(0, SIZE, (68, 2)), (SIZE, SIZE))
    np.testing.assert_allclose(read_all(points, scattered, False), read_all(points, None, False), atol=0.5)


@pytest.mark.parametrize("points", [np.zeros((15, 2)), np.full((68, 2), np.nan)])
def test_other_points_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected \(68, 2\) finite points"):
        fit_head(points, (100, 100))


def test_points_that_are_no_face_give_numbers_nevertheless() -> None:
    rng = np.random.default_rng(0)
    for points in (np.full((68, 2), 50.0), rng.uniform(0, 100, (68, 2))):
        pose = fit_head(points, (100, 100))
        assert np.isfinite([pose.yaw_deg, pose.pitch_deg, pose.roll_deg]).all()


def test_the_model_is_the_mean_of_heads_and_their_main_differences() -> None:
    heads = synthetic_heads(12)
    model = build_head_model(heads, modes=5)
    partners = IBUG68.mirror_partners
    np.testing.assert_allclose(model.mean_mm[partners] * [-1, 1, 1], model.mean_mm, atol=1e-9)
    spreads = np.linalg.norm(model.modes_mm.reshape(5, -1), axis=1)
    assert (np.diff(spreads) <= 1e-9).all()
    assert np.abs(head_model().mean_mm - model.mean_mm).max() < 8


def blink_at(*times_s: float, lasting_s: float = 0.15, seconds: float = 6.0) -> list[tuple[float, float]]:
    """Time and opening at 30 frames a second, with the noise that predicted points have."""
    rng = np.random.default_rng(0)
    frames = np.arange(round(30 * seconds)) / 30
    closed = [any(start <= time < start + lasting_s for start in times_s) for time in frames]
    return [(t, (0.19 if shut else 0.32) + rng.normal(0, 0.01)) for t, shut in zip(frames, closed, strict=True)]


@pytest.mark.parametrize(
    ("clip", "blinks"),
    [
        (blink_at(), 0),
        (blink_at(2.0), 1),
        (blink_at(1.0, 1.5, 3.0, 4.2), 4),
        (blink_at(2.0, lasting_s=2.0), 0),  # eyes kept closed
        (blink_at(5.95), 0),  # not open again yet
    ],
)
def test_blinks_are_counted(clip: list[tuple[float, float]], blinks: int) -> None:
    counter = BlinkCounter()
    for time_s, opening in clip:
        counter(time_s, (opening, opening))
    assert counter.blinks == blinks


def test_a_wink_is_no_blink() -> None:
    counter = BlinkCounter()
    for time_s, opening in blink_at(1.0, 2.0):
        counter(time_s, (opening, 0.32))
    assert counter.blinks == 0


def test_uneven_points_are_no_blinks() -> None:
    rng, counter = np.random.default_rng(4), BlinkCounter()
    for i in range(300):
        counter(i / 30, tuple(0.3 + rng.normal(0, 0.025, 2)))
    assert counter.blinks == 0


def test_blinks_are_counted_from_predicted_points_while_the_head_turns() -> None:
    """Eyes shut in known frames; what the network makes of them is half open."""
    pipeline, reader = Pipeline(load_model("ibug68", threads=1), refinements=0), ExpressionReader()
    openings, shut = [], (12, 13, 14, 23, 24)
    for i in range(30):
        opening = 0.03 if i in shut else 0.32
        face = render_face(31, 128, yaw_deg=i / 2 - 8, pitch_deg=4, roll_deg=0, eye_opening=opening)
        (found,) = pipeline(face.image_rgb_u8, boxes=tight_boxes(face.points68_px)[None])
        followed = TrackedFace(found.box_xyxy, found.score, found.points_px, found.point_scores, 1, i / 20)
        read = reader(i / 20, [followed], (128, 128))[1]
        openings.append(read.right_eye_opening)
        assert read.blinks == sum(i > last for last in (14, 24)), f"in frame {i}: {np.round(openings, 2)}"


def test_each_face_has_its_own_counter() -> None:
    open_face, shut_face = (
        render_face(5, SIZE, yaw_deg=0, eye_opening=opening).points68_px for opening in (0.35, 0.02)
    )
    reader = ExpressionReader()

    def face(number: int, points_px: np.ndarray) -> TrackedFace:
        return TrackedFace(np.zeros(4, np.float32), 0.9, points_px, np.ones(68, np.float32), number, 0.0)

    for i in range(40):
        blinking = shut_face if 20 <= i < 24 else open_face
        told = reader(i / 30, [face(1, open_face), face(2, blinking)], (SIZE, SIZE))
    assert (told[1].blinks, told[2].blinks) == (0, 1)
    assert told[1].right_eye_opening == pytest.approx(0.35, abs=0.03)


def test_a_face_that_is_gone_for_a_minute_is_forgotten() -> None:
    points_px = render_face(5, SIZE, yaw_deg=0).points68_px
    reader = ExpressionReader()

    def known_at(time_s: float, *numbers: int) -> set[int]:
        box, scores = np.zeros(4, np.float32), np.ones(68, np.float32)
        reader(time_s, [TrackedFace(box, 0.9, points_px, scores, number, 0.0) for number in numbers], (SIZE, SIZE))
        return set(reader._known)

    assert known_at(0.0, 1, 2) == {1, 2}
    assert known_at(50.0, 2) == {1, 2}
    assert known_at(70.0) == {2}


@pytest.mark.data
def test_real_heads_that_look_ahead_are_read_so(data_root: Path) -> None:
    """The portraits of `photos/` were taken from the front."""
    from fkd.images import list_images, read_image

    pipeline = Pipeline(load_model("ibug68"))
    poses = []
    for path in list_images(data_root / "photos")[:8]:
        image = read_image(path)
        faces = pipeline(image)
        if len(faces) == 1:
            read = read_expression(faces[0].points_px, image.shape[:2])
            poses.append([read.yaw_deg, read.pitch_deg, read.roll_deg])
    assert len(poses) >= 4
    assert np.median(np.abs(poses), axis=0).max() < 10


@pytest.mark.data
@pytest.mark.parametrize(("clip", "blinks"), [("help", 0), ("no", 1), ("please", 0), ("thanks", 0), ("yes", 1)])
def test_blinks_of_real_people_are_counted(data_root: Path, clip: str, blinks: int) -> None:
    """Counted by eye; in `no` the eyes close once more, and stay so to the end of the clip."""
    tracker, reader = Tracker(load_model(live_weights(), threads=1)), ExpressionReader()
    for time_s, image in read_frames(data_root / "videos" / f"{clip}.mkv"):
        told = reader(time_s, tracker(image, time_s).faces, image.shape[:2])
    assert [read.blinks for read in told.values()] == [blinks]
