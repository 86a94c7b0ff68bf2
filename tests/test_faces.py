"""Which faces a run learns from, watches and never sees, and what it keeps of that."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.crop import tight_boxes, tight_boxes_from_points
from fkd.data import SOURCES, notes
from fkd.data.dataset import Dataset
from fkd.data.splits import shared_groups, split
from fkd.errors import FkdError
from fkd.schema import KAGGLE15
from fkd.training import loop
from fkd.training.batches import FaceBatches, input_maps
from fkd.training.config import TrainConfig
from fkd.training.faces import load_faces, split_faces
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.training.trial import count_faces

N = 200


def people() -> Dataset:
    """Two hundred faces of a hundred people; a tenth is published as test, a third lacks a label."""
    rng = np.random.default_rng(0)
    points_px = rng.uniform(4, 28, (N, 15, 2)).astype(np.float32)
    points_px[::3, 4] = np.nan
    return Dataset(
        "people",
        KAGGLE15,
        rng.integers(0, 255, (N, 32, 32)).astype(np.uint8),
        points_px,
        groups=np.array([f"person_{i // 2}" for i in range(N)]),
        sources=np.full(N, "people"),
        rows=np.array([str(i) for i in range(N)]),
        published_split=np.array(["test" if i < N // 10 else "training" for i in range(N)]),
    )


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setitem(SOURCES, "people", people)
    monkeypatch.setenv("FKD_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("FKD_NOTES", str(tmp_path / "notes"))
    return RunFolder.create("tried")


def settings(*changes: str) -> TrainConfig:
    return TrainConfig(data="people").with_settings(list(changes))


def test_the_default_holds_out_the_fold_that_evaluating_takes() -> None:
    faces = people()
    for part, mask in split_faces(faces, settings("fold=2", "validation_share=0.1")).items():
        np.testing.assert_array_equal(mask, split(faces, 2, 0.1)[part])
    assert not split_faces(faces, settings("fold=-1"))["test"].any()


@pytest.mark.parametrize("way", ["group", "random", "files"])
def test_other_ways_of_splitting_are_drawn_by_their_seed(way: str) -> None:
    faces = people()
    masks = split_faces(faces, settings(f"split={way}", "test_share=0.3", "validation_share=0.1"))
    assert (np.sum(list(masks.values()), axis=0) == 1).all()
    assert masks["test"].mean() == pytest.approx(0.1 if way == "files" else 0.3, abs=0.02)
    assert faces.complete[masks["test"]].mean() == pytest.approx(2 / 3, abs=0.1)
    assert any(shared_groups(faces.groups, masks).values()) == (way == "random")
    other = split_faces(faces, settings(f"split={way}", "split_seed=1", "validation_share=0.1"))
    assert (other["validation"] != masks["validation"]).any()


def test_a_run_keeps_its_split(run: RunFolder) -> None:
    config = settings("split=random", "validation_share=0.1")
    faces = load_faces(config, run)
    faces.write(run)
    kept = list(csv.DictReader(io.StringIO(run.read_text("split.csv") or "")))
    masks = split_faces(people(), config)
    assert [line["row"] for line in kept] == people().rows.tolist()
    for part, mask in masks.items():
        assert [line["part"] == part for line in kept] == mask.tolist()
        assert faces.made_with["split"][part] == mask.sum()
    assert run.read_text("notes.csv") is None


@pytest.mark.parametrize("whole", [False, True])
def test_faces_that_cannot_be_cut_out_are_left_out_and_counted(run: RunFolder, monkeypatch, whole: bool) -> None:
    faces = people()
    masks = split_faces(faces, settings())
    spoilt = {part: np.flatnonzero(masks[part])[:n] for part, n in (("train", 3), ("validation", 2))}
    faces.points_px[spoilt["train"][0]] = np.nan  # not one label
    faces.points_px[spoilt["train"][1], 1:] = np.nan  # one alone
    faces.points_px[spoilt["train"][2], -1] = np.nan  # not the lower lip, where the box would end
    faces.points_px[spoilt["validation"]] = np.nan
    monkeypatch.setitem(SOURCES, "people", lambda: faces)
    config = settings(f"whole_picture={whole}")
    used = load_faces(config, run)
    counts = {part: int(masks[part].sum()) - (0 if whole else len(rows)) for part, rows in spoilt.items()}
    assert {"train": len(used.train), "validation": len(used.validation)} == counts
    assert used.made_with.get("without_box") == (None if whole else {"train": 3, "validation": 2})
    assert count_faces(config.as_dict()) == {**counts, "test": masks["test"].sum()}
    for part in (used.train, used.validation):
        batches = FaceBatches(part, config, torch.device("cpu"))
        assert batches.maps.isfinite().all() and (batches.maps[:, :, :2].det().abs() > 0).all()


def test_15_points_are_cut_out_as_in_photos() -> None:
    faces, frame = people(), settings().crop
    boxes = tight_boxes_from_points(faces.points_px, KAGGLE15)
    np.testing.assert_allclose(input_maps(faces, frame, 64), frame.matrices(boxes, 64))
    assert (boxes[:, 3] > tight_boxes(faces.points_px)[:, 3]).all()  # they reach the chin


class TestNotes:
    """Flags and corrections change what is learnt, and never what is watched or held out."""

    @pytest.fixture(autouse=True)
    def noted(self, run: RunFolder) -> dict[str, int]:
        """A face of each part is corrected and the next flagged."""
        faces = people()
        masks = split_faces(faces, settings())
        corrected = {part: int(np.flatnonzero(mask)[0]) for part, mask in masks.items()}
        for part, row in corrected.items():
            notes.correct(faces, row, {0: {"x": 1.0, "y": 2.0}, 1: {"x": 3.0}})
            notes.set_flag(faces, int(np.flatnonzero(masks[part])[1]), True)
        return corrected

    def test_are_not_applied_unless_asked_for(self, run: RunFolder) -> None:
        faces = load_faces(settings(), run)
        np.testing.assert_array_equal(
            faces.train.points_px, people().points_px[split_faces(people(), settings())["train"]]
        )
        assert "notes" not in faces.made_with

    def test_change_the_faces_to_learn_from_alone(self, run: RunFolder, noted: dict[str, int]) -> None:
        plain, faces = load_faces(settings(), run), load_faces(settings("notes=true"), run)
        assert len(faces.train) == len(plain.train) - 1
        assert faces.train.points_px[0, 0] == pytest.approx([1, 2])
        np.testing.assert_array_equal(faces.train.points_px[1:], plain.train.points_px[2:])
        np.testing.assert_array_equal(faces.validation.points_px, plain.validation.points_px)
        told = faces.made_with["notes"]
        assert {name: told[name] for name in ("flagged_faces", "corrected_faces", "corrected_points")} == {
            "flagged_faces": 1,
            "corrected_faces": 1,
            "corrected_points": 2,
        }
        assert faces.made_with["data_hash"] == plain.made_with["data_hash"]

    def test_count_before_a_training_as_in_it(self, run: RunFolder) -> None:
        for config in (settings(), settings("notes=true")):
            used = load_faces(config, run)
            counts = count_faces(config.as_dict())
            assert (counts["train"], counts["validation"]) == (len(used.train), len(used.validation))

    def test_a_resumed_run_takes_those_it_was_started_with(self, run: RunFolder, noted: dict[str, int]) -> None:
        started = load_faces(settings("notes=true"), run)
        started.write(run)
        notes.take_back(people(), noted["train"])
        resumed = load_faces(settings("notes=true"), run)
        np.testing.assert_array_equal(resumed.train.points_px, started.train.points_px)
        assert resumed.made_with["notes"] == started.made_with["notes"]
        anew = load_faces(settings("notes=true"), RunFolder.create("anew"))
        assert anew.made_with["notes"]["hash"] != started.made_with["notes"]["hash"]

    def test_that_no_longer_fit_are_counted(self, run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
        others = people()
        others.points_px[:] += 1
        monkeypatch.setitem(SOURCES, "people", lambda: others)
        told = load_faces(settings("notes=true"), run).made_with["notes"]
        assert told["unfit_notes"] == 9
        assert told["flagged_faces"] == told["corrected_points"] == 0

    def test_are_told_in_the_configuration_of_a_run_and_by_the_command(self, run: RunFolder, capsys) -> None:
        small = ["data=people", "notes=true", "epochs=1", "batch_size=16", "input_size=32", "validation_share=0.1"]
        config = get_recipe("mean-shape").with_settings(small)
        run.write_config(config.as_dict())
        loop.train(config, run)
        assert run.read_config()["notes"] is True
        assert run.read_made_with()["notes"]["flagged_faces"] == 1
        assert (run.read_text("notes.csv") or "").count(",point,") == 6
        assert run.read_status()["state"] == "finished"
        told = run.read_made_with()["notes"]
        assert main(["runs", "show", run.name]) == 0
        left_out = f"1 flagged and left out, {told['corrected_faces']} corrected ({told['corrected_points']} points)"
        assert left_out in capsys.readouterr().out


def test_flagging_every_face_leaves_nothing_to_learn_from(run: RunFolder) -> None:
    text = "row,source,note\n" + "".join(f"{i},people,flag\n" for i in range(N))
    notes.merge(people(), text, "all.csv")
    with pytest.raises(FkdError, match="flagged"):
        load_faces(settings("notes=true"), run)
