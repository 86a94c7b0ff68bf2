"""Synthetic faces: the truth they carry, and whether detectors and networks take them for faces."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

import fkd
from fkd.data.synthetic import SyntheticFace, render_face, synthetic_dataset
from fkd.data.synthetic.camera import rotation_matrix
from fkd.schema import IBUG68, KAGGLE15


def tight_box(face: SyntheticFace) -> np.ndarray:
    return np.concatenate([face.points68_px.min(axis=0), face.points68_px.max(axis=0)])


def test_same_arguments_give_the_same_bytes():
    first, second = render_face(11, 128), render_face(11, 128)
    assert first.image_rgb_u8.tobytes() == second.image_rgb_u8.tobytes()
    assert first.points68_px.tobytes() == second.points68_px.tobytes()
    assert render_face(12, 128).image_rgb_u8.tobytes() != first.image_rgb_u8.tobytes()


def test_a_given_pose_leaves_the_rest_to_the_seed():
    free, posed = render_face(5, 96), render_face(5, 96, yaw_deg=25)
    assert posed.yaw_deg == 25
    assert posed.pitch_deg == free.pitch_deg
    assert (*posed.eye_opening, posed.mouth_opening) == pytest.approx((*free.eye_opening, free.mouth_opening))


@pytest.mark.parametrize("seed", range(6))
def test_points_lie_inside_the_picture(seed):
    face = render_face(seed, 160)
    assert face.image_rgb_u8.shape == (160, 160, 3)
    assert face.image_rgb_u8.dtype == np.uint8
    assert face.points68_px.dtype == np.float32
    assert np.isfinite(face.points68_px).all()
    assert (face.points68_px >= 0).all()
    assert (face.points68_px <= 159).all()


@pytest.mark.parametrize("fraction", [0.4, 0.7])
def test_face_fraction_is_the_longer_side_of_the_tight_box(fraction):
    box = tight_box(render_face(3, 200, face_fraction=fraction, yaw_deg=20))
    assert max(box[2] - box[0], box[3] - box[1]) == pytest.approx(200 * fraction, abs=0.1)


@pytest.mark.parametrize("pose", [(0, 0, 0), (25, 0, 0), (-30, 12, 8), (10, -15, -20)])
def test_points_are_the_projected_model_in_the_stated_pose(pose):
    """A solver that knows nothing of this package finds the stated rotation, to the pixel's hundredth."""
    face = render_face(8, 256, yaw_deg=pose[0], pitch_deg=pose[1], roll_deg=pose[2])
    camera = np.array([[face.focal_px, 0, 127.5], [0, face.focal_px, 127.5], [0, 0, 1]])
    points = face.points68_px.astype(np.float64)
    found, rotation_vector, translation = cv2.solvePnP(face.model_points, points, camera, None)
    assert found
    projected, _ = cv2.projectPoints(face.model_points, rotation_vector, translation, camera, None)
    assert np.abs(projected[:, 0] - points).max() < 0.01
    np.testing.assert_allclose(cv2.Rodrigues(rotation_vector)[0], rotation_matrix(*pose), atol=0.01)


def nose_from_eyes(face: SyntheticFace) -> np.ndarray:
    """Nose tip from the middle of the outer eye corners, in eye distances."""
    eyes = face.points68_px[[36, 45]]
    return (face.points68_px[30] - eyes.mean(axis=0)) / np.hypot(*(eyes[1] - eyes[0]))


def test_positive_yaw_moves_the_nose_to_the_right_of_the_picture():
    right, ahead, left = (
        nose_from_eyes(render_face(2, 128, yaw_deg=yaw, pitch_deg=0, roll_deg=0))[0] for yaw in (20, 0, -20)
    )
    assert left < -0.1 < ahead < 0.1 < right


def test_positive_pitch_lifts_the_nose():
    up, ahead, down = (
        nose_from_eyes(render_face(2, 128, yaw_deg=0, pitch_deg=pitch, roll_deg=0))[1] for pitch in (15, 0, -15)
    )
    assert up < ahead - 0.05
    assert down > ahead + 0.05


@pytest.mark.parametrize("roll_deg", [-20, 0, 20])
def test_roll_is_the_tilt_of_the_eye_line_clockwise_in_the_picture(roll_deg):
    face = render_face(4, 128, yaw_deg=0, pitch_deg=0, roll_deg=roll_deg)
    x, y = face.points68_px[45] - face.points68_px[36]
    assert np.degrees(np.arctan2(y, x)) == pytest.approx(roll_deg, abs=1)


def test_jaw_points_of_the_far_side_move_to_the_outline():
    """Turned away, the jaw at the level of the nose must not lie inside the cheek that hides it."""
    face = render_face(9, 256, yaw_deg=35, pitch_deg=0, roll_deg=0)
    frontal = render_face(9, 256, yaw_deg=0, pitch_deg=0, roll_deg=0)
    assert face.model_points[14, 2] < frontal.model_points[14, 2] - 10
    assert face.points68_px[14, 0] == face.points68_px[[14, 45, 35, 54], 0].max()
    np.testing.assert_allclose(face.model_points[2], frontal.model_points[2], atol=3)


