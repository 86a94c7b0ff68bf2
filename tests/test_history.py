"""What is read from a run's folder: curves, smoothing, the table of runs, differences to one of them."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fkd.augment import Augmentation
from fkd.training import launch
from fkd.training.comparison import RESULTS, differences, differing, runs_table, settings_of, watch_the_same
from fkd.training.history import EPOCH, STEP, TIME, as_history, read_epochs, read_history, smooth, tail
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder

INNER = {"epoch": 0.5, "step": 5, "learning_rate": 0.1, "train_loss": 3.0, "images_per_s": 9.0, "seconds": 30.0}
FIRST = {
    **{"epoch": 1, "step": 10, "learning_rate": 0.1, "train_loss": 4.0, "validation_loss": 2.0, "seconds": 60.0},
    **{"validation_nme": 9.0, "validation_rmse_px": 3.0, "images_per_s": 10.0, "memory_mb": 100.0},
}
SECOND = {"epoch": 2, "step": 20, "train_loss": 2.0, "validation_nme": 5.0, "validation_rmse_px": 2.5, "seconds": 120.0}
THIRD = {"epoch": 3, "step": 30, "train_loss": 1.0, "validation_nme": 6.0, "validation_rmse_px": 2.0, "seconds": 180.0}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FKD_RUNS", str(tmp_path))
    return tmp_path


def make(name: str, *records: dict, settings: tuple[str, ...] = (), state: str = "finished") -> RunFolder:
    folder = RunFolder.create(name)
    folder.write_config(get_recipe("mlp").with_settings(list(settings)).as_dict())
    folder.write_status(state, device="cpu")
    for record in records:
        folder.append_metrics(record)
    return folder


def test_the_loss_of_an_epoch_does_not_jump_between_its_lines_and_its_mean() -> None:
    history = as_history([INNER, FIRST, SECOND])
    x, y = history.series("train_loss", EPOCH)
    assert (x.tolist(), y.tolist()) == ([0.5, 2.0], [3.0, 2.0])  # the second epoch has no lines from inside it
    assert history.series("train_loss", STEP)[0].tolist() == [5, 20]
    assert history.series("validation_nme", TIME)[0].tolist() == [1, 2]  # minutes


def test_what_a_run_never_wrote_is_an_empty_curve() -> None:
    history = as_history([SECOND, THIRD])
    assert not len(history.series("learning_rate", EPOCH)[0])
    assert np.isnan(history.column("memory_mb")).all()
    assert not len(as_history([]).series("train_loss", EPOCH)[0])


def test_the_best_epoch_is_the_one_with_the_lowest_nme() -> None:
    history = as_history([INNER, FIRST, SECOND, THIRD])
    assert history.best() == SECOND
    assert history.epochs_done == 3
    assert as_history([INNER]).best() == {}


def test_a_half_written_line_waits_and_a_damaged_one_is_left_out(root: Path) -> None:
    folder = make("crashed", INNER, FIRST)
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(b"\x00\x00garbage\n" + json.dumps(SECOND).encode() + b"\n" + b'{"epoch": 3, "train')
    assert read_history(folder).column("epoch").tolist() == [0.5, 1, 2]


def test_a_resumed_run_is_read_again(root: Path) -> None:
    folder = make("resumed", FIRST)
    length = (folder.path / "metrics.jsonl").stat().st_size
    folder.append_metrics(SECOND)
    assert read_history(folder).epochs_done == 2
    folder.cut_metrics(length)
    assert read_history(folder).epochs_done == 1
    folder.append_metrics(SECOND)
    folder.append_metrics(THIRD)
    assert read_history(folder).epochs_done == 3


def test_a_run_that_is_watched_is_kept_in_memory_once(root: Path) -> None:
    folder = make("watched", FIRST)
    first = read_history(folder)
    assert read_history(folder) is first
    for record in (SECOND, THIRD):
        folder.append_metrics(record)
        read_history(folder), read_epochs(folder)
    gone = weakref.ref(first)
    del first
    gc.collect()
    assert gone() is None
    last = weakref.ref(read_history(folder))
    (folder.path / "metrics.jsonl").unlink()
    assert len(read_history(folder)) == 0
    gc.collect()
    assert last() is None


def test_the_ends_of_epochs_alone_are_the_same_ones(root: Path) -> None:
    folder = make("ends", INNER, FIRST, SECOND)
    ends, everything = read_epochs(folder), read_history(folder)
    assert len(everything) == 3
    assert ends.column("train_loss").tolist() == everything.at_epoch_ends("train_loss").tolist() == [4, 2]
    assert len(read_epochs(make("none"))) == 0


finite = hnp.arrays(np.float64, st.integers(1, 30), elements=st.floats(-1e6, 1e6))


@given(finite, st.floats(0, 0.98))
def test_smoothing_starts_at_the_first_value_and_stays_within_those_so_far(values: np.ndarray, weight: float) -> None:
    smoothed = smooth(values, weight)
    assert smoothed[0] == values[0]
    slack = 1e-9 * (1 + np.abs(values).max())
    assert (smoothed <= np.maximum.accumulate(values) + slack).all()
    assert (smoothed >= np.minimum.accumulate(values) - slack).all()


@given(finite)
def test_no_smoothing_changes_nothing(values: np.ndarray) -> None:
    np.testing.assert_array_equal(smooth(values, 0), values)


def test_smoothing_halves_a_step_by_its_weights() -> None:
    np.testing.assert_allclose(smooth(np.array([0.0, 1.0, 1.0]), 0.5), [0, 1 / 1.5, 1.5 / 1.75])


def test_the_end_of_a_long_log_is_read_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    assert tail(path, 3) == ""
    path.write_text("\n".join(f"line {i}" for i in range(100_000)))
    assert tail(path, 2) == "line 99998\nline 99999"


def test_the_table_has_results_of_the_best_epoch_beside_settings(root: Path) -> None:
    make("a", FIRST, SECOND, THIRD, settings=("batch_size=16", "augmentation.rotation_deg=10"))
    make("b", state="failed")
    table = runs_table(launch.view_all()).set_index("name")
    assert table.loc["a", ["nme", "rmse_px", "best_epoch", "epochs_done", "minutes"]].tolist() == [5, 2.5, 2, 3, 3]
    assert table.loc["b", list(RESULTS)].drop("epochs_done").isna().all()
    assert table.loc["a", "batch_size"] == 16
    assert table.loc["a", "augmentation.rotation_deg"] == 10
    assert differing(table.reset_index()) == ["batch_size", "augmentation.rotation_deg"]


def test_runs_compare_that_were_measured_on_the_same_faces(root: Path) -> None:
    make("a", FIRST)
    make("b", SECOND, settings=("batch_size=16",))
    assert watch_the_same(runs_table(launch.view_all()))
    for setting in ("fold=1", "data=synthetic68"):
        make(setting[:4], THIRD, settings=(setting,))
        assert not watch_the_same(runs_table([launch.view("a"), launch.view(setting[:4])]))


def test_runs_of_older_versions_lack_settings_and_still_stand_in_the_table(root: Path) -> None:
    folder, _ = make("older", SECOND), make("newer", THIRD)
    config = folder.read_config()
    del config["patience"]
    folder.write_config({**config, "retired": 1})
    (folder.path / "status.json").unlink()
    table = runs_table(launch.view_all())
    assert differing(table) == ["retired"]
    assert table["patience"].tolist() == [0, 0]  # its default
    assert table.set_index("name")["state"].to_dict() == {"older": "lost", "newer": "finished"}


def test_differences_are_to_the_baseline_and_unknown_where_either_is(root: Path) -> None:
    make("base", FIRST)
    make("other", SECOND)
    make("young")
    change = differences(runs_table(launch.view_all()), "base").set_index("name")
    assert change.loc["base", "nme"] == 0
    assert change.loc["other", ["nme", "rmse_px", "minutes"]].tolist() == [-4, -0.5, 1]
    assert np.isnan(change.loc["other", "validation_loss"])
    assert np.isnan(change.loc["young", "nme"])


def test_settings_are_on_one_level() -> None:
    flat = settings_of({"recipe": "x", "epochs": 3, "model_args": {"a": 1}, "augmentation": {"scale": 0.1}})
    given = {"epochs": 3, "model_args": '{"a": 1}', "augmentation.scale": 0.1}
    defaults = settings_of({})
    assert flat == {**defaults, **given}
    assert defaults["augmentation.mirror"] == Augmentation().mirror and "recipe" not in flat
