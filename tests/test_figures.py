"""Pictures of results: what is drawn where, in which colours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.evaluation.figures import _log_ticks, _ticks, _within, chosen_rows, keypoints_figure, loss_figure
from fkd.schema import PREDICTION_COLOUR, TRUTH_COLOUR
from tests.drawn import drawn_faces

TRAIN_COLOUR, VALIDATION_COLOUR = "#0072B2", "#D55E00"


def pixels_of(figure, colour):
    """(n, 2) x, y of the pixels of a colour, or nearly: lines are smoothed."""
    difference = figure.astype(int) - np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)
    return np.argwhere((np.abs(difference) < 30).all(axis=-1))[:, ::-1]


@pytest.fixture
def faces():
    faces = drawn_faces()
    return faces.subset(faces.complete)


def test_truth_is_green_and_prediction_magenta_to_the_right_of_it(faces):
    one = faces.subset(np.array([0]))
    figure = keypoints_figure(one, np.add(one.points_px, [4, 0]), "title")
    grid = figure[86:]  # below the legend
    truth, prediction = (pixels_of(grid, colour) for colour in (TRUTH_COLOUR, PREDICTION_COLOUR))
    assert len(truth) > 200 and len(prediction) > 200
    shift = prediction.mean(axis=0) - truth.mean(axis=0)
    assert shift[0] > 10 and abs(shift[1]) < 4


def test_a_perfect_prediction_covers_the_truth(faces):
    figure = keypoints_figure(faces, faces.points_px, "title")
    assert len(pixels_of(figure[86:], TRUTH_COLOUR)) == 0 < len(pixels_of(figure[86:], PREDICTION_COLOUR))


def test_cells_stay_within_the_picture_and_are_the_same_for_all_weights(faces):
    faces.points_px[:] += 30 - faces.points_px.max(axis=(1, 2), keepdims=True)  # up to the lower right corner
    squares = _within(faces)
    assert (squares[:, :2] >= -0.5).all() and (squares[:, 2:] <= 31.5).all()
    assert (squares[:, :2] <= faces.points_px.min(axis=1)).all() and (
        squares[:, 2:] >= faces.points_px.max(axis=1)
    ).all()


@given(st.integers(1, 5000))
def test_the_faces_shown_are_spread_over_all(n):
    rows = chosen_rows(n)
    assert len(rows) == min(n, 12) == len(set(rows.tolist()))
    assert rows[0] == 0 and rows[-1] == n - 1


@pytest.mark.parametrize("n", [1, 3, 12])
def test_the_grid_grows_with_the_faces(faces, n):
    figure = keypoints_figure(faces.subset(np.arange(n)), faces.points_px[:n], "title")
    assert figure.shape[0] > -(-n // 4) * 280 and figure.shape[1] > min(n, 4) * 280


HISTORY = {
    "epoch": [1, 2, 3, 4],
    "train_loss": [1.0, 0.1, 0.05, 0.01],
    "validation_nme": [6.0, 5.0, 4.0, 5.0],
    "validation_rmse_px": [3.0, 2.0, None, 2.0],
}


def test_a_panel_for_each_figure_that_was_recorded():
    full = loss_figure(HISTORY, "title")
    without = loss_figure({key: HISTORY[key] for key in ("epoch", "train_loss")}, "title")
    assert full.shape[1] - without.shape[1] == 2 * 460
    assert len(pixels_of(full, TRAIN_COLOUR)) > 100 and len(pixels_of(full, VALIDATION_COLOUR)) > 100


def test_a_falling_loss_falls_and_a_rising_one_rises():
    def slope(losses):
        figure = loss_figure({"epoch": [1, 2, 3], "train_loss": losses}, "title")
        x, y = pixels_of(figure[90:], TRAIN_COLOUR).T
        return np.polyfit(x, -y, 1)[0]

    assert slope([1.0, 0.5, 0.2]) < -0.1 and slope([0.2, 0.5, 1.0]) > 0.1
    assert slope([100.0, 1.0, 0.01]) < -0.1  # logarithmic


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.5], [0.0, 1.0], [None, 0.3]])
def test_odd_histories_are_drawn(losses):
    figure = loss_figure({"epoch": list(range(1, len(losses) + 1)), "train_loss": losses}, "title")
    assert len(pixels_of(figure[84:], TRAIN_COLOUR)) > 0


@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4))
def test_ticks_enclose_a_range(low, width):
    ticks = _ticks(low, low + width)
    assert 2 <= len(ticks) <= 9
    assert ticks[0] <= low + 1e-6 * width and ticks[-1] >= low + width * (1 - 1e-6)


@given(st.floats(1e-6, 1e3), st.floats(8, 1e6))
def test_logarithmic_ticks_enclose_a_range(low, ratio):
    ticks = _log_ticks(low, low * ratio)
    assert ticks[0] <= low * (1 + 1e-9) and ticks[-1] >= low * ratio * (1 - 1e-9)
    assert ticks == sorted(ticks) and len(ticks) <= 12
