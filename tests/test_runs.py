"""Runs as real processes: killed, queued, stopped, resumed, deleted."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.errors import FkdError
from fkd.lock import FileLock
from fkd.training import launch
from fkd.training.begin import new_run
from fkd.training.config import TrainConfig
from fkd.training.recipes import RECIPES, get_recipe
from fkd.training.run import RunFolder
from fkd.training.torchrun import resolve_devices
from fkd.training.waiting import Queue, next_ones, queues
from fkd.ui.train.watch import why_lost
from tests.drawn import write_noise_faces

PATIENCE_S = 300
LOOPBACK = ("0100007F", "0" * 24 + "01000000")  # 127.0.0.1 and ::1 in the kernel's tables


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty folder of runs, and a data set of 30 faces that other processes find too."""
    for name in ("runs", "data", "cache"):
        monkeypatch.setenv(f"FKD_{name.upper()}", str(tmp_path / name))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    write_noise_faces(tmp_path / "data" / "few")
    (tmp_path / "runs").mkdir()
    yield tmp_path / "runs"
    for device, names in queues().items():
        for name in names:
            Queue(device).remove(name)
    for path in (tmp_path / "runs").glob("*/lock"):
        if FileLock(path).is_held():
            os.kill(FileLock(path).holder()["pid"], signal.SIGKILL)


def settings(epochs):
    few = ["data=few", f"epochs={epochs}", "batch_size=8", "validation_share=0.3", "precision=fp32"]
    return [*few, 'model_args={"widths": [4]}']


def make(name, epochs=3):
    config = get_recipe("mlp").with_settings(settings(epochs))
    folder = RunFolder.create(name)
    folder.write_config(config.as_dict())
    return folder


def wait_for(condition):
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.2)


def state(name):
    return launch.view(name).state


def losses_of(folder):
    timed = ("seconds", "images_per_s", "memory_mb")
    return [{k: v for k, v in m.items() if k not in timed} for m in folder.read_epochs()]


def kill(folder):
    os.kill(FileLock(folder.path / "lock").holder()["pid"], signal.SIGKILL)
    wait_for(lambda: not FileLock(folder.path / "lock").is_held())


def test_a_killed_run_is_lost_and_goes_on_to_the_same_metrics(root):
    epochs, dice = 500, random.Random(0)  # so many that no machine finishes before it is killed twice
    whole, killed = make("whole", epochs), make("killed", epochs)
    launch.launch(whole, "cpu")
    wait_for(lambda: state("whole") == "finished")
    launch.launch(killed, "cpu")
    for _ in range(2):
        known = len(killed.read_metrics())
        wait_for(lambda known=known: len(killed.read_metrics()) > known)
        time.sleep(dice.random() * 0.3)
        kill(killed)
        assert state("killed") == "lost"
        launch.resume("killed")
    wait_for(lambda: state("killed") == "finished")
    assert len(losses_of(whole)) == epochs
    assert losses_of(killed) == losses_of(whole)


def test_two_runs_on_one_device_run_one_after_the_other(root):
    command = [sys.executable, "-m", "fkd", "train", "--recipe", "mlp", "--device", "cpu", "--set", *settings(3)]
    with subprocess.Popen([*command, "--run", "a"]) as first, subprocess.Popen([*command, "--run", "b"]) as second:
        assert (first.wait(PATIENCE_S), second.wait(PATIENCE_S)) == (0, 0)
    a, b = sorted(
        (folder.read_status()["started"], folder.read_status()["heartbeat"])
        for folder in (RunFolder.open("a"), RunFolder.open("b"))
    )
    assert a[1] <= b[0]  # the second started when the first had ended
    assert queues() == {}


def test_a_run_in_the_background_says_whether_it_waits(root, capsys):
    command = ["train", "--recipe", "mlp", "--device", "cpu", "--detach", "--set", *settings(1)]
    with Queue("cpu").locks[0]:  # somebody trains
        assert main([*command, "--run", "second"]) == 0
        assert "second waits for cpu, as number 1 in its queue; see" in capsys.readouterr().out
        launch.stop("second")
    assert main([*command, "--run", "first"]) == 0
    assert "first trains in the background; see" in capsys.readouterr().out
    wait_for(lambda: state("first") == "finished")