@pytest.mark.parametrize("opening", [(0.05, 0.35), (0.4, 0.0), (0.3, 0.3)])
def test_eye_opening_is_what_was_asked_for_and_what_points_show(opening):
    face = render_face(6, 256, yaw_deg=0, pitch_deg=0, roll_deg=0, eye_opening=opening, face_fraction=0.8)
    assert face.eye_opening == pytest.approx(opening, abs=0.005)
    points = face.points68_px
    for eye, expected in zip((points[36:42], points[42:48]), opening, strict=True):
        lids = np.linalg.norm(eye[5] - eye[1]) + np.linalg.norm(eye[4] - eye[2])
        assert lids / 2 / np.linalg.norm(eye[3] - eye[0]) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("opening", [0.0, 0.2, 0.5])
def test_mouth_opening_is_what_was_asked_for_and_what_points_show(opening):
    face = render_face(7, 256, yaw_deg=0, pitch_deg=0, roll_deg=0, mouth_opening=opening, face_fraction=0.8)
    assert face.mouth_opening == pytest.approx(opening, abs=0.005)
    points = face.points68_px
    width = points[54, 0] - points[48, 0]
    assert (points[66, 1] - points[62, 1]) / width == pytest.approx(opening, abs=0.05)
    assert width / (points[45, 0] - points[36, 0]) == pytest.approx(face.mouth_width, abs=0.06)


def test_closing_an_eye_hides_its_white():
    """The picture follows the parameters, not only the points."""
    poses = {"yaw_deg": 0, "pitch_deg": 0, "roll_deg": 0, "face_fraction": 0.8}
    spread = []
    for opening in (0.4, 0.0):
        face = render_face(1, 256, eye_opening=opening, **poses)
        left, top = np.floor(face.points68_px[36:42].min(axis=0)).astype(int)
        right, bottom = np.ceil(face.points68_px[36:42].max(axis=0)).astype(int)
        middle = (top + bottom) // 2
        spread.append(float(np.ptp(face.image_rgb_u8[middle - 3 : middle + 4, left:right].mean(axis=2))))
    assert spread[0] > 1.2 * spread[1]


def test_kaggle_dataset_is_framed_as_kaggle_frames_faces():
    faces = synthetic_dataset("kaggle15", count=16)
    assert (faces.name, faces.schema) == ("synthetic15", KAGGLE15)
    assert faces.images_u8.shape == (16, 96, 96)
    assert faces.points_px.shape == (16, 15, 2)
    np.testing.assert_allclose(faces.points_px[:, 0].mean(axis=0), (66, 37), atol=2.5)
    np.testing.assert_allclose(faces.points_px[:, 1].mean(axis=0), (30, 37), atol=2.5)
    np.testing.assert_allclose(faces.points_px[:, 11:].mean(axis=(0, 1)), (48, 76), atol=2.5)


def test_portrait_dataset_shows_twice_the_tight_box():
    faces = synthetic_dataset("ibug68", count=5, faces_per_person=2)
    assert (faces.name, faces.schema) == ("synthetic68", IBUG68)
    assert faces.images_u8.shape == (5, 208, 208)
    low, high = faces.points_px.min(axis=1), faces.points_px.max(axis=1)
    np.testing.assert_allclose((high - low).max(axis=1), 104, atol=0.05)
    np.testing.assert_allclose((low + high) / 2, 103.5, atol=0.05)
    assert len(set(faces.groups)) == 3
    assert faces.groups[0] == faces.groups[1] != faces.groups[2]
    assert faces.rows[3] == "synthetic_000003"
    assert set(faces.sources) == {faces.name}, "as of every source, by the name that loads it"
    assert set(faces.published_split) == {"synthetic"}


def test_a_shorter_dataset_is_the_start_of_a_longer_one():
    short, long = synthetic_dataset("kaggle15", count=2), synthetic_dataset("kaggle15", count=5)
    np.testing.assert_array_equal(short.images_u8, long.images_u8[:2])
    np.testing.assert_array_equal(short.points_px, long.points_px[:2])
    assert (short.images_u8 != synthetic_dataset("kaggle15", count=2, seed=1).images_u8).any()


def test_the_frontal_cascade_finds_these_faces():
    """Found: a detection centred in the tight box, 0.6 to 1.8 times as large as it."""
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")
    found = 0
    for seed in range(500):
        face = render_face(seed, 160, yaw_deg=seed % 31 - 15)
        box = tight_box(face)
        side = max(box[2] - box[0], box[3] - box[1])
        grey = cv2.cvtColor(face.image_rgb_u8, cv2.COLOR_RGB2GRAY)
        for x, y, width, height in cascade.detectMultiScale(grey, scaleFactor=1.1, minNeighbors=5):
            centre = np.array([x + width / 2, y + height / 2])
            inside = (centre > box[:2]).all() and (centre < box[2:]).all()
            if inside and 0.6 <= width / side <= 1.8:
                found += 1
                break
    assert found >= 0.95 * 500


def test_shipped_weights_know_these_faces():
    """Weights that were trained on real faces only place their points on these."""
    pipeline = fkd.load("ibug68")
    errors = []
    for seed in range(60):
        face = render_face(seed, 256, yaw_deg=seed * 17 % 61 - 30)
        predicted = pipeline(face.image_rgb_u8, boxes=tight_box(face)[None])[0].points_px
        distance = np.linalg.norm(predicted - face.points68_px, axis=1).mean()
        errors.append(distance / np.linalg.norm(face.points68_px[45] - face.points68_px[36]))
    assert np.mean(errors) <= 0.08
