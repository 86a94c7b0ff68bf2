"""The Explore page without a browser: what it counts, filters, corrects, invents and changes."""

from __future__ import annotations

import csv
import io
import threading
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from fkd.augment import Augmentation
from fkd.curation import quality_of
from fkd.data.dataset import Dataset
from fkd.data.kaggle import COORDINATES
from fkd.data.notes import Notes
from fkd.data.quality import Quality, measure_quality
from fkd.paths import PROJECT_ROOT
from fkd.schema import IBUG68, KAGGLE15
from fkd.ui.explore import augmentation, choice, cloud, distributions, face, health, keys, labels, table
from fkd.ui.explore.source import Source

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

N, COMPLETE = 60, 36
KEPT = [KAGGLE15.keypoints.index(name) for name in ("left_eye_center", "right_eye_center", "nose_tip")]
COPY, ORIGINAL = 7, 6


def shapes(rng: np.random.Generator) -> np.ndarray:
    """(N, 15, 2) points of upright faces that differ a little."""
    typical = np.array(
        [
            *((66, 37), (30, 37), (59, 38), (73, 38), (37, 38), (23, 38)),
            *((56, 29), (80, 30), (40, 29), (16, 30)),
            *((48, 58), (63, 76), (33, 76), (48, 72), (48, 82)),
        ],
        np.float32,
    )
    return (typical + rng.normal(0, 1, (N, 15, 2))).astype(np.float32)


@pytest.fixture(scope="module")
def faces() -> Dataset:
    """Sixty faces: the last 24 have three points only, one is a copy, two people are in both splits."""
    rng = np.random.default_rng(0)
    points_px = shapes(rng)
    images_u8 = np.stack([cv2.resize(rng.integers(0, 255, (9, 9), np.uint8), (96, 96)) for _ in range(N)])
    for image, points in zip(images_u8, points_px, strict=True):
        for x, y in points:
            cv2.circle(image, (round(float(x)), round(float(y))), 2, 255, -1)
    images_u8[COPY] = images_u8[ORIGINAL]
    missing = np.setdiff1d(np.arange(15), KEPT)
    points_px[COMPLETE:, missing] = np.nan
    return Dataset(
        "drawn",
        KAGGLE15,
        images_u8,
        points_px,
        groups=np.array([f"person_{i // 2}" for i in range(N)]),
        sources=np.full(N, "drawn"),
        rows=np.array([f"face_{i}" for i in range(N)]),
        published_split=np.array(["test" if i in (1, 3) else "training" for i in range(N)]),
    )


@pytest.fixture(scope="module")
def source(faces: Dataset) -> Source:
    return Source(("drawn",), faces, measure_quality(faces))


def rows(source: Source, notes: Notes | None = None, **chosen: object) -> list[int]:
    return choice.rows_of(source, choice.Choice(**chosen), notes or Notes()).tolist()  # type: ignore[arg-type]


def test_the_strip_counts_what_was_planted_and_each_figure_opens_these_faces(source: Source) -> None:
    values = {figure.label: figure.value for figure in health.figures(source)}
    assert values["Faces"] == "60"
    assert values["All 15 points"] == "36"
    assert values["Labels missing"] == str(24 * 12)
    assert values["Duplicates"] == "2"
    assert values["Shared"] == "2"
    opened = {figure.label: rows(source, show=figure.show) for figure in health.figures(source)}
    assert opened["All 15 points"] == list(range(COMPLETE))
    assert opened["Labels missing"] == list(range(COMPLETE, N))
    assert opened["Duplicates"] == [ORIGINAL, COPY]
    assert opened["Shared"] == [0, 1, 2, 3]  # two people, two faces each
    assert len(opened["Suspected errors"]) == int(values["Suspected errors"])


def test_the_first_questions_are_answered_in_a_sentence_each(source: Source, faces: Dataset) -> None:
    assert health.missing_sentence(faces).endswith("and 11 others, each in 24 of 60 faces (40.0%).")
    points_px = faces.points_px.copy()
    points_px[0, KEPT[2]] = np.nan
    points_px[:, np.setdiff1d(np.arange(15), KEPT)] = 1
    assert health.missing_sentence(replace(faces, points_px=points_px)) == (
        "**Missing most:** `nose_tip`, in 1 of 60 faces (1.7%)."
    )
    assert "No label is missing" in health.missing_sentence(faces.subset(faces.complete))
    assert "the subject's left:** the left eye lies on the right of the picture" in health.side_sentence(faces)
    mirrored = faces.points_px * (-1, 1) + (95, 0)
    assert "the viewer's left" in health.side_sentence(replace(faces, points_px=mirrored.astype(np.float32)))
    assert health.shared_sentence(source) == (
        "**Train and test share people:** all 2 people of `test` are in `training` too."
    )
    apart = replace(faces, groups=faces.rows)
    assert "do not share" in health.shared_sentence(replace(source, faces=apart))


