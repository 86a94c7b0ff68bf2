"""What the choices of the Models page make of each other, from stored results, without a browser and any face."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from fkd.evaluation.leaderboard import read_results
from fkd.evaluation.standing import held_out, standing
from fkd.paths import PROJECT_ROOT
from fkd.ui.models import board, details, figures, worst
from fkd.weights import list_weights, read_card

ON_TWO, OTHER = "ibug68", "kaggle15"

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The page as on a machine that has every dataset."""
    monkeypatch.setenv("FKD_DATA", str(tmp_path))
    measured = [data for name in list_weights() for data in standing(name)]
    monkeypatch.setattr(
        worst, "available_names", lambda: list(dict.fromkeys(["synthetic68", "synthetic15", *measured]))
    )
    monkeypatch.setattr(worst, "signature", lambda name: name)
    page = AppTest.from_file(str(PROJECT_ROOT / "pages" / "models.py"), default_timeout=60)
    page.session_state["frame.is_up"] = True
    return page


def choices(app: AppTest) -> tuple[str, str, str]:
    """The weights, the dataset whose figures are shown, and the one for the worst faces."""
    assert not app.exception
    weights, faces = app.selectbox
    asked = [control.value for control in app.segmented_control if control.label == "Measured on"]
    (only, *_) = standing(weights.value)
    return weights.value, (asked or [only])[0], faces.value


def test_the_details_follow_the_dataset_of_the_board(app: AppTest) -> None:
    first, second = standing(ON_TWO)
    assert choices(app.run()) == (ON_TWO, first, first)
    for data in (second, first):
        app.segmented_control(key="board").set_value(data).run()
        assert choices(app) == (ON_TWO, data, data)
    (data,) = standing(OTHER)
    app.segmented_control(key="board").set_value(data).run()
    assert choices(app) == (OTHER, data, data)
    app.selectbox[0].set_value(ON_TWO).run()  # others can be chosen all the same
    assert choices(app) == (ON_TWO, first, first)
    app.segmented_control(key="board").set_value(board.EVERY).run()
    assert choices(app) == (ON_TWO, first, first)


def test_the_worst_faces_follow_the_dataset_that_was_chosen(app: AppTest) -> None:
    _, second = standing(ON_TWO)
    app.run()
    app.segmented_control[1].set_value(second).run()
    assert choices(app) == (ON_TWO, second, second)


def test_faces_that_are_not_here_are_named_and_others_offered(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = standing(ON_TWO)
    for here, meanwhile in (([first], False), ([], True)):
        monkeypatch.setattr(worst, "available_names", lambda here=here: [*here, "synthetic68"])
        (told,) = [info.value for info in app.run().info if "are not here" in info.value]
        assert second in told and (first in told) == meanwhile
        assert ("look at synthetic ones" in told) == meanwhile


def test_an_address_with_a_dataset_begins_with_weights_measured_on_it(app: AppTest) -> None:
    (data,) = standing(OTHER)
    app.query_params["board"] = data
    assert choices(app.run()) == (OTHER, data, data)


def test_weights_that_no_result_is_of_are_named_with_the_way_in(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    told = "is in no row yet; from its run: `python -m fkd leaderboard --add"
    assert not [caption.value for caption in app.run().caption if told in caption.value]
    rows = read_results()
    monkeypatch.setattr(
        "fkd.evaluation.leaderboard.read_results", lambda: [row for row in rows if row.weights != OTHER]
    )
    (absent,) = (caption.value for caption in app.run().caption if told in caption.value)
    assert absent == f"{OTHER} {told} {read_card(OTHER).training['run']}`"


def test_it_is_said_how_the_faces_of_the_figures_were_seen(app: AppTest) -> None:
    app.run()
    for weights, told in ((ON_TWO, "in true boxes"), (OTHER, "as whole pictures")):
        app.selectbox[0].set_value(weights).run()
        assert [caption.value for caption in app.caption if f"faces {told}" in caption.value]


def test_curves_over_each_other_are_of_the_same_faces(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn, draw = [], figures.cumulative_figure

    def noted(curves: dict[str, list[float]], chosen: str) -> object:
        drawn.append(curves)
        return draw(curves, chosen)

    monkeypatch.setattr(figures, "cumulative_figure", noted)
    first, _ = standing(ON_TWO)
    assert standing(ON_TWO)[first].folds > 1  # of which the headline figures are
    app.run()
    assert drawn[0] == {
        name: of[first].curve for name in list_weights() if first in (of := held_out(name)) and of[first].curve
    }
    assert len(drawn[0]) > 1 and len({held_out(name)[first].faces for name in drawn[0]}) == 1
    monkeypatch.setattr(details, "hold_out_the_same", lambda name, weights: name == weights)
    app.run()
    assert list(drawn[1]) == [ON_TWO]  # without those that hold out others
