"""Runs that cannot go on: each ends as failed, with one sentence that the command line and the page show.

A damaged cache is no reason to fail as long as the data are there: it is read anew.
"""

from __future__ import annotations

import errno
import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from fkd.cli import main
from fkd.data import load_dataset
from fkd.data.kaggle import kaggle_rows
from fkd.lock import FileLock
from fkd.training import launch, loop
from fkd.training.group import Group, Stopped
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.training.waiting import Queue
from tests.drawn import write_noise_faces

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SETTINGS = ["data=few", "epochs=2", "batch_size=8", "validation_share=0.3", "precision=fp32"]
TRAIN = ["train", "--recipe", "mlp", "--device", "cpu", "--run", "a", "--set", *SETTINGS, 'model_args={"widths": [4]}']
RESUME = ["train", "--run", "a", "--resume", "--device", "cpu"]


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with runs, a cache, and thirty faces in data/few."""
    for name in ("runs", "data", "cache"):
        monkeypatch.setenv(f"FKD_{name.upper()}", str(tmp_path / name))
    write_noise_faces(tmp_path / "data" / "few")
    return tmp_path


def train(*command: str) -> int:
    torch.manual_seed(0)
    return main([*(command or TRAIN)])


def cache_file(places: Path) -> Path:
    (path,) = (places / "cache").glob("few-*.npz")
    return path


def losses(folder: RunFolder) -> list[float]:
    return [record["train_loss"] for record in folder.read_epochs()]


def told(capsys: pytest.CaptureFixture[str]) -> str:
    """The reason of the failed run, after seeing that it is one line, and the same wherever it is shown."""
    view = launch.view("a")
    assert view.state == "failed"
    reason = view.status["reason"]
    assert "\n" not in reason and reason.endswith(".")
    assert capsys.readouterr().err.splitlines()[-1] == f"fkd: {reason}"
    assert reason in (RunFolder.open("a").path / "log.txt").read_text()
    assert main(["runs", "show", "a"]) == 0
    assert reason in capsys.readouterr().out
    app = AppTest.from_function(one_run, default_timeout=60).run()
    assert not app.exception
    assert [error.value for error in app.error] == [reason]
    return reason


def one_run() -> None:
    from fkd.ui.train import watch

    watch.show_run("a")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def write_garbage(path: Path) -> None:
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flip_a_bit(path: Path) -> None:
    """The sum that the file keeps of each array is then wrong."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def lose_a_face(path: Path) -> None:
    """Every array by itself is whole."""
    with np.load(path) as stored:
        arrays = dict(stored)
    np.savez(path, **{**arrays, "images_u8": arrays["images_u8"][1:]})


def put_objects(path: Path) -> None:
    """A pickle, which nobody unpacks."""
    np.savez(path, name=np.array([{"a": 1}], object))


def put_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("damage", [truncate, write_garbage, empty, flip_a_bit, lose_a_face, put_objects, put_a_folder])
def test_a_damaged_cache_is_read_anew(
    damage: Callable[[Path], None], places: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert train() == 0
    expected = losses(RunFolder.open("a"))
    damage(cache_file(places))
    launch.delete("a")
    assert train() == 0
    assert losses(RunFolder.open("a")) == expected
    assert sum("is damaged" in record.message for record in caplog.records) == 1
    if damage is not put_a_folder:  # which nobody deletes unasked
        caplog.clear()
        launch.delete("a")
        assert train() == 0
        assert not caplog.records


def test_a_cache_and_a_source_that_are_both_damaged_end_the_run(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = places / "data" / "few" / "training.csv"
    assert train() == 0
    write_garbage(cache_file(places))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:5], lines[5][:-40], *lines[6:]]))
    launch.delete("a")
    assert train() == 1
    assert "line 6" in told(capsys)


