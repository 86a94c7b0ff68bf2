"""The training loop on faces small enough to train in seconds: spots in noise."""

import contextlib
import dataclasses
import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fkd.augment import Augmentation
from fkd.cli import main
from fkd.data import SOURCES
from fkd.data.dataset import Dataset
from fkd.data.label_offsets import LABEL_OFFSETS_PX
from fkd.data.splits import split
from fkd.errors import FkdError
from fkd.models import norm_to_px
from fkd.schema import KAGGLE15
from fkd.training import loop, progress
from fkd.training.batches import FaceBatches
from fkd.training.config import TrainConfig
from fkd.training.group import Group
from fkd.training.recipes import RECIPES, get_recipe
from fkd.training.run import RunFolder
from fkd.training.usage import Load
from fkd.training.validation import Measured, different_faces
from fkd.weights import load_model

TINY = {"widths": (8, 8, 8, 8, 8), "fused": 8}
N = 60


def tiny_dataset(n=N, side=64):
    """Each face is a constellation of the same shape, shifted; points of the two brows may be missing."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(12, 52, (15, 2))
    shape[3], shape[5] = (50, 25), (14, 25)
    points = (shape + rng.uniform(-6, 6, (n, 1, 2))).astype(np.float32)
    images = rng.integers(0, 60, (n, side, side)).astype(np.uint8)
    for image, face in zip(images, points, strict=True):
        for brightness, (x, y) in zip(range(100, 250, 10), face, strict=True):
            image[int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3] = brightness
    points[::7, 6:10] = np.nan
    names = np.array([f"face {i}" for i in range(n)])
    same = {"sources": np.full(n, "tiny"), "rows": names, "published_split": np.full(n, "training")}
    return Dataset("tiny", KAGGLE15, images, points, groups=names, **same)


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.setitem(SOURCES, "tiny", tiny_dataset)
    monkeypatch.setenv("FKD_RUNS", str(tmp_path))
    recipe = get_recipe("heatmap15").with_settings(["data=tiny", "input_size=64", "epochs=4", "batch_size=16"])
    return recipe.with_settings([f"model_args={json.dumps(TINY)}", "precision=fp32", "validation_share=0.2"])


def start(config, name):
    run = RunFolder.create(name)
    run.write_config(config.as_dict())
    return run


def losses_of(run):
    timed = ("seconds", "images_per_s", "memory_mb")
    return [{k: v for k, v in m.items() if k not in timed} for m in run.read_epochs()]


def test_it_learns(config):
    config = dataclasses.replace(config, augmentation=Augmentation(mirror=True))
    config = config.with_settings(["epochs=60", "learning_rate=0.01", "ema=0.9", "heatmap_sigma=0.7"])
    run = start(config, "learns")
    loop.train(config, run)
    metrics = run.read_epochs()
    assert [m["epoch"] for m in metrics] == list(range(1, 61))
    assert metrics[-1]["validation_nme"] < 0.5 * metrics[0]["validation_nme"]
    assert json.loads((run.path / "status.json").read_text())["state"] == "finished"


@pytest.mark.parametrize("name", [name for name, recipe in RECIPES.items() if recipe.config.data == "kaggle"])
def test_every_recipe_of_15_points_runs_to_its_end(name, config):
    small = {"heatmap": TINY, "resnet": {"widths": (8, 8, 8, 8), "blocks": 1}}
    recipe = get_recipe(name)
    settings = ["data=tiny", "input_size=64", "epochs=1", "batch_size=16", "validation_share=0.2"]
    recipe = recipe.with_settings([*settings, f"model_args={json.dumps(small.get(recipe.model, {}))}"])
    run = start(recipe, name)
    loop.train(recipe, run)
    assert json.loads((run.path / "status.json").read_text())["state"] == "finished"
    assert load_model(run.weights).card.training["recipe"] == name


def test_the_mean_shape_is_the_mean_of_the_training_faces(config):
    recipe = get_recipe("mean-shape").with_settings(["data=tiny", "input_size=64", "epochs=30", "batch_size=16"])
    recipe = recipe.with_settings(["validation_share=0.2", "precision=fp32"])
    run = start(recipe, "mean")
    loop.train(recipe, run)
    faces = tiny_dataset()
    mean_px = np.nanmean(faces.points_px[split(faces, 0, 0.2)["train"]], axis=0)
    shape_norm = load_model(run.weights).network.shape_norm
    np.testing.assert_allclose(norm_to_px(shape_norm, 64).numpy(), mean_px, atol=0.7)


@pytest.mark.parametrize(("missing", "faces"), [("mask", 1.0), ("interpolate", 1.0), ("drop", 0.87)])
def test_missing_labels_are_treated_as_asked(missing, faces, config):
    run = start(config, f"missing-{missing}")
    trainer = loop.Trainer(config.with_settings([f"missing={missing}", "batch_size=2"]), run, torch.device("cpu"))
    labels = trainer.train_faces.points_px
    everything = int(split(tiny_dataset(), 0, 0.2)["train"].sum())
    assert len(labels) == pytest.approx(faces * everything, abs=3)
    # Interpolating starts from the first labelled row.
    assert labels[1:].isnan().any() == (missing == "mask")
    assert np.isnan(trainer.validation.faces.points_px).any()  # measured on the true labels alone


def test_nothing_left_to_train_on_is_one_sentence(config, monkeypatch):
    faces = tiny_dataset()
    faces.points_px[:, 0] = np.nan
    monkeypatch.setitem(SOURCES, "tiny", lambda: faces)
    run = start(config, "nothing")
    with pytest.raises(FkdError, match="No face of tiny is left to train on"):
        loop.train(config.with_settings(["missing=drop"]), run)
    assert "missing=mask" in json.loads((run.path / "status.json").read_text())["reason"]


def test_validation_faces_that_cannot_be_measured_end_the_run_at_once(config, monkeypatch):
    faces = tiny_dataset()
    faces.points_px[split(faces, 0, 0.2)["validation"], faces.schema.normalising_pair[0]] = np.nan
    monkeypatch.setitem(SOURCES, "tiny", lambda: faces)
    run = start(config, "unmeasured")
    with pytest.raises(FkdError, match="None of the validation faces has both outer eye corners"):
        loop.train(config, run)
    assert not run.read_metrics()


def test_the_weights_of_a_run_load_and_carry_its_settings(config):
    run = start(config, "loads")
    loop.train(config, run)
    model = load_model(run.weights)
    assert TrainConfig.from_dict(model.card.training["config"]) == config
    prediction = model.predict(np.zeros((2, 64, 64), np.uint8))
    assert prediction.points_px.shape == (2, 15, 2)


def train_interrupted(config, name, monkeypatch, error, after=2):
    """A run that an error ends when an epoch is complete and more has been written, before it is resumed."""
    run, finish = start(config, name), loop.Trainer._finish_epoch

    def finish_then_fail(self, record):
        finish(self, record)
        if record["epoch"] == after:
            self.run.append_metrics({"epoch": "a line that the checkpoint does not know"})
            raise error

    with monkeypatch.context() as patch, contextlib.suppress(RuntimeError):
        patch.setattr(loop.Trainer, "_finish_epoch", finish_then_fail)
        loop.train(config, run)
    assert run.read_metrics()[-1]["epoch"] == "a line that the checkpoint does not know"
    return run


def test_a_resumed_run_is_the_uninterrupted_one_to_the_last_digit(config, monkeypatch):
    whole = start(config, "whole")
    loop.train(config, whole)
    broken = train_interrupted(config, "broken", monkeypatch, RuntimeError("killed"))
    loop.train(config, broken, resume=True)
    assert len(broken.read_epochs()) == config.epochs
    assert all(isinstance(record["epoch"], (int, float)) for record in broken.read_metrics())
    assert losses_of(broken) == losses_of(whole)
    first, second = (load_model(run.weights).network.state_dict() for run in (whole, broken))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_run_killed_before_its_first_checkpoint_starts_anew(config, monkeypatch):
    config = config.with_settings(["epochs=2", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "early")
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(torch, "save", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        loop.train(config, run)
    assert len(run.read_epochs()) == 1
    loop.train(config, run, resume=True)
    assert [record["epoch"] for record in run.read_epochs()] == [1, 2]


def test_a_stopped_run_says_so_and_can_go_on(config, monkeypatch):
    run = train_interrupted(config, "stopped", monkeypatch, loop.Stopped(), after=1)
    assert json.loads((run.path / "status.json").read_text())["state"] == "stopped"
    loop.train(config, run, resume=True)
    assert len(run.read_epochs()) == config.epochs


def test_a_loss_that_is_no_number_ends_the_run_with_the_reason(config, monkeypatch):
    monkeypatch.setattr(loop, "total_loss", lambda *_: torch.tensor(float("nan"), requires_grad=True))
    run = start(config, "nan")
    with pytest.raises(FkdError, match="loss is nan at step 0; try a lower learning rate"):
        loop.train(config, run)
    assert "lower learning rate" in json.loads((run.path / "status.json").read_text())["reason"]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_memory_that_runs_out_suggests_a_smaller_batch(error, config, monkeypatch):
    def fail(*_):
        raise error

    monkeypatch.setattr(loop, "total_loss", fail)
    run = start(config, "memory")
    with pytest.raises(FkdError, match="Memory ran out with batches of 16 faces; try batch_size=8"):
        loop.train(config, run)
    assert json.loads((run.path / "status.json").read_text())["state"] == "failed"


def test_an_unexpected_error_is_named_and_traced(config, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError("division by zero\nwith details")

    monkeypatch.setattr(loop, "total_loss", fail)
    run = start(config, "unexpected")
    with pytest.raises(ZeroDivisionError):
        loop.train(config, run)
    reason = json.loads((run.path / "status.json").read_text())["reason"]
    assert reason == "ZeroDivisionError: division by zero; see log.txt"
    assert "Traceback" in (run.path / "log.txt").read_text()


def test_missing_data_ends_the_run_with_the_reason(config):
    run = start(config, "missing-data")
    with pytest.raises(FkdError, match="There is no dataset 'nowhere'"):
        loop.train(config.with_settings(["data=nowhere"]), run)
    assert "nowhere" in json.loads((run.path / "status.json").read_text())["reason"]


def test_a_run_stops_when_nothing_gets_better_and_stays_stopped(config, monkeypatch):
    nme = iter([5.0, 4.0, 4.5, 4.0, 3.0, 2.0])
    monkeypatch.setattr(Measured, "figures", lambda self: {"validation_nme": next(nme)})
    config = config.with_settings(["epochs=6", "patience=2", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "patience")
    for resume in (False, True):
        loop.train(config, run, resume=resume)
        assert [record["validation_nme"] for record in run.read_epochs()] == [5.0, 4.0, 4.5, 4.0]
        status = json.loads((run.path / "status.json").read_text())
        assert (status["state"], status["epoch"], status["validation_nme"]) == ("finished", 4, 4.0)


def test_lines_between_epochs_and_a_status_say_how_it_goes(config, monkeypatch):
    config = config.with_settings(["epochs=2", "batch_size=8", "model=mlp", 'model_args={"widths": [4]}'])
    monkeypatch.setattr(progress, "_BETWEEN_S", 0.0)
    statuses = []
    write = RunFolder.write_status
    monkeypatch.setattr(
        RunFolder,
        "write_status",
        lambda self, state, **p: (statuses.append({"state": state, **p}), write(self, state, **p)),
    )
    run = start(config, "between")
    loop.train(config, run)
    records, epochs = run.read_metrics(), run.read_epochs()
    steps = epochs[0]["step"]
    assert [record["step"] for record in records] == list(range(1, 2 * steps + 1))
    assert [record["epoch"] for record in records] == pytest.approx([(i + 1) / steps for i in range(2 * steps)])
    between = [record for record in records if "validation_nme" not in record]
    assert len(between) == 2 * (steps - 1)
    assert all(
        set(record) == {"epoch", "step", "learning_rate", "train_loss", "images_per_s", "seconds"} for record in between
    )
    assert epochs[1]["validation_loss"] > 0 and epochs[1]["memory_mb"] > 10
    running = [status for status in statuses if status["state"] == "running"]
    assert running[-1]["step"] == running[-1]["steps"] == 2 * steps
    assert running[0]["learning_rate"] == pytest.approx(between[0]["learning_rate"])
    assert all(0 <= status["load"] <= 1 and status["seconds_left"] >= 0 for status in running)


def test_a_line_between_epochs_has_the_mean_loss_since_the_line_before(config, monkeypatch):
    run = RunFolder.create("mean")
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    counter = progress.Progress(run, torch.device("cpu"), batch_size=4, epoch_steps=10, epochs=2, done=1, seconds=50.0)
    counter.start_epoch({"epoch": 1})
    for losses in ([1.0], [1.0, 2.0], [1.0, 2.0, 9.0]):
        now[0] += 1.5
        counter.count()
        if counter.is_due:
            counter.tell(losses, 0.1)
    (line,) = run.read_metrics()
    assert (line["step"], line["epoch"], line["train_loss"], line["images_per_s"]) == (12, 1.2, 1.5, 2.7)
    assert line["seconds"] == 53


def test_epochs_shorter_than_a_pause_have_a_heartbeat_too(config, monkeypatch):
    run = RunFolder.create("short")
    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    counter = progress.Progress(run, torch.device("cpu"), batch_size=4, epoch_steps=2, epochs=9, done=0, seconds=0.0)
    told = []
    for epoch in range(6):
        counter.start_epoch({"epoch": epoch})
        for _ in range(2):
            now[0] += 0.25
            counter.count()
            if counter.is_due:
                counter.tell([1.0, 2.0], 0.1)
                told.append(run.read_status())
        counter.end_steps()
        record = {"epoch": epoch + 1, "train_loss": 1.5, "validation_nme": 9.0, "images_per_s": 16.0}
        counter.end_epoch({**record, "learning_rate": 0.1}, {"epoch": epoch + 1})
        now[0] += 0.1
    assert [(status["step"], status["epoch"], status["seconds_left"]) for status in told] == [(7, 3, 3)]
    assert told[0]["state"] == "running" and told[0]["images_per_s"] == 16


def test_the_status_of_a_killed_run_knows_all_epochs_that_it_can_go_on_from(config, monkeypatch):
    run = start(config, "killed")
    statuses = []

    def killed_in_the_third(trainer, batch, step):
        if trainer.epoch == 2:
            statuses.append(run.read_status())
            raise KeyboardInterrupt
        return original(trainer, batch, step)

    original = loop.Trainer._step
    monkeypatch.setattr(loop.Trainer, "_step", killed_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        loop.train(config.with_settings(["epochs=4"]), run)
    best = min(epoch["validation_nme"] for epoch in run.read_epochs())
    assert (statuses[0]["state"], statuses[0]["epoch"], statuses[0]["validation_nme"]) == ("running", 2, best)
    assert torch.load(run.checkpoint, weights_only=True)["epoch"] == 2


def test_memory_is_that_of_the_training_and_not_of_who_started_it(config):
    alone = "import torch; from fkd.training.usage import peak_memory_mb; print(peak_memory_mb(torch.device('cpu')))"
    beside = f"taken = b'x' * (700 << 20); import subprocess, sys; subprocess.run([sys.executable, '-c', {alone!r}])"
    told = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        for program in (alone, beside)
    ]
    if told[0] == "None":
        pytest.skip("nobody counts memory here")
    own, after = map(float, told)
    assert 50 < own < 700 and after == pytest.approx(own, rel=0.2)


def test_the_same_faces_are_shown_after_each_epoch(config, monkeypatch):
    run = start(config, "samples")
    loop.train(config.with_settings(["epochs=2"]), run)
    images_u8, true_px = run.samples.faces()
    assert images_u8.shape == (8, 64, 64) and images_u8.dtype == np.uint8
    assert run.samples.epochs() == [1, 2]
    assert run.samples.predicted_px(1).shape == (8, 15, 2)
    assert not np.array_equal(run.samples.predicted_px(1), run.samples.predicted_px(2))
    # The spots are where the true points say: they are brighter than the noise.
    for image, points in zip(images_u8, true_px, strict=True):
        x, y = points[np.isfinite(points).all(axis=1)].round().astype(int).T
        inside = (x >= 0) & (x < 64) & (y >= 0) & (y < 64)
        assert np.median(image[y[inside], x[inside]]) > 100
    worst = run.samples.worst()
    assert (np.diff(worst.nme) <= 0).all() and worst.images_u8.shape == (8, 64, 64)
    errors = np.linalg.norm(worst.points_px - worst.true_px, axis=-1)
    eyes = np.linalg.norm(worst.true_px[:, 3] - worst.true_px[:, 5], axis=-1)
    np.testing.assert_allclose(worst.nme, 100 * np.nanmean(errors, axis=1) / eyes, rtol=1e-3)
    mean = np.nanmean(run.samples.keypoint_nme(2))
    assert mean == pytest.approx(run.read_epochs()[1]["validation_nme"], rel=0.1)
    with pytest.raises(FkdError, match="no samples of epoch 3"):
        run.samples.predicted_px(3)


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("aaaaaabbbbcde", [0, 6, 11, 12]),  # one of each of four groups, among them the first and the last
        ("aaaaaabbbb", [0, 3, 6, 9]),  # too few groups
        ("ab", [0, 1]),
    ],
)
def test_the_faces_shown_are_of_different_groups(groups, expected):
    assert different_faces(np.array(list(groups)), 4).tolist() == expected


def test_samples_that_are_damaged_are_named(config):
    run = start(config, "damaged-samples")
    assert run.samples.faces() is None and run.samples.worst() is None and run.samples.epochs() == []
    run.samples.write_epoch(1, np.zeros((8, 15, 2)), np.zeros(15))
    (run.samples.folder / "epoch-0001.npz").write_bytes(b"PK not really")
    with pytest.raises(FkdError, match=r"epoch-0001\.npz are damaged"):
        run.samples.keypoint_nme(1)


def test_snapshots_are_weights(config):
    config = config.with_settings(["keep_every=2", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "snapshots")
    loop.train(config, run)
    assert sorted(path.name for path in run.path.glob("epoch-*")) == [
        "epoch-0002.safetensors",
        "epoch-0004.safetensors",
    ]
    assert load_model(run.snapshot(2)).card.training["epoch"] == 2


def test_a_run_knows_what_it_was_made_with(config, monkeypatch):
    config = config.with_settings(["epochs=1", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "made-with")
    loop.train(config, run)
    made_with = run.read_made_with()
    assert made_with["versions"]["torch"] == torch.__version__
    assert made_with["split"] == {part: int(mask.sum()) for part, mask in split(tiny_dataset(), 0, 0.2).items()}
    assert TrainConfig.from_dict(run.read_config()) == config
    faces = tiny_dataset()
    faces.points_px[0, 0] += 1
    monkeypatch.setitem(SOURCES, "tiny", lambda: faces)
    with pytest.raises(FkdError, match="The faces of tiny have changed"):
        loop.train(config, run, resume=True)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_half_precision_learns_and_resumes(precision, config, monkeypatch):
    settings = [f"precision={precision}", "model=mlp", 'model_args={"widths": [16], "dropout": 0}', "ema=0"]
    config = dataclasses.replace(config, augmentation=Augmentation()).with_settings([*settings, "epochs=15"])
    run = start(config, "half")
    loop.train(config, run)
    losses = [record["train_loss"] for record in run.read_epochs()]
    assert losses[-1] < losses[0] - 0.1
    broken = train_interrupted(config, "half-broken", monkeypatch, RuntimeError("killed"))
    loop.train(config, broken, resume=True)
    assert losses_of(broken) == losses_of(run)


def test_the_number_format_follows_the_device(monkeypatch):
    cuda, cpu = torch.device("cuda"), torch.device("cpu")
    monkeypatch.setattr(loop, "computes_bf16", lambda device: False)
    assert loop.compute_dtype("auto", cuda) == torch.float16
    assert loop.compute_dtype("auto", cpu) == torch.float32
    monkeypatch.setattr(loop, "computes_bf16", lambda device: True)
    assert loop.compute_dtype("auto", cuda) == loop.compute_dtype("auto", cpu) == torch.bfloat16
    assert loop.compute_dtype("fp32", cuda) == torch.float32


def test_processes_of_one_group_take_the_same_number_format(monkeypatch):
    monkeypatch.setattr(loop, "computes_bf16", lambda device: True)
    group = Group()
    monkeypatch.setattr(group, "all_agree", lambda answer: False)  # another one's GPU is older
    assert loop.compute_dtype("auto", torch.device("cuda"), group) == torch.float16
    assert loop.compute_dtype("bf16", torch.device("cuda"), group) == torch.bfloat16


def test_a_run_goes_on_where_the_number_format_is_another(config, monkeypatch):
    monkeypatch.setattr(loop, "computes_bf16", lambda device: True)
    run = start(config, "moved")
    loop.train(dataclasses.replace(config, epochs=1), run)
    monkeypatch.setattr(loop, "compute_dtype", lambda *arguments: torch.float16)
    loop.train(dataclasses.replace(config, epochs=2), run, resume=True)
    assert [record["epoch"] for record in run.read_epochs()] == [1, 2]


def test_a_gpu_that_tells_no_load_stops_no_training(monkeypatch):
    class NotSupported(Exception):
        pass

    def refuse(device):
        raise NotSupported

    monkeypatch.setattr("torch.cuda.utilization", refuse)
    assert Load(torch.device("cuda")).share() is None


def full_disk(path):
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


@pytest.mark.parametrize("what", ["last.pt.tmp", "best.safetensors.tmp", "metrics.jsonl", "epoch-0002.tmp"])
def test_a_disk_that_fills_up_ends_the_run_and_leaves_its_last_checkpoint(what, config, monkeypatch, capsys):
    """Only the status can still be written, once what is half written has been deleted."""
    config = config.with_settings(["epochs=2", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "full")
    loop.train(config.with_settings(["epochs=1"]), run)
    before, opened, load = run.checkpoint.read_bytes(), Path.open, loop.Trainer.load_checkpoint
    (run.path / "half-written.tmp").write_bytes(b"...")

    def open_unless_full(path, mode="r", *args, **kwargs):
        full = path.name == what or (path.name == "status.json.tmp" and (run.path / "half-written.tmp").exists())
        return full_disk(path) if full and mode != "r" and "r" not in mode else opened(path, mode, *args, **kwargs)

    def load_and_forget(trainer):
        load(trainer)
        trainer.best = float("inf")  # so that the second epoch writes weights, whatever it reaches

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_unless_full)
        patch.setattr(loop.Trainer, "load_checkpoint", load_and_forget)
        with pytest.raises(FkdError, match=r"cannot be written \(No space left on device\); free some space"):
            loop.train(config, run, resume=True)
    assert run.checkpoint.read_bytes() == before
    assert main(["runs", "show", "full"]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown and "No space left on device" in shown
    loop.train(config, run, resume=True)
    assert [record["epoch"] for record in run.read_epochs()] == [1, 2]


def test_a_folder_that_is_read_only_has_the_reason_in_its_status(config, monkeypatch):
    """Where no file can be made or renamed, those that are there can still be written into."""
    config = config.with_settings(["epochs=2", "model=mlp", 'model_args={"widths": [4]}'])
    run = start(config, "read-only")
    loop.train(config.with_settings(["epochs=1"]), run)
    run.write_status("running")

    def refuse(path, *_):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(FkdError, match="Read-only file system"):
        loop.train(config, run, resume=True)
    assert run.read_status()["state"] == "failed"
    assert "Read-only file system" in run.read_status()["reason"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts thirty processes, which takes a fork to be quick")
def test_thirty_kills_lose_nothing(config):
    """Kill -9 at random moments: between epochs, while files are written, and before the first epoch has ended."""
    config = config.with_settings(["epochs=90", "model=mlp", 'model_args={"widths": [2]}', "input_size=32"])
    whole, killed = start(config, "whole"), start(config, "killed")
    torch.set_num_threads(1)
    loop.train(config, whole)
    epoch_s = whole.read_status()["heartbeat"] - (whole.path / "split.csv").stat().st_mtime
    epoch_s /= config.epochs
    dice, kills = random.Random(0), 0
    processes = multiprocessing.get_context("fork")
    for kill in range(30):
        worker = processes.Process(target=loop.train, args=(config, killed), kwargs={"resume": True})
        worker.start()
        known = len(killed.read_epochs())
        ends = time.monotonic() + 120
        while len(killed.read_epochs()) < known + kill % 3 and worker.is_alive() and time.monotonic() < ends:
            time.sleep(0.002)
        time.sleep(dice.random() * 2 * epoch_s)
        worker.kill()
        worker.join()
        kills += worker.exitcode == -signal.SIGKILL
        epochs = [record["epoch"] for record in killed.read_epochs()]
        assert epochs == list(range(1, len(epochs) + 1)) and len(epochs) >= known - 1
    assert kills == 30
    loop.train(config, killed, resume=True)
    assert len(losses_of(killed)) == config.epochs
    assert losses_of(killed) == losses_of(whole)


def test_a_damaged_checkpoint_is_named(config):
    run = start(config, "damaged")
    run.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(FkdError, match=r"last\.pt is damaged"):
        loop.train(config, run, resume=True)


def test_a_half_written_line_of_metrics_is_left_out(config):
    run = start(config, "half")
    run.append_metrics({"epoch": 1})
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"epoch": 2, "lo')
    assert run.read_metrics() == [{"epoch": 1}]


class TestBatches:
    def test_points_lie_on_what_they_name(self, config):
        """The brightness of each spot tells which point it is, also after mirroring."""
        config = config.with_settings(["negatives=0", "augmentation.light=0", "augmentation.noise=0"])
        config = config.with_settings(["augmentation.blur=0", "augmentation.cover=0"])
        batches = FaceBatches(tiny_dataset(), config, torch.device("cpu"))
        batch = next(batches.epoch(torch.Generator().manual_seed(0)))
        seen = torch.nn.functional.grid_sample(
            batch.images, batch.points_norm[:, None].nan_to_num(9), align_corners=True
        )
        wanted = torch.arange(100, 250, 10) / 255
        inside = (batch.points_norm.abs() < 1).all(dim=-1)
        mirrored_back = torch.minimum((seen[:, 0, 0] - wanted).abs(), (seen[:, 0, 0] - wanted[batches.partners]).abs())
        assert (mirrored_back[inside] < 0.06).float().mean() > 0.8  # neighbouring spots may overlap

    def test_a_mirrored_picture_has_its_partners_swapped(self, config):
        quiet = [
            f"augmentation.{name}=0" for name in ("rotation_deg", "scale", "shift", "light", "noise", "blur", "cover")
        ]
        batches = FaceBatches(tiny_dataset(), config.with_settings([*quiet, "negatives=0"]), torch.device("cpu"))
        batch = next(batches.epoch(torch.Generator().manual_seed(0)))
        # The subject's left eye has the larger x in every picture, mirrored or not.
        assert (batch.points_norm[:, 3, 0] > batch.points_norm[:, 5, 0]).all()

    def test_an_offset_of_the_labels_stays_on_its_side(self, config, monkeypatch):
        """Labels 3 pixels to the right of their spots are so in mirrored pictures too."""
        monkeypatch.setitem(LABEL_OFFSETS_PX, "tiny", 3.0)
        faces = tiny_dataset()
        faces.points_px[..., 0] += 3
        names = ("rotation_deg", "scale", "shift", "light", "noise", "blur", "cover")
        quiet = config.with_settings([*(f"augmentation.{name}=0" for name in names), "negatives=0"])
        batches = FaceBatches(faces, quiet, torch.device("cpu"))
        batch = next(batches.epoch(torch.Generator().manual_seed(0)))
        spots = batch.points_norm - torch.tensor([3 * 2 / 63, 0])
        seen = torch.nn.functional.grid_sample(batch.images, spots[:, None].nan_to_num(9), align_corners=True)[:, 0, 0]
        assert (seen * 255)[torch.isfinite(spots[..., 0])].min() > 99  # noise is below 60

    def test_crops_beside_the_face_have_no_points(self, config):
        batches = FaceBatches(tiny_dataset(), config.with_settings(["negatives=0.25"]), torch.device("cpu"))
        batch = next(batches.epoch(torch.Generator().manual_seed(1)))
        assert (~batch.is_face).sum() == 4
        assert batch.points_norm[~batch.is_face].isnan().all()
        assert batch.points_norm[batch.is_face].isfinite().any(dim=(1, 2)).all()

    def test_faces_are_less_turned_and_shifted_after_the_cool_down(self, config):
        """Both epochs draw the same numbers, so every crop of the second lies closer to its unchanged place."""
        config = config.with_settings(["negatives=0", "augmentation.mirror=false", "epochs=4", "cool_down=0.5"])
        config = config.with_settings([f"augmentation.{name}" for name in ("rotation_deg=30", "scale=0", "shift=0.2")])
        batches = FaceBatches(tiny_dataset(), config, torch.device("cpu"))
        still = batches.unchanged(np.arange(len(tiny_dataset()))).points_norm

        def furthest(epoch):
            generator = torch.Generator().manual_seed(5)
            order = torch.randperm(len(still), generator=torch.Generator().manual_seed(5))
            drawn = torch.cat([batch.points_norm for batch in batches.epoch(generator, epoch)])
            return (drawn - still[order[: len(drawn)]]).nan_to_num(0).abs().amax(dim=(1, 2))

        hot, last_hot, cool = furthest(0), furthest(1), furthest(2)
        assert torch.equal(hot, last_hot) and (cool < 0.6 * hot).all() and cool.min() > 0

    def test_an_epoch_is_drawn_again_exactly(self, config):
        batches = FaceBatches(tiny_dataset(), config, torch.device("cpu"))
        first, second = (list(batches.epoch(torch.Generator().manual_seed(3))) for _ in range(2))
        assert all(torch.equal(a.images, b.images) for a, b in zip(first, second, strict=True))


def test_the_last_epochs_of_a_training_are_cool(config, monkeypatch):
    told = []
    monkeypatch.setattr(FaceBatches, "epoch", spied(FaceBatches.epoch, told))
    config = config.with_settings(["epochs=3", "cool_down=0.34"])
    loop.train(config, start(config, "cool"))
    assert told == [0, 1, 2]
    cool = [config.augmentation_of(epoch) != config.augmentation for epoch in told]
    assert cool == [False, False, True]
    assert config.with_settings(["cool_down=0"]).augmentation_of(2) == config.augmentation


def spied(epoch_of, told):
    def epoch(self, generator, epoch=0):
        told.append(epoch)
        return epoch_of(self, generator, epoch)

    return epoch


class TestConfig:
    def test_a_whole_number_in_a_recipe_may_be_changed_to_another_number(self):
        changed = get_recipe("ibug68").with_settings(["augmentation.rotation_deg=12.5"])
        assert changed.augmentation.rotation_deg == 12.5

    @pytest.mark.parametrize("name", RECIPES)
    def test_a_recipe_survives_json(self, name):
        assert TrainConfig.from_dict(json.loads(json.dumps(get_recipe(name).as_dict()))) == get_recipe(name)

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("epochs", "has no '='"),
            ("epochs=0", "epochs: expected 1 to 10000, received 0"),
            ("epochs=many", "epochs takes a whole number, not 'many'"),
            ("loss=huber", "loss: expected one of mse, l1, wing, log"),
            ("depth=3", "Unknown setting 'depth'; known are recipe, data"),
            ("epoch=3", "Unknown setting 'epoch'; did you mean epochs?"),
            ("augmentation.blurr=1", "did you mean augmentation.blur?"),
            ("noise=1", "did you mean augmentation.noise?"),
            ("augmentation=1", "Unknown setting 'augmentation'"),
            ("augmentation.scale=2", "scale: expected 0 to 0.5"),
            ("model_args=[1]", "model_args takes an object in JSON"),
        ],
    )
    def test_a_wrong_setting_is_one_sentence(self, setting, message):
        with pytest.raises(FkdError, match=message):
            get_recipe("heatmap68").with_settings([setting])

    def test_settings_may_be_given_together_or_one_by_one(self, config):
        one_by_one = ["--set", "epochs=1", "input_size=64", "--set", "seed=7"]
        one_by_one += ["--set", f"model_args={json.dumps(TINY)}"]
        assert main(["train", "--recipe", "heatmap15", "--data", "tiny", "--run", "set", *one_by_one]) == 0
        stored = TrainConfig.from_dict(RunFolder.open("set").read_config())
        assert (stored.epochs, stored.input_size, stored.seed, stored.model_args["fused"]) == (1, 64, 7, TINY["fused"])

    def test_unknown_recipe_names_the_known_ones(self):
        with pytest.raises(FkdError, match="cnn5-68"):
            get_recipe("resnet152")

    def test_a_run_is_not_overwritten(self, config):
        start(config, "once")
        with pytest.raises(FkdError, match="There is a run 'once' already"):
            RunFolder.create("once")

    @pytest.mark.parametrize("name", ["", "../elsewhere", ".hidden", "a/b", "a b", "-a", "a@1", "größer", "a\n"])
    def test_a_new_name_is_of_letters_digits_and_little_else(self, name):
        with pytest.raises(FkdError, match="cannot name a run; use letters"):
            RunFolder.create(name)

    def test_a_run_with_a_name_from_elsewhere_can_be_opened(self):
        run = RunFolder.create("a.b-c_1")
        run.write_config({})
        assert RunFolder.open(run.path.rename(run.path.with_name("a b")).name).read_config() == {}
