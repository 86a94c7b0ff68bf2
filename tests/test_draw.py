"""Drawings: what changes, where, and in which colour."""

from __future__ import annotations

import numpy as np
import pytest

from fkd.crop import tight_boxes
from fkd.data.synthetic import render_face
from fkd.pipeline.draw import DrawOptions, _font, count_unlabelled, draw_faces, draw_points
from fkd.pipeline.face import Face
from fkd.pipeline.track import TrackedFace
from fkd.schema import IBUG68, KAGGLE15, PREDICTION_COLOUR, Schema

NOTHING = {"show_boxes": False, "show_edges": False}
GREY = 128


def grey(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def synthetic_face(size: int, schema: Schema = IBUG68, score: float = 1.0) -> Face:
    points = render_face(seed=5, size=256, yaw_deg=0, face_fraction=0.6).points_px(schema) * np.float32(size / 256)
    scores = np.full(len(schema), score, np.float32)
    return Face(tight_boxes(points).astype(np.float32), 0.5, points.astype(np.float32), scores)


def rgb(colour: str) -> list[int]:
    return list(bytes.fromhex(colour[1:]))


@pytest.mark.parametrize("schema", [IBUG68, KAGGLE15], ids=lambda schema: schema.name)
def test_the_picture_is_copied_and_points_have_the_colours_of_their_groups(schema: Schema) -> None:
    image, face = grey(1000, 1000), synthetic_face(1000, schema)
    drawn = draw_faces(image, [face], schema, DrawOptions(**NOTHING))
    assert (image == GREY).all()
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    for (x, y), colour in zip(face.points_px.round().astype(int), schema.colours, strict=True):
        assert drawn[y, x].tolist() == rgb(colour)


def test_one_colour_overrides_all() -> None:
    face = synthetic_face(1000)
    drawn = draw_faces(grey(1000, 1000), [face], IBUG68, DrawOptions(**NOTHING, colour=PREDICTION_COLOUR))
    for x, y in face.points_px.round().astype(int):
        assert drawn[y, x].tolist() == rgb(PREDICTION_COLOUR)


def test_unsure_points_are_rings() -> None:
    face = synthetic_face(1000, KAGGLE15, score=0.1)
    drawn = draw_faces(grey(1000, 1000), [face], KAGGLE15, DrawOptions(**NOTHING))
    x, y = face.points_px[10].round().astype(int)
    assert drawn[y, x].tolist() == [GREY] * 3  # empty inside
    around = drawn[y - 15 : y + 16, x - 15 : x + 16].reshape(-1, 3).tolist()
    assert rgb(KAGGLE15.colours[10]) in around


@pytest.mark.parametrize("option", ["show_boxes", "show_edges"])
def test_boxes_and_edges_can_be_left_out(option: str) -> None:
    face = synthetic_face(600)
    plain = draw_faces(grey(600, 600), [face], IBUG68, DrawOptions(**NOTHING))
    more = draw_faces(grey(600, 600), [face], IBUG68, DrawOptions(**NOTHING | {option: True}))
    assert (plain != more).any()


def test_labels_are_written_at_the_points() -> None:
    face = synthetic_face(1000)
    drawings = [
        draw_faces(grey(1000, 1000), [face], IBUG68, DrawOptions(**NOTHING, labels=labels))
        for labels in ("none", "numbers", "names")
    ]
    none, numbers, names = ((drawing == 255).all(axis=2).sum() for drawing in drawings)  # texts are white
    assert none == 0
    assert 0 < numbers < names


@pytest.mark.parametrize("schema", [IBUG68, KAGGLE15], ids=lambda schema: schema.name)
@pytest.mark.parametrize("labels", ["names", "numbers"])
def test_a_label_covers_neither_a_point_nor_another_label(
    schema: Schema, labels: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[tuple[np.ndarray, str, int]] = []
    monkeypatch.setattr("fkd.pipeline.draw._text", lambda canvas, *what: written.append(what))
    face, image = synthetic_face(400, schema), grey(1280, 1280)
    options = DrawOptions(show_boxes=False, labels=labels)
    draw_faces(image, [face], schema, options)
    assert count_unlabelled(image, [face], schema, options) == (len(schema) - len(written), len(schema))
    assert len({text for _, text, _ in written}) == len(written) > 5
    taken = [(*point, *point) for point in face.points_px]
    for (x, y), text, size in written:
        box = (x, y, x + _font(size).getlength(text), y + size)
        for x0, y0, x1, y1 in taken:
            assert box[2] < x0 or x1 < box[0] or box[3] < y0 or y1 < box[1]
        taken.append(box)


@pytest.mark.parametrize("size", [400, 1280])
def test_every_number_finds_its_room(size: int) -> None:
    """Also on a face of 240 of 1,280 pixels, as that of the sample photo is."""
    options = DrawOptions(labels="numbers")
    for schema in (IBUG68, KAGGLE15):
        assert count_unlabelled(grey(1280, 1280), [synthetic_face(size, schema)], schema, options)[0] == 0
    assert count_unlabelled(grey(90, 90), [synthetic_face(90)], IBUG68, options)[0] > 0  # digits need nine pixels
    assert count_unlabelled(grey(90, 90), [synthetic_face(90)], IBUG68, DrawOptions()) == (0, 0)


def test_drawings_grow_with_the_face() -> None:
    """At 400 and at 4,000 pixels a drawing changes the picture by the same amount."""
    changes = [
        np.abs(draw_faces(grey(size, size), [synthetic_face(size)], IBUG68).astype(int) - GREY).mean()
        for size in (400, 4000)
    ]
    assert changes[0] == pytest.approx(changes[1], rel=0.25)


def test_larger_points_cover_more() -> None:
    small, large = (
        (draw_faces(grey(500, 500), [synthetic_face(500)], IBUG68, DrawOptions(**NOTHING, point_size=size)) != GREY)
        for size in (0.5, 2.0)
    )
    assert small.sum() < large.sum()


@pytest.mark.parametrize(("side", "low", "high"), [(300, 9, 9), (1280, 15, 18), (9000, 18, 25)])
def test_labels_can_be_read_when_a_large_picture_is_shown_small(
    monkeypatch: pytest.MonkeyPatch, side: int, low: int, high: int
) -> None:
    """As far as the face is not too small for them."""
    sizes: list[int] = []
    monkeypatch.setattr("fkd.pipeline.draw._text", lambda *arguments: sizes.append(arguments[-1]))
    draw_faces(grey(side, side), [synthetic_face(500)], IBUG68, DrawOptions(**NOTHING, labels="names"))
    assert sizes and low <= min(sizes) and max(sizes) <= high


@pytest.mark.parametrize("labels", ["none", "names"])
@pytest.mark.parametrize("shape", [(1, 1), (7, 300), (300, 7)])
def test_faces_beyond_the_picture_are_cut_off(shape: tuple[int, int], labels: str) -> None:
    drawn = draw_faces(grey(*shape), [synthetic_face(200), synthetic_face(2)], IBUG68, DrawOptions(labels=labels))
    assert drawn.shape == (*shape, 3)


def test_missing_points_are_left_out() -> None:
    points = np.array([[20.0, 20.0], [np.nan, np.nan], [70.0, 40.0]])
    drawn = draw_points(grey(100, 100), points, ["#FF0000", "#00FF00", "#0000FF"], radius_px=4)
    assert drawn[20, 20].tolist() == [255, 0, 0]
    assert drawn[40, 70].tolist() == [0, 0, 255]
    assert [0, 255, 0] not in drawn.reshape(-1, 3).tolist()


def test_points_lie_between_pixels() -> None:
    """Half a pixel further, half of the rim is covered: drawings are smooth."""
    on, between = (
        draw_points(np.zeros((21, 21, 3), np.uint8), np.array([[x, 10.0]]), ["#FFFFFF"], radius_px=4)[10, :, 0]
        for x in (10.0, 10.5)
    )
    assert on.tolist() == on[::-1].tolist()
    assert between[1:].tolist() == between[1:][::-1].tolist()  # its middle is half a pixel further
    assert on.tolist() != between.tolist()


@pytest.mark.parametrize("colour", ["red", "#12345", "#GGGGGG"])
def test_a_colour_that_is_none_is_refused(colour: str) -> None:
    with pytest.raises(ValueError, match=r"colour|hexadecimal"):
        draw_faces(grey(9, 9), [], IBUG68, DrawOptions(colour=colour))


def test_beside_a_face_stands_its_number_where_it_is_followed_and_its_score_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    face = synthetic_face(500)
    followed = TrackedFace(face.box_xyxy, face.score, face.points_px, face.point_scores, id=7, age_s=1.0)
    texts: list[str] = []
    monkeypatch.setattr("fkd.pipeline.draw._text", lambda *arguments: texts.append(arguments[2]))
    draw_faces(grey(500, 500), [face, followed], IBUG68)
    assert texts == ["0.50", "Face 7"]


@pytest.mark.parametrize(
    ("part", "low", "high"), [(0.9, 1 / 25, 1 / 10), (0.3, 1 / 40, 1 / 30), (0.05, 1 / 130, 1 / 60)]
)
def test_the_score_can_be_read_when_a_large_picture_is_shown_small(
    monkeypatch: pytest.MonkeyPatch, part: float, low: float, high: float
) -> None:
    """Shares of the picture's side; a face that is a small part of it is not hidden by its own score."""
    sizes: list[int] = []
    monkeypatch.setattr("fkd.pipeline.draw._text", lambda *arguments: sizes.append(arguments[-1]))
    draw_faces(grey(1280, 1280), [synthetic_face(round(part * 1280))], IBUG68)
    assert low <= sizes[0] / 1280 <= high


def test_points_of_a_small_part_of_a_picture_are_seen() -> None:
    """A face of 200 in 1,280 pixels has points of more than five pixels, also when it is looked at on a phone."""
    face = synthetic_face(300)
    drawn = draw_faces(grey(1280, 1280), [face], IBUG68, DrawOptions(**NOTHING))
    x, y = face.points_px[8].round().astype(int)  # the chin, apart from the others
    assert (drawn[y, x - 2 : x + 3] == rgb(IBUG68.colours[8])).all()
