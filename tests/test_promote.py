"""A run's best weights become shipped weights: measured, exported and described."""

from pathlib import Path

import pytest

from fkd.cli import main
from fkd.data import SOURCES
from fkd.evaluation.cards import render_card
from fkd.promote import warning
from fkd.training import loop
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.weights import load_model, onnx_hindrance, read_card
from tests.drawn import TINY_SETTINGS, drawn_faces


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of weights, with a trained run called `mine` beside it."""
    for place in ("RUNS", "RESULTS", "WEIGHTS"):
        monkeypatch.setenv(f"FKD_{place}", str(tmp_path / place))
    monkeypatch.setitem(SOURCES, "drawn", drawn_faces)
    config = get_recipe("mlp").with_settings(TINY_SETTINGS)
    folder = RunFolder.create("mine")
    folder.write_config(config.as_dict())
    loop.train(config, folder)
    return tmp_path / "WEIGHTS"


def test_promoted_weights_are_measured_exported_and_have_a_card(weights: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["promote", "mine", "--name", "best"]) == 0
    assert "best on drawn" in capsys.readouterr().out
    assert sorted(path.name for path in weights.iterdir()) == ["best.md", "best.onnx", "best.safetensors"]
    assert read_card("best").metrics["drawn"]["nme"] > 0
    assert onnx_hindrance("best") is None
    assert load_model("best").runtime == "onnx"
    assert "your own dataset `drawn`" in (weights / "best.md").read_text("utf-8")


def test_weights_that_have_learnt_nothing_are_promoted_with_a_warning(
    weights: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["promote", "mine", "--name", "best"]) == 0
    nme = read_card("best").metrics["drawn"]["nme"]
    told = f"no better than the same points for every face would be on drawn (NME {nme:.2f} %"
    assert told in capsys.readouterr().err
    assert "**these weights do not beat** the constant mean shape" in (weights / "best.md").read_text("utf-8")
    assert not warning({"drawn": {"nme": nme, "mean_shape_nme": nme + 1}})


def test_weights_that_hold_nothing_out_say_so_and_are_not_promoted(
    weights: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["train", "--recipe", "mlp", "--set", *TINY_SETTINGS, "fold=-1", "--run", "all"]) == 0
    card = render_card("run:all")
    assert "nothing: every face was trained on or watched" in card
    assert "promote" not in card and "--folds" not in card
    assert main(["promote", "all", "--name", "best"]) == 1
    assert "trained on every face, so none is left to measure it on" in capsys.readouterr().err
    assert not (weights / "best.safetensors").exists()


def test_a_failing_export_leaves_the_old_weights(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["promote", "mine", "--name", "best"]) == 0
    before = {path.name: path.stat().st_mtime_ns for path in weights.iterdir()}
    monkeypatch.setattr("fkd.export.MOST_APART_PX", -1.0)
    assert main(["promote", "mine", "--name", "best", "--replace"]) == 1
    assert {path.name: path.stat().st_mtime_ns for path in weights.iterdir()} == before


def test_promoted_again_the_card_keeps_what_was_measured(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("fkd.evaluation.cards.find_assessment", lambda name: asked.append(name))
    assert main(["promote", "mine", "--name", "best"]) == 0
    assert asked == ["best"]


def test_replaced_weights_leave_no_stale_export(weights: Path) -> None:
    assert main(["promote", "mine", "--name", "best"]) == 0
    before = (weights / "best.onnx").stat().st_mtime_ns
    assert main(["promote", "mine", "--name", "best"]) == 1  # nobody to be asked
    assert main(["promote", "mine", "--name", "best", "--replace"]) == 0
    assert (weights / "best.onnx").stat().st_mtime_ns > before
    assert onnx_hindrance("best") is None
