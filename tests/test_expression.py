"""Pose, openings and blinks against synthetic faces, whose true values are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fkd.crop import tight_boxes
from fkd.data.synthetic import SyntheticFace, render_face, synthetic_heads
from fkd.pipeline.expression import BlinkCounter, Expression, ExpressionReader, read_expression
from fkd.pipeline.head import build_head_model, fit_head, head_model
from fkd.pipeline.predict import Pipeline
from fkd.pipeline.track import TrackedFace
from fkd.schema import IBUG68
from fkd.weights import load_model

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
def test_from_predicted_points(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints the errors that the README states; run with `-m long`."""
    pipeline, rng = Pipeline(load_model("ibug68")), np.random.default_rng(11)
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
