"""What is wrong with faces is found: planted errors of five kinds, light, copies, order, and size."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.cli import main
from fkd.crop import transform
from fkd.curation import judge_of, quality_of
from fkd.data import is_available, load_dataset
from fkd.data.dataset import Dataset
from fkd.data.duplicates import most_alike
from fkd.data.quality import CHECKS, REGRESSION, measure_quality, suspicion_of
from fkd.data.shape import score_shapes, similarity
from fkd.errors import FkdError
from fkd.evaluation.planted import ALL_KINDS, KINDS, Finding, measure_finding, plant


@pytest.fixture(scope="module")
def synthetic():
    return load_dataset("synthetic15")


class TestPlantedErrors:
    @pytest.mark.parametrize(
        "name",
        [
            "synthetic15",
            "synthetic68",
            *(pytest.param(n, marks=[pytest.mark.data, pytest.mark.long]) for n in ("kaggle", "portraits68")),
            pytest.param("youtube_faces", marks=[pytest.mark.data, pytest.mark.long]),
        ],
    )
    def test_nine_of_ten_of_every_kind_are_among_the_first_eighty(self, name):
        if not is_available(name):
            pytest.skip(f"{name} is not under FKD_DATA")
        dataset = load_dataset(name)
        if judge_of(dataset.schema.name) is None:
            pytest.skip(f"no shipped weights of {dataset.schema.name}")
        findings = measure_finding(dataset, seeds=(1, 2))
        assert [finding.kind for finding in findings] == [*KINDS, ALL_KINDS]
        assert {f.kind: f.found for f in findings if f.found < 0.9 * f.planted} == {}

    def test_without_weights_whole_faces_are_still_found(self, synthetic):
        planted, rows = plant(synthetic, np.random.default_rng(1))
        quality = measure_quality(planted)
        assert quality.judge == REGRESSION
        whole = [row for i, row in enumerate(rows) if list(KINDS)[i % len(KINDS)] in ("shifted", "mirrored")]
        assert np.isin(whole, quality.ranking()[:80]).sum() >= 0.9 * len(whole)

    @pytest.mark.parametrize("kind", KINDS)
    def test_each_kind_is_what_it_is_called(self, synthetic, kind):
        planted, rows = plant(synthetic, np.random.default_rng(3), [kind])
        others = np.setdiff1d(np.arange(len(synthetic)), rows)
        np.testing.assert_array_equal(planted.points_px[others], synthetic.points_px[others])
        moved = np.linalg.norm(planted.points_px[rows] - synthetic.points_px[rows], axis=2)
        sides = np.ptp(synthetic.points_px[rows], axis=1).max(axis=1)
        touched = (moved > 0.01).sum(axis=1)
        match kind:
            case "swapped":
                assert (touched == 2).all()
            case "shifted":
                np.testing.assert_allclose(moved, np.repeat(0.12 * sides[:, None], 15, axis=1), rtol=1e-3)
            case "one point":
                assert (touched == 1).all()
                np.testing.assert_allclose(moved.max(axis=1), 0.12 * sides, rtol=1e-3)
            case "another face":
                known = {points.tobytes() for points in synthetic.points_px}
                assert all(points.tobytes() in known for points in planted.points_px[rows])
                assert (touched > 10).all()
            case "mirrored":
                np.testing.assert_array_equal(planted.images_u8[rows], synthetic.images_u8[rows][:, :, ::-1])
                left, right = (synthetic.schema.keypoints.index(f"{side}_eye_center") for side in ("left", "right"))
                assert (planted.points_px[rows, left, 0] < planted.points_px[rows, right, 0]).all()
        assert np.array_equal(planted.images_u8, synthetic.images_u8) == (kind != "mirrored")

    def test_too_few_faces_to_plant_in_are_told(self, synthetic):
        with pytest.raises(FkdError, match="has 40 complete faces; to plant 40 wrong labels, it needs more"):
            measure_finding(synthetic.subset(np.arange(40)))

    def test_a_network_that_is_sure_counts_for_more_than_one_that_guesses(self, synthetic):
        expected_px = judged(synthetic)
        sure, unsure = np.arange(len(synthetic)) % 2 == 0, np.arange(len(synthetic)) % 2 == 1
        expected_px[unsure] += np.random.default_rng(1).normal(0, 3, expected_px[unsure].shape)
        points_px = synthetic.points_px.copy()
        wrong = np.flatnonzero(sure)[:10]
        points_px[wrong, 10] += 8
        scores = np.where(sure, 0.9, 0.3)[:, None] * np.ones(15)

        def found(scores):
            return np.isin(wrong, np.argsort(-suspicion_of(points_px, expected_px, scores))[:10]).sum()

        assert found(scores) == 10
        assert found(None) < 5

    @pytest.mark.parametrize("n", [12, 20, 24, 40])
    def test_among_few_faces_one_gross_error_hides_no_other(self, synthetic, n):
        few = synthetic.subset(np.arange(n))
        clean, spoilt = few.points_px, few.points_px.copy()
        spoilt[3] += 0.12 * np.ptp(clean[3], axis=0).max()
        spoilt[8] = 95 - clean[8]
        suspicion = suspicion_of(spoilt, judged(few))
        assert sorted(np.argsort(-suspicion)[:2]) == [3, 8]
        assert (suspicion[[3, 8]] >= 1).all()
        assert (np.delete(suspicion, [3, 8]) >= 1).sum() <= 1
        assert (suspicion_of(clean, judged(few)) >= 1).sum() <= 1

    def test_what_is_expected_of_every_face_may_be_certain_alike_or_unknown(self, synthetic):
        expected_px = judged(synthetic)
        plain = suspicion_of(synthetic.points_px, expected_px, np.ones((len(synthetic), 15)))
        assert np.isfinite(plain).all()
        expected_px[3] = np.nan
        scores = np.where(np.isfinite(expected_px[..., 0]), 0.5, np.nan)
        assert suspicion_of(synthetic.points_px, expected_px, scores)[3] == 0

    def test_the_moved_point_is_the_one_that_stands_out(self, synthetic):
        points = synthetic.points_px.copy()
        points[7, 10] += 0.12 * np.ptp(points[7], axis=0).max()
        scores = score_shapes(points).point_scores
        assert scores[7].argmax() == 10
        assert scores[7, 10] > np.quantile(scores, 0.99)


def judged(dataset: Dataset) -> np.ndarray:
    """What a network would expect that is off by half a pixel."""
    return dataset.points_px + np.random.default_rng(0).normal(0, 0.5, dataset.points_px.shape)


@pytest.fixture(scope="module")
def spoilt(synthetic):
    """Rows 0 to 6 each with one fault."""
    images, points = synthetic.images_u8.copy(), synthetic.points_px.copy()
    images[0] = images[0] // 6
    images[1] = 255 - (255 - images[1]) // 8
    images[2] = cv2.GaussianBlur(images[2], (0, 0), 6)
    images[3] = 120 + images[3] // 20
    images[5] = images[4]
    points[6, 0] = (-3, 40)
    points[6, [13, 14]] = points[6, [14, 13]]  # the lips
    to_source = synthetic.to_source.copy()
    to_source[7] *= 0.3
    points[8, 1:] = np.nan
    dataset = replace(synthetic, images_u8=images, points_px=points, to_source=to_source)
    return dataset, measure_quality(dataset, judged(synthetic), judge_name="a good judge")


class TestMeasures:
    @pytest.mark.parametrize(
        ("check", "rows"),
        [
            ("dark", [0]),
            ("bright", [1]),
            ("blurred", [2]),
            ("low contrast", [3]),
            ("exact copy", [4, 5]),
            ("near duplicate", [4, 5]),
            ("outside", [6]),
            ("wrong order", [6]),
            ("small", [7]),
            ("missing labels", [8]),
        ],
    )
    def test_a_fault_is_flagged(self, spoilt, check, rows):
        flagged = spoilt[1].flagged(check)
        assert flagged[rows].all()
        assert flagged.mean() < 0.1

    def test_a_threshold_can_be_moved(self, spoilt):
        _, quality = spoilt
        assert quality.flagged("dark", 0).sum() == 0
        assert quality.flagged("dark", 256).all()
        with pytest.raises(FkdError, match="known are"):
            quality.flagged("ugly")

    def test_twins_point_at_each_other(self, spoilt):
        assert spoilt[1].twins[[4, 5]].tolist() == [5, 4]

    def test_the_most_similar_other_face_is_found_whichever_comes_first(self):
        pictures = np.random.default_rng(0).integers(0, 256, (1300, 24, 24), np.uint8)  # more than are compared at once
        pictures[700] = pictures[3] // 2
        twins, correlations = most_alike(pictures)
        flat = pictures.reshape(len(pictures), -1).astype(np.float64)
        expected = np.corrcoef(flat)
        np.fill_diagonal(expected, -np.inf)
        np.testing.assert_array_equal(twins, expected.argmax(axis=1))
        np.testing.assert_allclose(correlations, expected.max(axis=1), atol=1e-3)
        assert twins[[3, 700]].tolist() == [700, 3]
        assert most_alike(pictures[:1])[1].tolist() == [0]

    def test_tilt_follows_a_turned_picture(self, synthetic):
        turned = np.rot90(synthetic.images_u8, -1, axes=(1, 2)).copy()
        points = np.stack([95 - synthetic.points_px[..., 1], synthetic.points_px[..., 0]], axis=-1)
        before = measure_quality(synthetic, judged(synthetic)).measures["tilt_deg"]
        after = measure_quality(replace(synthetic, images_u8=turned, points_px=points), points).measures["tilt_deg"]
        np.testing.assert_allclose((after - before) % 360, 90, atol=1e-3)

    def test_two_labellers_are_compared_among_themselves(self, synthetic):
        points = synthetic.points_px.copy()
        rows = np.arange(0, 400, 4)
        points[rows, 10, 1] += 8  # the second labeller puts the nose tip lower
        points[np.ix_(rows, [2, 3, 4, 5])] = np.nan
        suspicion = measure_quality(replace(synthetic, points_px=points), judged(synthetic)).ranking()[:80]
        assert 10 <= np.isin(suspicion, rows).sum() <= 40

    def test_a_label_with_one_coordinate_counts_as_missing(self, synthetic):
        halves, gaps = synthetic.points_px.copy(), synthetic.points_px.copy()
        halves[:5, 3, 0] = halves[5:9, 10, 1] = np.nan
        gaps[:5, 3] = gaps[5:9, 10] = np.nan
        judged, expected = (measure_quality(replace(synthetic, points_px=points)) for points in (halves, gaps))
        np.testing.assert_array_equal(judged.shape_points, expected.shape_points)
        np.testing.assert_array_equal(judged.measures["missing"], expected.measures["missing"])


class TestCuration:
    def test_computed_once_and_cached(self, synthetic, tmp_path, monkeypatch):
        monkeypatch.setenv("FKD_CACHE", str(tmp_path))
        first = quality_of(synthetic, None)
        monkeypatch.setattr("fkd.curation.measure_quality", None)  # would fail if it were called
        again = quality_of(synthetic, None)
        assert set(again.measures) >= {check.measure for check in CHECKS.values()}
        np.testing.assert_array_equal(again.ranking(), first.ranking())

    def test_changed_labels_are_measured_anew(self, synthetic, tmp_path, monkeypatch):
        monkeypatch.setenv("FKD_CACHE", str(tmp_path))
        quality_of(synthetic, None)
        points = synthetic.points_px.copy()
        points[0, 0] = np.nan
        assert quality_of(replace(synthetic, points_px=points), None).measures["missing"][0] == 1

    def test_proof_prints_what_is_found_of_every_kind(self, capsys, monkeypatch):
        told = [Finding(kind, 80, 75 + i) for i, kind in enumerate((*KINDS, ALL_KINDS))]
        asked = []
        monkeypatch.setattr("fkd.evaluation.planted.measure_finding", lambda *given: asked.append(given[1:]) or told)
        assert main(["data", "proof", "synthetic15", "--weights", "none", "--seeds", "2"]) == 0
        assert asked == [(None, range(1, 3))]
        lines = capsys.readouterr().out.splitlines()[1:]
        assert [line.split("  ")[1] for line in lines] == [*KINDS, ALL_KINDS]
        assert all(f"{75 + i} of 80" in line for i, line in enumerate(lines))

    def test_info_prints_every_check(self, capsys):
        assert main(["data", "info", "synthetic15", "--quality", "--weights", "none"]) == 0
        shown = capsys.readouterr().out
        assert all(name in shown for name in CHECKS)
        assert "400 faces have all 15 points" in shown


@given(st.floats(-3, 3), st.floats(0.1, 5), st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 99))
def test_a_similarity_is_recovered(angle, scale, x, y, seed):
    points = np.random.default_rng(seed).normal(size=(1, 6, 2))
    points[0, 2] = np.nan
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    matrix = np.array([[[cos, -sin, x], [sin, cos, y]]])
    np.testing.assert_allclose(similarity(points, transform(points, matrix)), matrix, atol=1e-8)