def test_drawn_faces_are_not_said_to_be_mislabelled_or_published(source: Source, faces: Dataset) -> None:
    def told(source: Source) -> str:
        return f"{health.figures(source)} {health.shared_sentence(source)}"

    drawn = replace(source, faces=replace(faces, sources=np.full(N, "synthetic15")))
    assert "Suspected errors" in told(source) and "two files" in told(source)
    assert not any(word in told(drawn) for word in ("Suspected errors", "file,", "one published"))
    assert "exact" in told(drawn)
    mixed = replace(faces, sources=np.array(["synthetic15", "kaggle"] * (N // 2)))
    assert "Suspected errors" in told(replace(source, faces=mixed))


def test_faces_are_filtered_by_label_split_text_note_and_selection(source: Source) -> None:
    assert rows(source, show=choice.without("mouth_left_corner")) == list(range(COMPLETE, N))
    assert rows(source, show=choice.without("nose_tip")) == []
    assert rows(source, split="test") == [1, 3]
    assert rows(source, find="FACE_59") == [59]
    assert rows(source, find="person_4") == [8, 9]
    assert rows(source, group="person_4") == [8, 9]
    assert rows(source, Notes(flags=frozenset({5, 2})), show=choice.FLAGGED) == [2, 5]
    assert rows(source, Notes(corrections={3: faces_of(source, 3)}), show=choice.CORRECTED) == [3]
    assert rows(source, show=choice.SELECTED, selection=(9, 4)) == [4, 9]


def faces_of(source: Source, row: int) -> np.ndarray:
    return source.faces.points_px[row] + 1


def test_any_score_can_be_bounded(source: Source) -> None:
    turn = source.quality.measures["turn"]
    low, high = np.nanquantile(turn, [0.3, 0.6])
    chosen = rows(source, sort="turn", low=low, high=high)
    assert sorted(chosen) == np.flatnonzero((turn >= low) & (turn <= high)).tolist()
    assert 0 < len(chosen) < N
    assert rows(source, low=1e9) == list(range(N))  # bounds are of the measure that is sorted by


def test_a_threshold_that_is_moved_moves_what_is_shown(source: Source) -> None:
    brightness = source.quality.measures["brightness"]
    limit = float(np.median(brightness))
    assert rows(source, show="bright", threshold=limit) == np.flatnonzero(brightness >= limit).tolist()


def test_faces_come_in_the_order_of_a_measure_and_those_without_it_last(source: Source) -> None:
    measures = dict(source.quality.measures)
    measures["turn"] = np.arange(N)[::-1].astype(float)
    measures["turn"][10] = np.nan
    changed = replace(source, quality=replace_measures(source.quality, measures))
    assert rows(changed, sort="turn", order=choice.LOWEST)[:2] == [59, 58]
    assert rows(changed, sort="turn", order=choice.HIGHEST)[:2] == [0, 1]
    for order in (choice.LOWEST, choice.HIGHEST):
        assert rows(changed, sort="turn", order=order)[-1] == 10


def replace_measures(quality: Quality, measures: dict[str, np.ndarray]) -> Quality:
    return replace(quality, measures=measures)


def test_the_table_per_keypoint_names_what_is_missing_most(faces: Dataset) -> None:
    found = labels.keypoint_table(faces).set_index("name")
    assert found.loc["nose_tip", "missing"] == 0
    assert found.loc["mouth_left_corner", "missing"] == N - COMPLETE
    assert found.loc["mouth_left_corner", "x"] == pytest.approx(np.nanmean(faces.points_px[:, 11, 0]))


def test_a_row_chosen_among_68_points_is_not_looked_for_among_15(faces: Dataset) -> None:
    def page() -> None:
        import streamlit as st

        from fkd.ui.explore import labels

        labels._show_table(st.session_state.faces)

    app = AppTest.from_function(page)
    app.session_state.faces = replace(faces, schema=IBUG68, points_px=np.zeros((len(faces), 68, 2), np.float32))
    of_68 = app.run().dataframe[0].proto.id  # by which a browser keeps what was chosen
    app.session_state.faces = faces
    assert app.run().dataframe[0].proto.id != of_68


def test_the_matrix_shows_gaps_where_they_are_in_the_file(faces: Dataset) -> None:
    (heatmap,) = labels.matrix_figure(faces).data
    shares = dict(zip(heatmap.y, np.asarray(heatmap.z), strict=True))
    assert shares["mouth_left_corner"].tolist() == [0.0] * COMPLETE + [1.0] * (N - COMPLETE)
    assert not shares["nose_tip"].any()


def test_two_labellers_differ_by_habit_and_not_by_where_the_face_is(faces: Dataset) -> None:
    points_px = faces.points_px.copy()
    points_px[COMPLETE:] = points_px[COMPLETE:] * 0.8 + 9  # another framing of the same faces
    same = labels.compare_labellers(replace(faces, points_px=points_px))
    points_px[COMPLETE:, KEPT[2], 1] += 8  # and the nose tip put lower
    other = labels.compare_labellers(replace(faces, points_px=points_px))
    assert same is not None
    assert other is not None
    assert same["name"].tolist() == [KAGGLE15.keypoints[i] for i in KEPT]
    assert same["offset"].max() < 2
    assert other["offset"].max() > 8
    assert labels.compare_labellers(faces.subset(faces.complete)) is None


def test_invented_points_are_magenta_and_true_ones_green(faces: Dataset) -> None:
    known = np.arange(15) < 5
    marked = labels.mark_invented(np.zeros((96, 96), np.uint8), faces.points_px[0], known)
    for point, is_known in zip(faces.points_px[0], known, strict=True):
        x, y = ((point + 0.5) * 400 / 96 - 0.5).round().astype(int)
        assert (marked[y, x, 1] > marked[y, x, 0]) == is_known


def test_alignment_removes_shift_turn_and_size(faces: Dataset) -> None:
    angle = np.radians(20)
    turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points_px = faces.points_px.copy()
    points_px[::2] = points_px[::2] @ turn.T + (5, -9)
    changed = cloud.aligned_cloud(replace(faces, points_px=points_px.astype(np.float32)))
    plain = cloud.aligned_cloud(faces)
    spread = np.nanstd(changed.points_px, axis=0).mean()
    assert spread == pytest.approx(np.nanstd(plain.points_px, axis=0).mean(), rel=0.1)
    assert changed.mean_u8.shape == (240, 240)


def test_the_cloud_names_each_keypoint_with_its_count(faces: Dataset) -> None:
    chosen = [KEPT[2], 11]
    figure = cloud.cloud_figure(faces, cloud.raw_cloud(faces), chosen, [cloud.POINTS, cloud.ELLIPSES, cloud.DENSITY])
    told = {trace.name: trace.hovertemplate for trace in figure.data if trace.name and not trace.showlegend}
    told = {name: text for name, text in told.items() if text}
    assert {trace.name for trace in figure.data if trace.showlegend is None and trace.legendgroup} == {"Nose", "Mouth"}
    assert set(told) == {"nose_tip", "mouth_left_corner"}
    assert "60 labels" in told["nose_tip"]
    assert "36 labels" in told["mouth_left_corner"]


def test_an_ellipse_holds_95_percent_of_a_gaussian() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (20_000, 2)) @ np.array([[3.0, 1.0], [0.0, 0.5]]) + (10, -4)
    outline = cloud.ellipse(points).astype(np.float32)
    inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) > 0 for x, y in points[:4000]]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_augmented_points_stay_on_what_they_name(faces: Dataset) -> None:
    settings = Augmentation(rotation_deg=25, scale=0.2, mirror=True)
    seen = set()
    for seed in range(6):
        picture, points_px, mirrored = augmentation.augment_face(faces, 0, settings, seed)
        seen.add(mirrored)
        inside = points_px[((points_px > 3) & (points_px < 92)).all(axis=1)]
        spots = [picture[round(float(y)), round(float(x))] for x, y in inside]
        assert len(spots) >= 10
        assert np.median(spots) > 225  # each label stands on a white disc
        assert points_px[0, 0] > points_px[1, 0]  # the subject's left eye stays to the right of the other
    assert seen == {True, False}


