"""From photo to faces, with a network of known behaviour in the place of a trained one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fkd.crop import CropFrame, tight_boxes, tight_boxes_from_points, transform
from fkd.data.synthetic import render_face
from fkd.errors import FkdError
from fkd.pipeline.detect import Detections, HaarOptions, Spots
from fkd.pipeline.framing import eye_angles_deg, upright_frames
from fkd.pipeline.look import Look
from fkd.pipeline.predict import Pipeline
from fkd.schema import IBUG68, KAGGLE15, Schema, kaggle15_from_ibug68

SIZE = 96
FACE = render_face(seed=3, size=256, yaw_deg=0, roll_deg=0, face_fraction=0.5).points68_px.astype(np.float64)
BLANK = np.zeros((300, 400, 3), np.uint8)


class SeeingModel:
    """A network that finds the white disc marking a face, and says that the face lies round it.

    Its points are `FACE`, centred on the disc and as large as the disc says; it is as sure as the disc
    is bright. A crop without a disc is no face.
    """

    def __init__(self, schema: Schema = IBUG68) -> None:
        self.card = SimpleNamespace(schema=schema, input_size=SIZE, crop=CropFrame(1.6))
        self.batches: list[int] = []

    def predict(self, crops_gray_u8: np.ndarray, flip: bool = True) -> SimpleNamespace:
        assert crops_gray_u8.dtype == np.uint8
        assert crops_gray_u8.shape[1:] == (SIZE, SIZE)
        self.batches.append(len(crops_gray_u8))
        points, scores = zip(*(self._look_at(crop) for crop in crops_gray_u8), strict=True)
        k = len(self.card.schema)
        face_scores = np.array(scores, np.float32)
        return SimpleNamespace(
            points_px=np.array(points, np.float32),
            point_scores=np.repeat(face_scores[:, None], k, axis=1),
            face_scores=face_scores,
        )

    def _look_at(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        weights = crop / 255.0
        points68 = marked_face(np.full(2, (SIZE - 1) / 2), 10.0)
        if weights.sum():
            ys, xs = np.mgrid[:SIZE, :SIZE]
            centre = np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()
            radius = np.sqrt(weights.sum() / weights.max() / np.pi)
            points68 = marked_face(centre, radius)
        points = points68 if self.card.schema is IBUG68 else kaggle15_from_ibug68(points68)
        return points, crop.max() / 255


def test_a_later_look_moves_points_and_never_makes_a_face_surer() -> None:
    def look(fill: float, *face_scores: float) -> Look:
        n = len(face_scores)
        parts = [np.full(shape, fill) for shape in ((n, 8, 8), (n, 2, 3), (n, 15, 2), (n, 15))]
        return Look(*parts, np.array(face_scores))

    first, second = look(1, 0.9, 0.5, 0.7), look(2, 0.4, 0.8)
    updated = first.updated(np.array([True, True, False]), second)
    assert updated.face_scores.tolist() == [0.4, 0.5, 0.7]
    assert updated.points_px[:, 0, 0].tolist() == updated.point_scores[:, 0].tolist() == [2, 2, 1]
    assert first.face_scores.tolist() == [0.9, 0.5, 0.7]


def marked_face(centre: np.ndarray, disc_radius: float, tilt_deg: float = 0.0) -> np.ndarray:
    """(68, 2) points of the face that a disc stands for: its tight box is ten radii long."""
    box = tight_boxes(FACE)
    unit = (FACE - (box[:2] + box[2:]) / 2) / (box[2:] - box[:2]).max()
    turn = np.radians(tilt_deg)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return unit @ rotation.T * 10 * disc_radius + centre


def photo(*discs: tuple[float, float, float, int]) -> np.ndarray:
    """A dark photo with discs x, y, radius, brightness."""
    ys, xs = np.mgrid[: BLANK.shape[0], : BLANK.shape[1]]
    image = BLANK.copy()
    for x, y, radius, bright in discs:
        covered = np.clip(radius + 0.5 - np.hypot(xs - x, ys - y), 0, 1)[..., None]
        image = np.maximum(image, np.round(bright * covered).astype(np.uint8))
    return image


def box_of(x: float, y: float, radius: float) -> np.ndarray:
    return tight_boxes(marked_face(np.array([x, y]), radius))


def detecting(pipeline: Pipeline, *boxes: np.ndarray) -> Pipeline:
    """The pipeline with a detector that answers with these boxes whatever it is shown."""
    found = np.array(boxes, np.float32).reshape(-1, 4)
    pipeline.detector = lambda image_gray_u8: Detections(found - 1, found)
    return pipeline


def searching(pipeline: Pipeline, *spots: tuple[np.ndarray, float]) -> tuple[Pipeline, list[float]]:
    """The pipeline without detections, whose closer search answers with one box and its angle after the other.

    The list takes the angles that were asked for.
    """
    asked: list[float] = []

    def search(image_gray_u8: np.ndarray) -> Iterator[Spots]:
        for box, angle in spots:
            asked.append(angle)
            yield Spots(box[None], np.array([angle]))

    pipeline = detecting(pipeline)
    pipeline.closer_search = search  # type: ignore[assignment]
    return pipeline, asked


@pytest.mark.parametrize("schema", [IBUG68, KAGGLE15], ids=lambda schema: schema.name)
@pytest.mark.parametrize("radius", [4.0, 11.0])
def test_points_come_back_in_the_pixels_of_the_photo(schema: Schema, radius: float) -> None:
    x, y = 170.3, 140.8
    faces = Pipeline(SeeingModel(schema))(photo((x, y, radius, 255)), boxes=[box_of(x, y, radius)])
    true = marked_face(np.array([x, y]), radius)
    true = true if schema is IBUG68 else kaggle15_from_ibug68(true)
    assert len(faces) == 1
    assert faces[0].points_px.shape == (len(schema), 2)
    assert np.abs(faces[0].points_px - true).max() < 1.0


def test_further_looks_correct_a_wrong_detection() -> None:
    x, y, radius = 170.0, 140.0, 10.0
    off = box_of(x + 12, y - 9, radius * 1.25)
    true = marked_face(np.array([x, y]), radius)
    frames = []
    for refinements in (0, 2):
        pipeline = detecting(Pipeline(SeeingModel(), refinements=refinements), off)
        result = pipeline.run(photo((x, y, radius, 255)))
        assert np.abs(result.faces[0].points_px - true).max() < 1.5
        np.testing.assert_allclose(result.faces[0].box_xyxy, tight_boxes(result.faces[0].points_px))
        frames.append(transform(np.full((1, 2), (SIZE - 1) / 2), result.crops_to_photo[0])[0])
    centre = (tight_boxes(true)[:2] + tight_boxes(true)[2:]) / 2
    before, after = (np.linalg.norm(frame - centre) for frame in frames)
    assert before > 10
    assert after < 1


@pytest.mark.parametrize("name", ["holiday.jpg", Path("holiday.jpg")])
def test_the_name_of_a_photo_is_told_how_to_be_read(name: str | Path) -> None:
    with pytest.raises(FkdError, match=r"fkd\.images\.read_image\('holiday\.jpg'\)"):
        Pipeline(SeeingModel())(name)  # type: ignore[arg-type]


def test_a_given_box_is_believed_unless_the_points_contradict_it() -> None:
    x, y, radius = 170.0, 140.0, 10.0
    image = photo((x, y, radius, 255))
    for box, looks in ((box_of(x, y, radius), 1), (box_of(x + 3, y, radius * 1.05), 1), (box_of(x + 20, y, 13.0), 3)):
        model = SeeingModel()
        faces = Pipeline(model)(image, boxes=[box])
        assert len(model.batches) == looks
        np.testing.assert_array_equal(faces[0].box_xyxy, box.astype(np.float32))


def test_what_the_network_is_unsure_of_is_dropped_unless_its_box_was_given() -> None:
    discs = ((90.0, 150.0, 8.0, 255), (300.0, 150.0, 8.0, 60))
    boxes = [box_of(*disc[:3]) for disc in discs]
    image = photo(*discs)
    assert [face.score for face in detecting(Pipeline(SeeingModel()), *boxes)(image)] == [1.0]
    assert len(detecting(Pipeline(SeeingModel(), min_face_score=0.1), *boxes)(image)) == 2
    given = Pipeline(SeeingModel())(image, boxes=boxes)
    assert [round(face.score, 2) for face in given] == [1.0, 0.24]


def test_where_nothing_is_found_a_closer_search_goes_on_until_a_face_is_seen() -> None:
    image, box = photo((170.0, 140.0, 10.0, 255)), box_of(170.0, 140.0, 10.0)
    pipeline, asked = searching(Pipeline(SeeingModel()), (box + 150, 0.0), (box, 30.0), (box, 90.0))
    assert len(pipeline(image)) == 1
    assert asked == [0.0, 30.0]
    with_detection = detecting(pipeline, box)
    assert len(with_detection(image)) == 1 and asked == [0.0, 30.0]


def test_a_closer_search_believes_only_sure_faces() -> None:
    """A score of 0.6, of which the same detection is a face, is none where so many spots were asked about."""
    image, box = photo((170.0, 140.0, 10.0, 153)), box_of(170.0, 140.0, 10.0)
    assert len(detecting(Pipeline(SeeingModel()), box)(image)) == 1
    pipeline, asked = searching(Pipeline(SeeingModel()), (box, 0.0))
    assert pipeline(image) == [] and asked == [0.0]
    pipeline, _ = searching(Pipeline(SeeingModel()), (box, 0.0))
    result = pipeline.run(photo((170.0, 140.0, 10.0, 90)))
    assert result.faces == [] and result.weak_scores == ()  # no lower minimum would let it pass


def test_networks_without_scores_and_who_does_not_want_it_get_no_closer_search() -> None:
    class ScorelessModel(SeeingModel):
        def _look_at(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
            return super()._look_at(crop)[0], 1.0

    image, box = photo((170.0, 140.0, 10.0, 255)), box_of(170.0, 140.0, 10.0)
    pipeline, asked = searching(Pipeline(ScorelessModel()), (box, 0.0))
    assert pipeline(image) == [] and asked == []
    assert Pipeline(SeeingModel(), HaarOptions(closer=False)).closer_search is None


class FramedModel(SeeingModel):
    """Sees a face only where the disc is about as large in the crop as in one of the right frame."""

    def _look_at(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        points, score = super()._look_at(crop)
        side = np.ptp(points, axis=0).max()
        return points, score if 0.5 < side / (SIZE / 1.6) < 1.7 else 0.1


@pytest.mark.parametrize("ratio", [0.65, 1.0, 2.0, 2.8])
def test_a_box_that_is_much_too_small_or_large_still_leads_to_its_face(ratio: float) -> None:
    x, y, radius = 200.0, 150.0, 6.0
    image = photo((x, y, radius, 255))
    face = Pipeline(FramedModel())(image, boxes=[box_of(x, y, radius * ratio)])[0]
    assert np.abs(face.points_px - marked_face(np.array([x, y]), radius)).max() < 1.5
    assert face.score == 1


def test_a_box_beside_a_face_or_over_a_small_part_of_it_is_of_no_face() -> None:
    x, y, radius = 200.0, 150.0, 6.0
    boxes = [box_of(x + 45, y, radius * 0.6), box_of(x, y, radius * 0.45)]
    assert all(face.score < 0.5 for face in Pipeline(FramedModel())(photo((x, y, radius, 255)), boxes=boxes))


class CollapsingModel(SeeingModel):
    """As sure as any, with all its points together in the middle: what a network says after little training."""

    def _look_at(self, crop: np.ndarray) -> tuple[np.ndarray, float]:
        return marked_face(np.full(2, (SIZE - 1) / 2), 2.0), 1.0


def test_points_that_fall_together_are_no_face_and_never_followed_to_nothing() -> None:
    image, box = photo((170.0, 140.0, 10.0, 255)), box_of(170.0, 140.0, 10.0)
    result = detecting(Pipeline(CollapsingModel()), box).run(image)
    assert result.faces == [] and result.weak_scores == (0,)
    shown = detecting(Pipeline(CollapsingModel(), min_face_score=0.0), box).run(image)
    assert len(shown.faces) == 1 and np.linalg.norm(shown.crops_to_photo[0][:, 0]) * SIZE > 100
    given = Pipeline(CollapsingModel())(image, boxes=[box])  # seen once, in the box as it was given
    assert given[0].score == 0 and np.ptp(given[0].points_px, axis=0).max() > 25


def test_two_detections_of_one_face_become_one_face() -> None:
    near = [box_of(165, 140, 11), box_of(178, 146, 9)]
    assert len(detecting(Pipeline(SeeingModel()), *near)(photo((170, 140, 10, 255)))) == 1
    apart = [box_of(110, 150, 8), box_of(230, 150, 8)]
    faces = detecting(Pipeline(SeeingModel()), *apart)(photo((110, 150, 8, 255), (230, 150, 8, 255)))
    assert [round(float(face.points_px[:, 0].mean()), -1) for face in faces] == [110, 230]


def test_given_faces_are_answered_in_their_order_and_never_merged() -> None:
    boxes = [box_of(230, 150, 8), box_of(110, 150, 8), box_of(111, 150, 8)]
    faces = Pipeline(SeeingModel())(photo((110, 150, 8, 255), (230, 150, 8, 255)), boxes=np.array(boxes))
    assert [round(float(face.points_px[:, 0].mean()), -1) for face in faces] == [230, 110, 110]


def test_many_faces_are_predicted_in_batches_of_limited_size() -> None:
    model = SeeingModel()
    faces = Pipeline(model, refinements=0)(photo((170, 140, 10, 255)), boxes=[box_of(170, 140, 10)] * 150)
    assert len(faces) == 150
    assert model.batches == [64, 64, 22]


def test_a_tilted_face_is_shown_upright_at_the_second_look() -> None:
    """Crops of the last look have level eyes."""

    class TiltedModel(SeeingModel):
        def predict(self, crops_gray_u8: np.ndarray, flip: bool = True) -> SimpleNamespace:
            answer = super().predict(crops_gray_u8)
            if len(self.batches) == 1:  # only the first look sees the tilt
                answer.points_px[:] = marked_face(answer.points_px[0].mean(axis=0), 6.0, tilt_deg=35)
            return answer

    pipeline = detecting(Pipeline(TiltedModel(), refinements=1), box_of(170, 140, 10))
    result = pipeline.run(photo((170, 140, 10, 255)))
    across = result.crops_to_photo[0][:, 0]  # where a step to the right in the crop leads in the photo
    assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(35, abs=1)


def test_a_photo_without_faces_gives_none() -> None:
    result = Pipeline(SeeingModel()).run(BLANK)
    assert result.faces == []
    assert result.crops_gray_u8.shape == (0, SIZE, SIZE)
    assert set(result.milliseconds) == {"detect", "crop", "predict"}
    assert Pipeline(SeeingModel())(BLANK, boxes=np.empty((0, 4))) == []
    assert Pipeline(SeeingModel())(np.zeros((1, 1, 3), np.uint8)) == []


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((10, 10), np.uint8),  # grey
        np.zeros((10, 10, 4), np.uint8),  # with alpha
        np.zeros((10, 10, 3), np.float32),
        np.zeros((0, 10, 3), np.uint8),
    ],
)
def test_other_images_are_refused_with_what_was_received(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=rf"expected \(h, w, 3\) uint8, received .*{image.dtype}"):
        Pipeline(SeeingModel())(image)


@pytest.mark.parametrize(
    ("boxes", "told"),
    [
        ([1, 2, 3, 4], r"expected \(n, 4\), received \(4,\)"),
        ([[1, 2, 3]], r"expected \(n, 4\), received \(1, 3\)"),
        ([[5, 2, 3, 4]], "expected finite x0 < x1"),
        ([[1, 2, np.nan, 4]], "expected finite x0 < x1"),
        ([[1, 2, np.inf, 4]], "expected finite x0 < x1"),
    ],
)
def test_boxes_that_are_none_are_refused(boxes: list, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Pipeline(SeeingModel())(BLANK, boxes=boxes)


def test_boxes_beyond_the_photo_give_finite_points() -> None:
    boxes = [[-900, -900, -700, -700], [-50, -50, 5000, 5000], [0, 0, 0.5, 0.5]]
    faces = Pipeline(SeeingModel())(photo((170, 140, 10, 255)), boxes=boxes)
    assert len(faces) == 3
    assert all(np.isfinite(face.points_px).all() for face in faces)


@pytest.mark.parametrize("tilt_deg", [-40.0, 0.0, 25.0])
@pytest.mark.parametrize("schema", [IBUG68, KAGGLE15], ids=lambda schema: schema.name)
def test_upright_frames_turn_with_the_face(schema: Schema, tilt_deg: float) -> None:
    """The frame of a tilted face is the frame of the upright one, turned about the face's centre."""

    def points(tilt: float) -> np.ndarray:
        points68 = marked_face(np.array([50.0, 80.0]), 10.0, tilt)
        return (points68 if schema is IBUG68 else kaggle15_from_ibug68(points68))[None]

    upright, own_angle = upright_frames(points(0.0), schema)
    tilted, angle = upright_frames(points(tilt_deg), schema)
    assert angle - own_angle == pytest.approx(tilt_deg)
    np.testing.assert_allclose(tilted[:, 2:] - tilted[:, :2], upright[:, 2:] - upright[:, :2], rtol=1e-6)
    expected = marked_turn((upright[0, :2] + upright[0, 2:]) / 2, np.array([50.0, 80.0]), tilt_deg)
    np.testing.assert_allclose((tilted[0, :2] + tilted[0, 2:]) / 2, expected, atol=1e-6)