def test_the_worker_that_ends_starts_the_next_in_the_order_given(root):
    with Queue("cpu").locks[0]:  # somebody trains
        for name in ("first", "second", "third"):
            launch.launch(make(name), "cpu")
        launch.move("third", 1)
        launch.stop("second")
        assert Queue("cpu").names == ["third", "first"]
        assert [state(name) for name in ("first", "second", "third")] == ["waiting", "stopped", "waiting"]
    launch.start_waiting()
    wait_for(lambda: state("first") == "finished")  # nobody but the third's worker starts it
    started = [RunFolder.open(name).read_status()["started"] for name in ("third", "first")]
    assert started == sorted(started)
    assert state("second") == "stopped"


def test_a_run_on_several_devices_waits_for_all_and_is_overtaken_on_none(root):
    both, first, second = Queue("cuda:0,cuda:1"), Queue("cuda:0"), Queue("cuda:1")
    both.append("wide")
    second.append("narrow")
    first.append("late")
    assert queues() == {"cuda:0": ["wide", "late"], "cuda:1": ["wide", "narrow"]}
    assert next_ones() == [("wide", "cuda:0,cuda:1")]
    with second.locks[0]:  # somebody trains there
        assert both.is_busy() and not both.try_start("wide")
        assert not first.is_busy()  # what was taken of the two is let go
        assert not first.try_start("late")  # or "wide" might wait for ever
    assert both.try_start("wide")
    assert not second.try_start("narrow")
    both.release()
    assert next_ones() == [("narrow", "cuda:1"), ("late", "cuda:0")]
    assert second.try_start("narrow") and first.try_start("late")


def test_a_place_counts_the_runs_that_share_a_device(root):
    for name, device in (("a", "cpu"), ("b", "cuda:0"), ("c", "cpu"), ("d", "cuda:0"), ("e", "cpu,cpu")):
        Queue(device).append(name)
    assert Queue("cpu").names == ["a", "c", "e"]
    assert Queue("cpu").move("e", 1)
    assert queues() == {"cpu": ["a", "e", "c"], "cuda:0": ["b", "d"]}
    assert Queue("cpu").move("a", 9) and Queue("cpu").names == ["e", "c", "a"]
    assert not Queue("cpu").move("nobody", 0)


def test_two_processes_give_the_losses_of_one(root):
    """Every layer that sees more than one row, missing labels, and all kinds of augmentation; each epoch is a step."""
    steps = ["data=few", "epochs=20", "batch_size=16", "validation_share=0.3", "precision=fp32", "input_size=64"]
    strong = [f"augmentation.{name}=0.2" for name in ("light", "noise", "blur", "cover")]
    small = ["learning_rate=0.0002", 'model_args={"widths": [8, 8, 8, 8], "blocks": 1}', "missing=mask"]
    command = [sys.executable, "-m", "fkd", "train", "--recipe", "resnet", "--set", *steps, *strong, *small]
    for name, device in (("one", "cpu"), ("two", "cpu,cpu")):
        subprocess.run([*command, "--run", name, "--device", device], check=True, timeout=PATIENCE_S)
    one, two = RunFolder.open("one").read_epochs(), RunFolder.open("two").read_epochs()
    assert [record["step"] for record in two] == list(range(1, 21))
    for figure in ("train_loss", "validation_loss", "validation_nme"):
        np.testing.assert_allclose([r[figure] for r in two], [r[figure] for r in one], rtol=1e-4, atol=1e-4)
    assert two[-1]["train_loss"] < 0.9 * two[0]["train_loss"]
    assert RunFolder.open("two").read_status()["device"] == "cpu,cpu"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="asks Linux about processes")