def test_without_any_transform_a_face_stays_as_it_is(faces: Dataset) -> None:
    picture, points_px, mirrored = augmentation.augment_face(faces, 3, Augmentation(), 0)
    assert not mirrored
    np.testing.assert_allclose(points_px, faces.points_px[3], atol=1e-3)
    assert np.abs(picture.astype(int) - faces.images_u8[3]).max() <= 1


def test_the_table_of_the_chosen_faces_is_in_their_order_with_scores_and_corrected_points(source: Source) -> None:
    to_source = np.tile(np.array([[2.0, 0, 10], [0, 2.0, 20]]), (N, 1, 1))
    there = replace(source, faces=replace(source.faces, to_source=to_source))
    corrected = there.faces.points_px[4].copy()
    corrected[KEPT[2]] = (50, 60)
    noted = Notes(flags=frozenset({9}), corrections={4: corrected})
    lines = list(csv.DictReader(io.StringIO(table.faces_csv(there, noted, np.array([9, 4, 40])).decode())))
    assert [line["row"] for line in lines] == ["face_9", "face_4", "face_40"]
    assert [line["flagged"] for line in lines] == ["True", "False", "False"]
    assert (float(lines[1]["nose_tip_x"]), float(lines[1]["nose_tip_y"])) == (110, 140)
    assert lines[2]["mouth_left_corner_x"] == ""
    for measure, values in source.quality.measures.items():
        assert float(lines[0][measure] or "nan") == pytest.approx(values[9], abs=1e-4, nan_ok=True)