def marked_turn(point: np.ndarray, about: np.ndarray, degrees: float) -> np.ndarray:
    turn = np.radians(degrees)
    return np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ (point - about) + about


def test_fifteen_points_say_where_jaw_and_chin_are() -> None:
    """Frontal synthetic faces, which the constants were not measured on."""
    faces = [render_face(seed=seed, yaw_deg=0, pitch_deg=0, roll_deg=0).points68_px for seed in range(20)]
    points68 = np.array(faces, np.float64)
    true = tight_boxes(points68)
    estimated = tight_boxes_from_points(kaggle15_from_ibug68(points68), KAGGLE15)
    side = (true[:, 2:] - true[:, :2]).max(axis=1, keepdims=True)
    assert np.abs(np.median((estimated - true) / side, axis=0)).max() < 0.04


def test_eye_angles_are_clockwise() -> None:
    points = np.zeros((1, 68, 2))
    points[0, 42:48] = [10.0, 10.0]  # the subject's left eye: to the right and lower
    assert eye_angles_deg(points, IBUG68) == pytest.approx(45)


def test_importing_the_pipeline_needs_neither_pages_nor_training() -> None:
    code = (
        "import sys, fkd.pipeline.predict as _; print([m for m in sys.modules if 'streamlit' in m or 'training' in m])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