def test_a_run_of_two_processes_is_stopped_resumed_and_fails_with_one_of_them(root):
    folder = make("pair", 10_000)
    launch.launch(folder, "cpu,cpu")
    wait_for(folder.read_epochs)
    assert queues() == {} and Queue("cpu").is_busy()
    first = FileLock(folder.path / "lock").holder()["pid"]
    group = [first, _second_process(first), _parent(Path(f"/proc/{first}"))]
    addresses = _listened_on(group)
    assert addresses and all(address in LOOPBACK for address in addresses)
    launch.stop("pair")
    assert state("pair") == "stopped"
    done = len(folder.read_epochs())
    launch.resume("pair")
    wait_for(lambda: len(folder.read_epochs()) > done)
    assert [record["epoch"] for record in folder.read_epochs()][:done] == list(range(1, done + 1))
    os.kill(_second_process(FileLock(folder.path / "lock").holder()["pid"]), signal.SIGKILL)
    wait_for(lambda: state("pair") != "running")
    assert (state("pair"), Queue("cpu").is_busy()) == ("failed", False)
    assert "One of the 2 processes has ended without a word" in folder.read_status()["reason"]


def _listened_on(processes):
    """The addresses, as the kernel writes them, on which processes wait for connections."""
    sockets = set()
    for process in processes:
        sockets |= {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir() if link.is_symlink()}
    lines = [line.split() for kind in ("tcp", "tcp6") for line in Path(f"/proc/net/{kind}").read_text().splitlines()]
    return {line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def _second_process(first):
    """The other child of the torchrun that started the first process of a group."""
    parents = {int(p.name): _parent(p) for p in Path("/proc").iterdir() if p.name.isdigit()}
    (second,) = (pid for pid, parent in parents.items() if parent == parents[first] and pid != first)
    return second


def _parent(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended
        return None


def test_what_cannot_train_together_is_one_sentence(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert resolve_devices("auto") == ["cuda:0"]
    assert resolve_devices("cuda:0,cuda:1") == ["cuda:0", "cuda:1"]
    assert resolve_devices("cuda", processes=2) == ["cuda:0", "cuda:1"]
    assert resolve_devices("cpu", processes=2) == ["cpu", "cpu"]
    assert resolve_devices("cpu:0,cpu:1") == ["cpu", "cpu"]
    for text, message in (
        ("cuda:2", "'cuda:2' is not available"),
        ("cpu,cuda:0", "cannot train together"),
        ("cuda:1,cuda:1", "cannot train together"),
        ("gpu", "no device 'gpu' here"),
        ("cpu,", "no device '' here"),
        ("meta", "no device 'meta' here"),
        ("hpu", "no device 'hpu' here"),
    ):
        with pytest.raises(FkdError, match=message):
            resolve_devices(text)
    with pytest.raises(FkdError, match="has started 3 processes for the 2 devices"):
        resolve_devices("cpu,cpu", processes=3)


def test_who_leaves_the_queue_lets_those_behind_begin(root, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "_spawn", lambda name, device: started.append(name))
    for name in ("both", "behind", "gone", "closed", "last"):
        make(name)
    with Queue("cuda:0").locks[0]:  # somebody trains there
        launch.launch(RunFolder.open("both"), "cuda:0,cuda:1")
        launch.launch(RunFolder.open("behind"), "cuda:1")
        assert started == []
        launch.stop("both")
        assert started == ["behind"]

    started.clear()
    with Queue("cpu").locks[0]:
        for name in ("gone", "closed", "last"):
            launch.launch(RunFolder.open(name), "cpu")
    shutil.rmtree(root / "gone")
    (root / "closed" / "log.txt").mkdir()  # it cannot be written, as another user's could not
    launch.start_waiting()
    assert started[-1] == "last"
    assert queues()["cpu"] == ["last"]
    assert state("closed") == "failed"
    assert "log.txt cannot be written" in launch.view("closed").status["reason"]


def test_who_could_not_begin_lets_those_behind_begin_also_where_its_folder_is_gone(root, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "_spawn", lambda name, device: started.append(name))
    Queue("cpu").append("gone")
    Queue("cpu").append(make("last").name)
    with pytest.raises(FkdError, match="There is no run 'gone'"):
        launch.give_up("gone", "cpu", "It is gone.")
    assert started == ["last"]


@pytest.mark.parametrize("damage", ["", "[[", "{}", "[1]", "null"])
def test_a_damaged_queue_loses_its_order_and_no_run(damage, root, monkeypatch):
    monkeypatch.setattr(launch, "_spawn", lambda name, device: None)
    with Queue("cpu").locks[0]:
        folder = make("a")
        launch.launch(folder, "cpu")
    (root / ".queue" / "waiting.json").write_text(damage)
    folder.write_status("waiting", heartbeat=0)  # it began to wait long ago
    assert queues() == {} and state("a") == "lost"
    launch.resume("a")
    assert queues() == {"cpu": ["a"]}


def test_machines_that_share_the_folder_leave_each_others_runs_alone(root, monkeypatch):
    started = []
    monkeypatch.setattr(launch, "_spawn", lambda name, device: started.append(name))
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "elsewhere")
        with Queue("cuda:0").locks[0]:
            launch.launch(make("theirs"), "cuda:0")
    RunFolder.open("theirs").write_status("waiting", heartbeat=0)
    assert state("theirs") == "waiting" and queues() == {} and not Queue("cuda:0").is_busy()
    launch.launch(make("ours"), "cuda:0")
    assert started == ["ours"]
    launch.stop("theirs")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr("platform.node", lambda: "elsewhere")
        assert state("theirs") == "stopped" and queues() == {}


def test_a_worker_that_ends_before_it_begins_is_not_started_for_ever(root, monkeypatch):
    started = []
    spawn = launch._spawn
    monkeypatch.setattr(launch, "_spawn", lambda name, device: started.append(name) or spawn(name, device))
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", shutil.which("false"))
        launch.launch(make("a", 1), "cpu")
        launch._workers[root / "a"][0].wait()
        launch.start_waiting()
        launch.start_waiting()
    assert started == ["a"] and state("a") == "failed"
    assert "ended before it could begin" in launch.view("a").status["reason"]
    launch.resume("a")
    wait_for(lambda: state("a") == "finished")


def test_no_name_leads_out_of_the_folder_of_runs(root):
    (root.parent / "config.json").write_text("{}")
    with pytest.raises(FkdError, match=r"There is no run '\.\.'"):
        launch.delete("..")


@pytest.mark.parametrize(
    "status", ['{"state": 3}', '{"state": "waiting", "heartbeat": null}', "[]", '{"heartbeat": 1}']
)
def test_a_damaged_status_hides_no_run(status, root, capsys):
    folder = make("odd")
    (folder.path / "status.json").write_text(status)
    assert state("odd") == "lost" and main(["runs"]) == 0
    assert "odd" in capsys.readouterr().out


def test_a_damaged_line_of_metrics_hides_no_other(root, capsys):
    folder = make("odd")
    folder.append_metrics({"epoch": 1, "validation_nme": 5.0})
    with (folder.path / "metrics.jsonl").open("ab") as file:
        file.write(b"\0\0\n")
    folder.append_metrics({"epoch": 2, "validation_nme": 4.0})
    assert [record["epoch"] for record in folder.read_epochs()] == [1, 2]
    assert main(["runs", "show", "odd"]) == 0
    assert "epoch 2, whose weights are kept: NME 4.00 %" in capsys.readouterr().out


def test_a_run_is_stopped_resumed_and_deleted(root, capsys):
    folder = make("long", 3000)
    launch.launch(folder, "cpu")
    wait_for(lambda: folder.read_metrics())
    with pytest.raises(FkdError, match="is running; stop it first"):
        launch.delete("long")
    with pytest.raises(FkdError, match="only stopped, failed and lost ones"):
        launch.resume("long")
    assert main(["runs", "stop", "long"]) == 0
    assert "stopped" in capsys.readouterr().out
    with pytest.raises(FkdError, match="is stopped, not running"):
        launch.stop("long")
    done = len(folder.read_metrics())
    assert main(["runs", "resume", "long"]) == 0
    assert "see python -m fkd runs show long" in capsys.readouterr().out
    wait_for(lambda: len(folder.read_metrics()) > done)
    launch.stop("long")
    assert main(["runs", "delete", "long", "--yes"]) == 0
    assert not folder.path.exists()


def test_a_run_goes_on_only_with_a_device_and_settings_that_it_can(root, capsys):
    folder = make("wrong", 1)
    folder.write_status("stopped", device="cuda:7")
    with pytest.raises(FkdError, match="'cuda:7' is not available here"):
        launch.resume("wrong")
    config = folder.read_config()
    for changed, message in (
        ({"epoch": 3}, "Unknown settings epoch;"),
        ({"augmentation": {"blurred": 1}}, "Unknown settings augmentation.blurred;"),
        ({"epochs": 0}, "epochs: expected 1 to"),
        ({"epochs": "20"}, "The setting epochs is '20', which is no int; mend config.json."),
        ({"augmentation": {"blur": None}}, "The setting blur is None, which is no float"),
    ):
        folder.write_config({**config, **changed})
        with pytest.raises(FkdError, match=message):
            launch.resume("wrong", "cpu")
    assert (state("wrong"), queues()) == ("stopped", {})
    folder.write_config(config)
    with Queue("cpu").locks[0]:  # somebody trains
        launch.resume("wrong", "auto" if not torch.cuda.is_available() else "cpu")
        assert queues() == {"cpu": ["wrong"]}


def test_two_workers_never_work_on_one_run(root):
    folder = make("held")
    with (
        FileLock(folder.path / "lock"),
        pytest.raises(FkdError, match="by another process"),
        launch.turn(folder, "cpu"),
    ):
        pytest.fail("the run was given to a second worker")


@pytest.mark.skipif(os.name == "nt", reason="a lock cannot be shared there")
def test_who_asks_for_long_whether_a_lock_is_held_keeps_nobody_out(tmp_path):
    import fcntl

    path = tmp_path / "lock"
    with path.open("w") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        later = threading.Timer(1.0, fcntl.flock, (asking, fcntl.LOCK_UN))
        later.start()
        lock = FileLock(path)
        assert lock.try_acquire()
        later.join()
        lock.release()
        fcntl.flock(asking, fcntl.LOCK_EX)
        assert not FileLock(path).try_acquire()


def test_a_worker_that_is_still_coming_up_is_not_started_again(root, monkeypatch):
    monkeypatch.setattr(sys, "executable", "sleep_for_long")
    sleeper = root / "sleep_for_long"
    sleeper.write_text("#!/bin/sh\nexec sleep 60\n")
    sleeper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{root}{os.pathsep}{os.environ['PATH']}")
    launch.launch(make("slow"), "cpu")
    first, _ = launch._workers[root / "slow"]
    launch.start_waiting()
    assert launch._workers[root / "slow"][0] is first
    first.kill()
    first.wait()
    launch.start_waiting()
    assert state("slow") == "failed"
    launch.resume("slow")
    second, _ = launch._workers[root / "slow"]
    assert second is not first
    with FileLock(root / "slow" / "lock"):  # as the worker does, which then takes its time to end
        launch.start_waiting()
        assert launch._workers[root / "slow"][0] is second
    launch.start_waiting()
    third, _ = launch._workers[root / "slow"]
    assert third is not second
    second.kill()
    third.kill()


def test_a_worker_started_twice_leaves_a_finished_run_alone(root):
    folder = make("twice")
    folder.write_status("finished", device="cpu")
    with pytest.raises(FkdError, match="taken out of the queue"), launch.turn(folder, "cpu", queued=True):
        pytest.fail("the run was started again")
    assert state("twice") == "finished"


@pytest.mark.parametrize(
    ("host", "age_s", "expected"),
    [("another machine", 5, "running"), ("another machine", 600, "lost"), (None, 5, "running"), (None, 600, "lost")],
)
def test_the_heartbeat_tells_of_workers_on_other_machines(host, age_s, expected, root, monkeypatch):
    folder = make("elsewhere")
    now = time.time()
    folder.write_status("running")
    if host:
        (folder.path / "lock").write_text(json.dumps({"host": host, "pid": os.getpid()}))
    monkeypatch.setattr(time, "time", lambda: now + age_s)
    assert state("elsewhere") == expected


def test_a_fresh_heartbeat_does_not_save_a_run_whose_worker_died_here(root):
    folder = make("died")
    with FileLock(folder.path / "lock"):
        folder.write_status("running")
        assert state("died") == "running"
    assert state("died") == "lost"


def test_five_hundred_runs_are_listed_quickly(root, capsys):
    config = TrainConfig().as_dict()
    for number in range(500):
        folder = RunFolder.create(f"run-{number}")
        folder.write_config(config)
        folder.write_status(("finished", "running", "failed")[number % 3], epoch=number, epochs=500)
    started = time.process_time()
    assert main(["runs"]) == 0
    assert time.process_time() - started < 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 501
    assert lines[0].split() == ["RUN", "STATE", "RECIPE", "DEVICE", "EPOCH", "BEST", "NME", "%", "LEFT"]
    assert lines[1].split()[:3] == ["run-499", "running", "heatmap68"]


@pytest.mark.parametrize("damage", ["{half", "[]", ""])
def test_a_damaged_configuration_is_named_and_hides_no_other_run(damage, root, capsys):
    make("whole").write_status("finished")
    (make("damaged").path / "config.json").write_text(damage)
    assert [view.name for view in launch.view_all()] == ["whole"]
    assert main(["runs"]) == 0
    assert "whole" in capsys.readouterr().out
    assert main(["runs", "show", "damaged"]) == 1
    assert "config.json is damaged; mend it" in capsys.readouterr().err


def test_a_run_whose_status_is_damaged_is_lost_and_can_go_on(root):
    folder = make("damaged")
    (folder.path / "status.json").write_text('{"state": "runn')
    assert state("damaged") == "lost"
    folder.write_status("stopped", device="cpu")
    assert state("damaged") == "stopped"


def test_runs_on_a_read_only_mount_can_be_looked_at_and_say_what_is_wrong(root, monkeypatch):
    folder = make("kept")
    with FileLock(folder.path / "lock"):
        folder.write_status("running")

    def refuse(path, *_, **__):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(os, "access", lambda *_: False)
    for write in ("mkdir", "write_text", "replace"):
        monkeypatch.setattr(Path, write, refuse)
    assert state("kept") == "lost"
    assert queues() == {}
    assert "cannot be written" in why_lost(folder)
    with pytest.raises(FkdError, match=r"cannot be written \(Read-only file system\)"):
        launch.resume("kept")


def test_a_run_is_renamed_and_exported(root, tmp_path, capsys):
    folder = make("old")
    folder.weights.write_bytes(b"weights")
    folder.append_metrics({"epoch": 1, "validation_nme": 5.0})
    folder.write_status("running")
    with FileLock(folder.path / "lock"):
        assert main(["runs", "rename", "old", "new"]) == 1
    assert "is running; stop it first" in capsys.readouterr().err
    folder.write_status("stopped")
    make("taken")
    for name, message in (("taken", "There is a run 'taken' already"), ("../out", "cannot name a run")):
        assert main(["runs", "rename", "old", name]) == 1
        assert message in capsys.readouterr().err
    assert main(["runs", "rename", "old", "new"]) == 0
    assert not folder.path.exists() and state("new") == "stopped"
    assert main(["runs", "export", "new", "--out", str(tmp_path / "new.zip")]) == 0
    with zipfile.ZipFile(tmp_path / "new.zip") as archive:
        assert archive.read("new/best.safetensors") == b"weights"
        assert json.loads(archive.read("new/metrics.jsonl")) == {"epoch": 1, "validation_nme": 5.0}
        assert {"new/config.json", "new/status.json"} <= set(archive.namelist())
    assert main(["runs", "export", "new", "--out", str(tmp_path / "new.zip" / "inside.zip")]) == 1
    assert "cannot be written" in capsys.readouterr().err
    assert main(["runs", "export", "nobody", "--out", str(tmp_path / "no.zip")]) == 1
    assert [path.name for path in tmp_path.glob("*.zip*")] == ["new.zip"]


def test_a_run_that_ends_while_it_is_looked_at_is_not_lost(root, monkeypatch):
    folder = make("ending")
    folder.write_status("running")

    def end_meanwhile(*_):
        folder.write_status("finished")
        return False

    monkeypatch.setattr(launch, "_is_going_on", end_meanwhile)
    assert state("ending") == "finished"


def test_show_gives_settings_and_the_reason_of_a_failure(root, capsys):
    folder = make("shown")
    folder.write_status("failed", reason="Memory ran out.")
    assert main(["runs", "show", "shown"]) == 0
    shown = capsys.readouterr().out
    assert "Memory ran out." in shown and "data       few" in shown
    assert "epochs=3" in shown and "best" not in shown
    for epoch, nme in ((1, 5.0), (2, 4.0), (3, 4.5)):
        folder.append_metrics({"epoch": epoch, "train_loss": 1.0, "validation_nme": nme})
    main(["runs", "show", "shown"])
    assert "epoch 2, whose weights are kept: NME 4.00 %" in capsys.readouterr().out
    main(["runs", "show", "shown", "--json"])
    everything = json.loads(capsys.readouterr().out)
    assert everything["config"]["data"] == "few" and everything["epochs"][2]["validation_nme"] == 4.5
    assert everything["status"]["reason"] == "Memory ran out."


IMPOSSIBLE = ['model_args={"width": [4]}', 'model_args={"widths": []}', 'model_args={"dropout": 2}']
IMPOSSIBLE += ['model_args={"widths": [-4]}', 'model_args={"keypoints": 3}']
UNTRAINABLE = [(setting,) for setting in ("data=fewer", "data=kaggle", "batch_size=1", *IMPOSSIBLE)]


@pytest.mark.parametrize("setting", [*UNTRAINABLE, ("model=heatmap", "model_args={}", "input_size=112")])
def test_what_cannot_be_trained_uses_no_name_up(setting, root, capsys):
    assert main(["train", "--recipe", "mlp", "--run", "a", "--set", *settings(1), *setting]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert list(root.iterdir()) == []


def test_weights_that_cannot_be_started_from_use_no_name_up(root, capsys):
    (root / "damaged.safetensors").write_bytes(b"no weights")
    for start, told in (("nonsense", "no weights 'nonsense'"), (root / "damaged.safetensors", "are damaged")):
        assert main(["train", "--recipe", "mlp", "--run", "a", "--set", *settings(1), f"start_from={start}"]) == 1
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert not (root / "a").exists()


def test_damaged_data_use_no_name_up(root, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "broken").mkdir(parents=True)
    (tmp_path / "data" / "broken" / "training.zip").write_bytes(b"no zip")
    assert main(["train", "--recipe", "mlp", "--run", "a", "--set", *settings(1), "data=broken"]) == 1
    assert "training.zip is no complete zip" in capsys.readouterr().err
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_can_begin(recipe, root, monkeypatch):
    monkeypatch.setattr("fkd.training.begin.check_names", lambda data: None)
    assert TrainConfig.from_dict(new_run(recipe, get_recipe(recipe)).read_config()) == get_recipe(recipe)


@pytest.mark.parametrize("arguments", [["train", "--recipe", "mlp", "--run", "a", "--set"], ["runs"]])
def test_a_folder_of_runs_that_cannot_be_made_is_one_sentence(arguments, root, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("FKD_RUNS", str(tmp_path / "file" / "runs"))
    assert main([*arguments, *(settings(1) if arguments[-1] == "--set" else [])]) == (arguments != ["runs"])
    assert capsys.readouterr().err.count("\n") == (arguments != ["runs"])


def test_unknown_runs_and_unasked_deletion_are_one_sentence(root, capsys, monkeypatch):
    assert main(["runs", "stop", "nobody"]) == 1
    assert "There is no run 'nobody'" in capsys.readouterr().err
    make("kept")
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: PTH123, SIM115
    assert main(["runs", "delete", "kept"]) == 1
    assert "add --yes" in capsys.readouterr().err
    assert state("kept") == "lost"