def test_a_face_is_told_in_pixels_of_its_source_where_the_table_has_them_too(source: Source) -> None:
    there = replace(
        source, faces=replace(source.faces, to_source=np.tile(np.array([[2.0, 0, 10], [0, 2, 20]]), (N, 1, 1)))
    )
    (trace,) = face.face_figure(there, Notes(), 0, names=False, expected=False).data
    numbers = face.points_table(there, Notes(), 0)
    np.testing.assert_allclose(trace.customdata, numbers[["x", "y"]], atol=1e-3)
    np.testing.assert_allclose(trace.customdata, 2 * source.faces.points_px[0] + (10, 20), atol=1e-3)


def test_the_view_stays_on_the_picture_wherever_the_points_are(source: Source) -> None:
    points_px = source.faces.points_px.copy()
    points_px[0, 3] = 99_999
    there = replace(source, faces=replace(source.faces, points_px=points_px))
    figure = face.face_figure(there, Notes(), 0, names=True, expected=False)
    assert sorted(figure.layout.xaxis.range) == sorted(figure.layout.yaxis.range) == [-0.5, 95.5]
    for axis in (figure.layout.xaxis, figure.layout.yaxis):
        assert (axis.minallowed, axis.maxallowed) == (-96, 192)  # a double click shows no more


def test_the_first_rows_are_those_of_the_source(faces: Dataset) -> None:
    first = table.first_rows(faces, 5)
    assert first.shape == (5, 31)
    assert list(first.columns[:30]) == list(COORDINATES)
    assert first.loc["face_0", "nose_tip_y"] == pytest.approx(faces.points_px[0, 10, 1], abs=1e-3)
    columns = table.column_types(faces).set_index("name")
    assert columns.loc["Image", "type"] == "uint8, 96 × 96"
    assert columns.loc["nose_tip_x", "values"] == N
    assert columns.loc["mouth_left_corner_y", "values"] == COMPLETE


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("17", "17"),
        ("training/Joan_Evans_21.jpg", "Evans_21"),
        ("lfpw_image_0001.png", "image_0001"),
        ("a/Bartholomew_1.png", "…holomew_1"),
        ("averylongname.jpg", "…ylongname"),
    ],
)
def test_a_small_picture_is_called_by_as_many_whole_words_as_fit(source: Source, name: str, short: str) -> None:
    called = replace(source, faces=replace(source.faces, rows=np.array([name] * N)))
    assert called.short_name(0) == short


@pytest.fixture
def app(faces: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page over a folder with the drawn faces in Kaggle's layout."""
    folder = tmp_path / "data" / "kaggle"
    folder.mkdir(parents=True)
    with (folder / "training.csv").open("w") as file:
        file.write(",".join((*COORDINATES, "Image")) + "\n")
        for points, image in zip(faces.points_px, faces.images_u8, strict=True):
            numbers = ["" if np.isnan(value) else f"{value:.3f}" for value in points.ravel()]
            file.write(",".join(numbers) + "," + " ".join(map(str, image.ravel())) + "\n")
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    return _open_page(tmp_path, monkeypatch)


def _open_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, patience_s: float = 240) -> AppTest:
    monkeypatch.setenv("FKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FKD_NOTES", str(tmp_path / "notes"))
    monkeypatch.setenv("FKD_WEIGHTS", str(tmp_path / "none"))  # a regression judges in a moment
    monkeypatch.setattr("fkd.ui.explore.source._PATIENCE_S", patience_s)
    st.cache_resource.clear()
    st.cache_data.clear()
    app = AppTest.from_file(str(PROJECT_ROOT / "pages" / "explore.py"), default_timeout=240)
    app.session_state["frame.is_up"] = True
    return app.run()


