"""What is tried before a training: its faces are counted, its speed measured, its learning rate looked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fkd.errors import FkdError
from fkd.progress import listening
from fkd.training import trial as trial_module
from fkd.training.config import TrainConfig
from fkd.training.faces import split_faces
from fkd.training.lr_finder import find_learning_rate, range_test, smooth, suggest
from fkd.training.recipes import get_recipe
from fkd.training.trial import count_faces, run_trial, seconds_of_training, steps_of_epoch
from tests.drawn import TINY_SETTINGS, drawn_faces


class Bowl:
    """The loss `curvature / 2 * w ** 2` under gradient descent, which diverges above `2 / curvature`."""

    def __init__(self, curvature: float) -> None:
        self.curvature, self.place = curvature, 1.0

    def step(self, rate: float) -> float:
        loss = self.curvature / 2 * self.place**2
        self.place -= rate * self.curvature * self.place
        return loss


@pytest.fixture
def config(monkeypatch, tmp_path) -> TrainConfig:
    """A dense network on eighty drawn faces."""
    for name in ("runs", "cache"):
        monkeypatch.setenv(f"FKD_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr("fkd.training.faces.load_dataset", lambda name: drawn_faces())
    monkeypatch.setattr("fkd.training.trial.load_dataset", lambda name: drawn_faces())
    return get_recipe("mlp").with_settings(TINY_SETTINGS)


@given(curvature=st.floats(0.1, 1000))
def test_the_range_test_finds_where_gradient_descent_diverges(curvature: float) -> None:
    steps, lowest, highest = 120, 1e-6, 1e3
    curve = np.array(list(range_test(Bowl(curvature).step, lowest, highest, steps)))
    rates, losses = curve.T
    between = (highest / lowest) ** (1 / (steps - 1))
    # The loss falls for as long as the rate is below the limit, and is that before the step.
    assert rates[losses.argmin()] == pytest.approx(2 / curvature, rel=between**2 - 1)
    assert len(curve) < steps  # it ended when the loss had shot up
    suggestion = suggest(rates, losses)
    assert suggestion is not None
    assert 1e-3 / curvature < suggestion < 2 / curvature


def test_a_loss_that_never_falls_suggests_nothing() -> None:
    rates = np.geomspace(1e-6, 1, 50)
    assert suggest(rates, np.linspace(1, 2, 50)) is None


def test_the_range_test_ends_where_the_loss_is_no_number() -> None:
    losses = iter([1.0, 0.9, float("nan"), 0.5])
    assert len(list(range_test(lambda rate: next(losses)))) == 2


def test_smoothing_leaves_a_symmetric_valley_where_it_is() -> None:
    places = np.arange(101)
    valley = np.abs(places - 50.0)
    assert smooth(valley).argmin() == 50
    assert smooth(np.ones(10)) == pytest.approx(np.ones(10))


def test_the_finder_trains_and_leaves_nothing(config: TrainConfig, tmp_path) -> None:
    heard = []
    with listening(lambda what, share: heard.append(share)):
        found = find_learning_rate(config.as_dict(), "cpu", steps=30)
    assert len(found["learning_rates"]) == len(found["losses"]) == len(found["smoothed"]) > 10
    assert min(found["losses"]) < found["losses"][0]
    assert 1e-6 < found["suggestion"] < 1
    assert max(heard) <= 1 and sorted(heard) == heard
    assert not (tmp_path / "runs").exists()


def test_faces_are_counted_as_training_takes_them(config: TrainConfig) -> None:
    masked, dropped = count_faces(config.as_dict()), count_faces(replace(config, missing="drop").as_dict())
    assert sum(masked.values()) == 80
    assert dropped["train"] < masked["train"]
    assert {part: dropped[part] for part in ("validation", "test")} == {p: masked[p] for p in ("validation", "test")}


def test_a_trial_measures_steps_and_the_whole_training_follows(config: TrainConfig, tmp_path) -> None:
    trial = run_trial(config.as_dict(), "cpu", seconds=0.1)
    assert trial["step_s"] > 0 and trial["watch_s"] > 0
    assert trial["images_per_s"] == pytest.approx(config.batch_size / trial["step_s"])
    assert not (tmp_path / "runs").exists()
    known = {"step_s": 2.0, "watch_s": 5.0}
    assert steps_of_epoch(config, 70) == 4  # the last, smaller batch is left out
    assert steps_of_epoch(config, 3) == 1
    assert seconds_of_training(known, config, 70) == 3 * (4 * 2 + 5)


def test_several_devices_are_tried_with_their_share_of_a_batch(config: TrainConfig, monkeypatch) -> None:
    tried = []
    rehearse = trial_module.rehearsal
    monkeypatch.setattr(trial_module, "rehearsal", lambda share, device: tried.append(share) or rehearse(share, device))
    trial = run_trial(config.as_dict(), "cpu,cpu", seconds=0.1)
    assert [share.batch_size for share in tried] == [config.batch_size // 2]
    assert trial["images_per_s"] == pytest.approx(config.batch_size / trial["step_s"])
    with pytest.raises(FkdError, match="A batch of 3 is too small for 2 devices; raise batch_size"):
        run_trial(replace(config, batch_size=3).as_dict(), "cpu,cpu")


def test_a_trial_measures_faces_that_can_be_measured(config: TrainConfig, monkeypatch) -> None:
    faces = drawn_faces()
    watched = np.flatnonzero(split_faces(faces, config)["validation"])
    faces.points_px[watched[:-1], faces.schema.normalising_pair[0]] = np.nan
    monkeypatch.setattr("fkd.training.faces.load_dataset", lambda name: faces)
    monkeypatch.setattr("fkd.training.trial._WATCHED", 1)
    assert run_trial(config.as_dict(), "cpu", seconds=0.1)["watch_s"] > 0


def test_a_network_that_cannot_be_is_one_sentence_in_trials_too(config: TrainConfig) -> None:
    impossible = replace(config, model="heatmap", model_args={}, input_size=112).as_dict()
    for attempt in (run_trial, find_learning_rate):
        with pytest.raises(FkdError, match="'heatmap' cannot take crops of 112 pixels"):
            attempt(impossible, "cpu")


def test_two_processes_share_a_batch(config: TrainConfig) -> None:
    trial = run_trial(config.as_dict(), "cpu,cpu", seconds=0.1)
    assert trial["images_per_s"] == pytest.approx(config.batch_size / trial["step_s"])
    with pytest.raises(FkdError, match="too small for 2 devices"):
        run_trial(replace(config, batch_size=2).as_dict(), "cpu,cpu")


def test_settings_out_of_range_are_named(config: TrainConfig) -> None:
    with pytest.raises(FkdError, match="epochs: expected 1 to 10000, received 0"):
        replace(config, epochs=0).checked()
    wrong = replace(config, augmentation=replace(config.augmentation, scale=9.0))
    with pytest.raises(FkdError, match=r"scale: expected 0 to 0\.5"):
        wrong.checked()
