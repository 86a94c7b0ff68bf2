import numpy as np
import pytest

from fkd.data import load_dataset
from fkd.metrics import FaceErrors, auc, face_nme, rmse_px, summarise
from fkd.schema import IBUG68, KAGGLE15


@pytest.fixture
def truth():
    points = np.random.default_rng(0).uniform(20, 80, (6, 15, 2))
    points[:, 3], points[:, 5] = (75, 30), (25, 30)  # eye distance 50
    return points


def test_nme_is_in_eye_distances(truth):
    np.testing.assert_allclose(face_nme(np.add(truth, (3, 4)), truth, KAGGLE15), 5 / 50)


def test_nme_does_not_depend_on_scale(truth):
    predicted = truth + np.random.default_rng(1).normal(0, 2, truth.shape)
    np.testing.assert_allclose(face_nme(predicted, truth, KAGGLE15), face_nme(predicted * 3, truth * 3, KAGGLE15))


def test_rmse_is_over_coordinates_and_leaves_gaps_out(truth):
    assert rmse_px(np.add(truth, (3, 4)), truth) == pytest.approx(np.sqrt((9 + 16) / 2))
    with_gap, predicted = truth.copy(), np.add(truth, (3, 4))
    with_gap[0, 0], predicted[0, 0] = np.nan, 1000
    assert rmse_px(predicted, with_gap) == pytest.approx(np.sqrt((9 + 16) / 2))


def test_argmax_accuracy_counts_faces_whose_largest_coordinate_agrees(truth):
    predicted = truth.copy()
    predicted[:2, 14] = (0, 500)
    truth[:, 0] = (400, 0)
    predicted[:, 0] = (400, 0)
    predicted[5, 14] = (0, 500)  # a face with a gap is not counted
    truth[5, 7] = np.nan
    assert summarise(predicted, truth, KAGGLE15)["argmax_accuracy"] == pytest.approx(100 * 3 / 5, abs=1e-3)


@pytest.mark.parametrize(("errors", "expected"), [([0, 0], 1), ([0.08, 0.2], 0), ([0.04], 0.5), ([0, 0.08], 0.5)])
def test_auc(errors, expected):
    assert auc(np.array(errors, float)) == pytest.approx(expected)


def test_summary_of_fifteen(truth):
    predicted = truth.copy()
    predicted[0] += [3, 4]  # 10 %
    summary = summarise(predicted, truth, KAGGLE15)
    assert summary["nme"] == pytest.approx(10 / 6, abs=1e-3)
    assert summary["fr8"] == pytest.approx(100 / 6, abs=1e-3)
    assert summary["nme_median"] == 0
    assert set(summary["nme_by_group"]) == set(KAGGLE15.groups)
    assert len(summary["nme_by_keypoint"]) == 15


def test_rmse_of_sixty_eight_is_on_a_face_of_96_pixels():
    truth = np.random.default_rng(2).uniform(0, 192, (1, 68, 2))
    truth[0, 0], truth[0, 1] = (0, 0), (192, 192)
    assert summarise(np.add(truth, (2, 2)), truth, IBUG68)["rmse_px"] == pytest.approx(1.0)


@pytest.mark.parametrize(("schema", "side"), [(KAGGLE15, 96), (IBUG68, 208)])
def test_the_errors_that_are_kept_give_the_figures_of_the_points(schema, side):
    """RMSE comes from coordinates, and what is kept are distances."""
    rng = np.random.default_rng(3)
    truth = rng.uniform(0, side, (5, len(schema), 2))
    predicted = truth + rng.normal(0, 2, truth.shape)
    truth[0, 1], truth[3, 8] = np.nan, np.nan
    kept = FaceErrors.measure(predicted, truth, schema)
    scale = 96 / np.ptp(truth[1:2], axis=1).max() if schema is IBUG68 else 1.0
    one = kept.subset([1]).summary(schema)
    assert one["rmse_px"] == pytest.approx(scale * rmse_px(predicted[1:2], truth[1:2]), abs=1e-4)
    assert kept.complete.tolist() == [False, True, True, False, True]
    np.testing.assert_allclose(kept.nme, face_nme(predicted, truth, schema))


@pytest.mark.data
def test_the_floor_is_the_published_one():
    """The constant mean of Kaggle's complete rows scores 3.18 px and 70.6 %, better than one published network."""
    faces = load_dataset("kaggle")
    truth = faces.points_px[faces.complete]
    floor = summarise(np.broadcast_to(truth.mean(axis=0), truth.shape), truth, KAGGLE15)
    assert floor["rmse_px"] == pytest.approx(3.18, abs=0.01)
    assert floor["argmax_accuracy"] == pytest.approx(70.6, abs=0.5)