def press(app: AppTest, label: str) -> AppTest:
    return next(button for button in app.button if button.label == label).click().run()


def pictures(app: AppTest) -> int:
    return len([button for button in app.button if str(button.key).startswith("face.")])


def test_a_figure_of_the_strip_opens_the_faces_behind_it(app: AppTest) -> None:
    assert not app.exception
    assert {metric.label: metric.value for metric in app.metric}["Duplicates"] == "2"
    assert pictures(app) == 27
    app.segmented_control(key=keys.SECTION).set_value(keys.TABLE).run()
    app.button(key="strip.near duplicate").click().run()
    assert app.segmented_control(key=keys.SECTION).value == keys.FACES
    assert pictures(app) == 2


def test_every_section_opens(app: AppTest) -> None:
    for section in keys.SECTIONS:
        app.segmented_control(key=keys.SECTION).set_value(section).run()
        assert not app.exception, section
        assert not app.error, section


def test_next_and_previous_follow_the_filter_and_the_address_names_the_face(app: AppTest) -> None:
    app.button(key="strip.near duplicate").click().run()
    app.button(key=f"face.{ORIGINAL}").click().run()
    assert app.query_params[keys.FACE] in (str(ORIGINAL), [str(ORIGINAL)])
    press(app, "Next" if not _disabled(app, "Next") else "Previous")
    assert app.query_params[keys.FACE] in (str(COPY), [str(COPY)])
    press(app, "All of them")
    assert keys.FACE not in app.query_params
    assert pictures(app) == 2


def _disabled(app: AppTest, label: str) -> bool:
    return next(button for button in app.button if button.label == label).disabled


def test_a_flag_is_kept_on_disk_and_found_by_the_next_visitor(app: AppTest, tmp_path: Path) -> None:
    app.button(key="face.0").click().run()
    press(app, "Flag for review")
    assert (tmp_path / "notes" / "kaggle.csv").read_text().splitlines()[1].startswith("0,kaggle,flag")
    visitor = AppTest.from_file(str(PROJECT_ROOT / "pages" / "explore.py"), default_timeout=240)
    visitor.session_state["frame.is_up"] = True
    visitor.run()
    visitor.selectbox(key=keys.SHOW).set_value(choice.FLAGGED).run()
    assert pictures(visitor) == 1


def test_a_place_that_cannot_be_written_is_told_and_the_page_stays(app: AppTest, tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("a file where the folder should be")
    app.button(key="face.0").click().run()
    press(app, "Flag for review")
    assert any("FKD_NOTES" in error.value for error in app.error)
    assert not app.exception
    press(app, "All of them")
    assert pictures(app) == 27


def test_a_moved_threshold_belongs_to_its_filter(app: AppTest) -> None:
    app.selectbox(key=keys.SHOW).set_value("bright").run()
    app.number_input(key=keys.THRESHOLD).set_value(0).run()
    assert pictures(app) == 27
    app.selectbox(key=keys.SHOW).set_value("dark").run()
    assert app.number_input(key=keys.THRESHOLD).value == 50


def test_a_group_shows_its_people_alone(app: AppTest) -> None:
    group = app.selectbox(key=keys.GROUP)
    group.set_value(group.options[1]).run()
    assert pictures(app) == 2


def test_without_data_synthetic_faces_are_shown_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, faces: Dataset
) -> None:
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "nothing"))
    monkeypatch.setattr("fkd.data.synthetic.synthetic_dataset", lambda *_: faces)
    app = _open_page(tmp_path, monkeypatch)
    assert not app.exception
    assert any("synthetic" in text.value for text in app.markdown)
    assert pictures(app) == 27


def test_faces_are_judged_anew_when_their_judge_was_replaced(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Dataset] = []
    written = {"mine": 1}
    monkeypatch.setattr("fkd.ui.explore.source.judge_of", lambda schema: "mine")
    monkeypatch.setattr("fkd.ui.explore.source.written_ns", written.__getitem__)
    monkeypatch.setattr("fkd.ui.explore.source.quality_of", lambda faces: asked.append(faces) or measure_quality(faces))
    for time_ns, times in ((1, 1), (1, 1), (2, 2)):
        written["mine"] = time_ns
        app.run()
        assert len(asked) == times