def test_data_that_are_gone_when_a_run_goes_on_end_it(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after_one_epoch(monkeypatch)
    assert train() == 130
    assert capsys.readouterr().err == "fkd: a was stopped; go on with: python -m fkd runs resume a\n"
    assert launch.view("a").state == "stopped"
    shutil.move(places / "data" / "few", places / "elsewhere")
    assert train(*RESUME) == 1
    assert "no dataset 'few'" in told(capsys)
    shutil.move(places / "elsewhere", places / "data" / "few")
    assert train(*RESUME) == 0
    assert len(losses(RunFolder.open("a"))) == 2


def test_data_that_have_changed_when_a_run_goes_on_end_it(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_after_one_epoch(monkeypatch)
    train()
    table = places / "data" / "few" / "training.csv"
    table.write_text("\n".join(table.read_text().splitlines()[:-1]))
    assert train(*RESUME) == 1
    assert told(capsys) == "The faces of few have changed since the run was started; start a new run."


def stop_after_one_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = loop.Trainer._finish_epoch

    def finish_and_stop(trainer: loop.Trainer, record: dict) -> None:
        finish(trainer, record)
        monkeypatch.setattr(loop.Trainer, "_finish_epoch", finish)
        raise loop.Stopped

    monkeypatch.setattr(loop.Trainer, "_finish_epoch", finish_and_stop)


@pytest.mark.parametrize("during", ["fkd.data.cache._as_dataset", "fkd.data.cache.np.savez"])
def test_a_signal_stops_a_run_also_while_its_faces_are_read(
    places: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    """Within what takes any `Exception` for a damaged file, and while a file is written aside."""
    if during.endswith("_as_dataset"):
        load_dataset("few")

    def ask_to_stop(*arguments: object, **settings: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(during, ask_to_stop)
    assert train() == 130
    assert launch.view("a").state == "stopped"
    assert not list((places / "cache").rglob("*.tmp"))


def test_data_that_go_away_while_a_run_trains_do_it_no_harm(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = loop.Trainer._finish_epoch

    def take_away(trainer: loop.Trainer, record: dict) -> None:
        shutil.rmtree(places / "data", ignore_errors=True)
        shutil.rmtree(places / "cache", ignore_errors=True)
        finish(trainer, record)

    monkeypatch.setattr(loop.Trainer, "_finish_epoch", take_away)
    assert train() == 0
    assert not (places / "data").exists()
    assert launch.view("a").state == "finished"


@pytest.mark.parametrize("when", ["open_csv", "kaggle_rows"])
def test_data_that_may_not_be_read_are_named_and_not_the_runs_folder(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], when: str
) -> None:
    """Before there is a run, and, where the file can be opened but not read on, by the run."""
    table = places / "data" / "few" / "training.csv"

    def refuse(path: Path, *arguments: object, **settings: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(f"{kaggle_rows.__module__}.{when}", refuse)
    assert train() == 1
    sentence = f"{table} cannot be read (Permission denied); see that it is there and readable"
    if when == "open_csv":
        assert capsys.readouterr().err == f"fkd: {sentence}.\n"
        assert not (places / "runs" / "a").exists()
    else:
        assert told(capsys) == f"{sentence}, then resume."


def test_a_device_that_is_gone_when_its_turn_comes_ends_the_run(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict())
    Queue("cuda:7").append("a")
    assert train("train", "--run", "a", "--queued", "--device", "cuda:7") == 1
    assert told(capsys) == "The device 'cuda:7' is not available here; use cpu."
    assert Queue("cuda:7").names == []


def test_settings_that_cannot_be_read_when_its_turn_comes_end_the_run(
    places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict() | {"epochs": 0})
    Queue("cpu").append("a")
    assert train("train", "--run", "a", "--queued", "--device", "cpu") == 1
    assert "epochs" in told(capsys)
    assert Queue("cpu").names == []


def test_a_finished_run_stays_finished_where_its_settings_cannot_be_read(places: Path) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict() | {"unheard_of": 1})
    folder.write_status("finished", device="cpu")
    assert train(*RESUME) == 1
    assert launch.view("a").state == "finished"


def full_disk(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_leaves_no_lock_behind(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FileLock(places / "lock")
    with monkeypatch.context() as patch, pytest.raises(OSError, match="No space"):
        patch.setattr("fkd.lock.os.write", full_disk)
        lock.try_acquire()
    assert FileLock(places / "lock").try_acquire()


def test_a_run_that_is_stopped_on_a_full_disk_is_stopped(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = loop.Trainer._finish_epoch

    def finish_fill_the_disk_and_stop(trainer: loop.Trainer, record: dict) -> None:
        finish(trainer, record)
        patch.setattr(RunFolder, "_replace", full_disk)
        patch.setattr(RunFolder, "log", full_disk)
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "_finish_epoch", finish_fill_the_disk_and_stop)
        assert train() == 130
    assert launch.view("a").state == "stopped"


def test_a_stop_that_python_swallowed_is_taken_up_at_the_next_step() -> None:
    group = Group()
    group.check()
    group.stop_asked = True
    with pytest.raises(Stopped):
        group.check()


def test_a_worker_that_cannot_write_starts_no_other(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict())
    monkeypatch.setattr(launch, "_spawn", lambda *arguments: pytest.fail("another worker was started"))
    Queue("cpu").append("a")
    monkeypatch.setattr("fkd.training.waiting._write", full_disk)
    assert train("train", "--run", "a", "--queued", "--device", "cpu") == 1
    assert "cannot be written (No space left on device)" in capsys.readouterr().err


def test_a_name_that_could_not_be_used_is_free_again(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_config", full_disk)
        assert train() == 1
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert train() == 0


def test_a_run_that_waits_is_neither_queued_twice_nor_for_another_device(
    places: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict())
    monkeypatch.setattr(launch, "_spawn", lambda *arguments: None)
    launch.launch(folder, "cuda:0")
    assert train(*RESUME) == 1
    assert "The run 'a' waits for cuda:0; take it out first" in capsys.readouterr().err
    assert train(*RESUME, "--detach") == 1
    assert "The run 'a' is waiting; only stopped" in capsys.readouterr().err
    assert Queue("cuda:0").names == ["a"]


def test_a_folder_before_a_runs_name_changes_nothing(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder.create("a")
    folder.write_config(get_recipe("mlp").as_dict())
    monkeypatch.setattr(launch, "_spawn", lambda *arguments: None)
    launch.launch(folder, "cpu")
    launch.stop("runs/a")
    assert Queue("cpu").names == []


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (["train"], "--recipe NAME is needed"),
        (["train", "--resume"], "--resume needs --run NAME"),
        ([*RESUME, "--set", "epochs=9"], "--resume goes on with the run's own settings"),
        (["train", "--recipe", "mlp", "--detach", "--threads", "1"], "leave it out with --detach"),
        (["train", "--recipe", "mlp", "--threads", "0"], "'0' is no number of threads"),
        (["evaluate", "--weights", "kaggle15", "--device", "cuda"], "--device goes with --retrain"),
        (["data", "fetch", "kaggle", "--url", "https://example.org"], "--url and --sha256 are for youtube-faces"),
    ],
)
def test_options_that_would_be_without_effect_are_wrong_use(
    command: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_loss_that_is_no_number_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    total_loss = loop.total_loss
    monkeypatch.setattr(loop, "total_loss", lambda *arguments: total_loss(*arguments) * float("inf"))
    assert train() == 1
    assert told(capsys) == "The loss is inf at step 0; try a lower learning rate or precision=fp32."


def test_a_last_step_that_spoils_the_network_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The loss of a step is of the network before it, so that no loss tells of the last one."""
    train_one_epoch = loop.Trainer._train_one_epoch

    def spoil(trainer: loop.Trainer, *arguments: object) -> list[float]:
        result = train_one_epoch(trainer, *arguments)
        if trainer.epoch == 1:
            with torch.no_grad():
                next(trainer.network.parameters()).fill_(float("nan"))
        return result

    monkeypatch.setattr(loop.Trainer, "_train_one_epoch", spoil)
    assert train() == 1
    assert "predicts no numbers any more; try a lower learning rate" in told(capsys)
    assert len(losses(RunFolder.open("a"))) == 1


def test_memory_that_runs_out_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, places: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def allocate(*_: object) -> None:
        torch.empty(1 << 60, dtype=torch.uint8)  # more than any machine has

    monkeypatch.setattr(loop, "total_loss", allocate)
    assert train() == 1
    assert told(capsys) == "Memory ran out with batches of 8 faces; try batch_size=4."
    assert json.loads((places / "runs" / "a" / "status.json").read_text())["state"] == "failed"