def test_faces_are_shown_while_they_are_still_being_judged(
    app: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = threading.Event()
    judge = quality_of

    def late(faces: Dataset) -> Quality:
        assert judged.wait(240)
        return judge(faces)

    monkeypatch.setattr("fkd.ui.explore.source.quality_of", late)
    early = _open_page(tmp_path, monkeypatch, patience_s=0)
    try:
        values = {metric.label: metric.value for metric in early.metric}
        assert (values["Labels missing"], values["Duplicates"], values["Suspected errors"]) == (str(24 * 12), "…", "…")
        assert pictures(early) == 27
        for section in keys.SECTIONS:
            early.segmented_control(key=keys.SECTION).set_value(section).run()
            assert not early.exception, section
        early.query_params[keys.FACE] = "3"
        early.segmented_control(key=keys.SECTION).set_value(keys.FACES).run()
        assert not early.exception
        assert any("not judged yet" in text.value for text in early.caption)
    finally:
        judged.set()
    monkeypatch.setattr("fkd.ui.explore.source._PATIENCE_S", 240)
    deadline = time.monotonic() + 240
    while early.metric[3].value == "…" and time.monotonic() < deadline:
        early.run()
    assert {metric.label: metric.value for metric in early.metric}["Duplicates"] == "2"


class TestOutlines:
    def test_a_box_takes_exactly_the_faces_in_it_whether_drawn_or_not(self, source: Source) -> None:
        brightness, contrast = (source.quality.measures[name] for name in ("brightness", "contrast"))
        x, y = np.quantile(brightness, [0.2, 0.7]), np.quantile(contrast, [0.1, 0.8])
        picked = distributions.outlined_rows(
            source, "brightness", "contrast", {"box": [{"x": x[::-1].tolist(), "y": y.tolist()}], "lasso": []}
        )
        inside = (brightness >= x[0]) & (brightness <= x[1]) & (contrast >= y[0]) & (contrast <= y[1])
        assert 0 < len(picked) < N
        assert picked == np.flatnonzero(inside).tolist()

    def test_a_lasso_takes_what_opencv_finds_inside_it(self, source: Source) -> None:
        measures = source.quality.measures
        places = np.stack([measures["brightness"], measures["contrast"]], axis=1)
        (x0, y0), (x1, y1) = places.min(axis=0), places.max(axis=0)
        notched = np.array([[x0, y0 - 1], [x1, y0 - 1], [(x0 + x1) / 2, (y0 + y1) / 2], [x1, y1 + 1], [x0, y1 + 1]])
        picked = distributions.outlined_rows(
            source, "brightness", "contrast", {"box": [], "lasso": [{"x": notched[:, 0], "y": notched[:, 1]}]}
        )
        outline = notched.astype(np.float32)
        inside = [cv2.pointPolygonTest(outline, (float(x), float(y)), False) > 0 for x, y in places]
        assert 0 < sum(inside) < N
        assert set(picked) ^ set(np.flatnonzero(inside)) <= {int(places[:, 0].argmin())}  # which lies on the outline

    def test_of_many_faces_some_are_drawn_from_the_first_to_the_last(
        self, source: Source, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(distributions, "_MOST_DOTS", 7)
        drawn = distributions.drawn_rows(source, "brightness", "contrast")
        assert len(set(drawn.tolist())) == 7
        assert (drawn[0], drawn[-1]) == (0, N - 1)


@pytest.mark.parametrize(
    "address",
    [
        {keys.SHOW: "missing labels"},
        {keys.SHOW: "nonsense", keys.SORT: "nonsense", keys.ORDER: "up", keys.GROUP: "nobody", keys.PAGE: "9999"},
        {keys.SECTION: "nonsense", keys.FACE: "x", keys.DATA: "../elsewhere"},
        {keys.FACE: "9999", keys.THRESHOLD: "much", keys.LOW: "", keys.SPLIT: "test"},
    ],
)
def test_an_address_of_unknown_values_falls_back(app: AppTest, address: dict[str, str]) -> None:
    fresh = AppTest.from_file(str(PROJECT_ROOT / "pages" / "explore.py"), default_timeout=240)
    fresh.session_state["frame.is_up"] = True
    fresh.query_params.update(address)
    fresh.run()
    assert not fresh.exception
    assert not fresh.error
    assert pictures(fresh) == 27
