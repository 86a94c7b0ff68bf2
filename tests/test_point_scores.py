"""Scores of points that learn once more when the points are settled, and what is made of them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from fkd.cli import main
from fkd.data import SOURCES
from fkd.evaluation.scores import share_of_ideal_gain
from fkd.progress import listening
from fkd.runtime import Answer, TorchModel, flip_averaged
from fkd.schema import KAGGLE15
from fkd.training import loop
from fkd.training.faces import load_faces
from fkd.training.point_scores import fit_point_scores
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.weights import find_weights, load_torch_model, points_digest
from tests.drawn import TINY_SETTINGS, drawn_faces

SMALL = 'model_args={"widths": [8, 8, 16, 16, 16], "fused": 16}'
SETTINGS = [*TINY_SETTINGS, SMALL, "epochs=12", "input_size=64", "learning_rate=0.005", "ema=0.9"]
CONFIG = get_recipe("heatmap15").with_settings(SETTINGS)


def faces_hard_to_see(n: int = 160):
    """Drawn faces; in every other one, noise hides the spots."""
    faces = drawn_faces(n)
    faces.images_u8[::2] = np.random.default_rng(1).integers(0, 256, faces.images_u8[::2].shape)
    return faces


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A short training of a small network with heatmaps."""
    for place in ("RUNS", "RESULTS", "WEIGHTS"):
        monkeypatch.setenv(f"FKD_{place}", str(tmp_path / place))
    monkeypatch.setitem(SOURCES, "drawn", faces_hard_to_see)
    folder = RunFolder.create("mine")
    folder.write_config(CONFIG.as_dict())
    loop.train(CONFIG, folder)
    return folder


def gain(model: TorchModel) -> float:
    """Of the scores of one look at every face that has all labels."""
    faces = faces_hard_to_see()
    crops = torch.nn.functional.interpolate(torch.from_numpy(faces.images_u8)[:, None].float(), size=64)
    found = model.predict(crops[:, 0].to(torch.uint8).numpy(), flip=False)
    errors = np.linalg.norm((found.points_px + 0.5) / 2 - 0.5 - faces.points_px, axis=2)
    known = np.isfinite(errors)
    return share_of_ideal_gain(errors[known], found.point_scores[known].astype(np.float64))


def test_scores_learn_alone_and_rank_errors_better(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fkd.training.point_scores._MOST_EPOCHS", 100)
    model, told = load_torch_model("run:mine"), []
    with torch.no_grad():
        model.network.score_head.answer.zero_()  # as if it had learnt nothing
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    worse = gain(model)
    with listening(lambda what, share: told.append((what, share))):
        fit_point_scores(model.network, CONFIG, load_faces(CONFIG, run).train)
    changed = {name for name, value in model.network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all(name.startswith("score_head.") for name in changed)
    assert gain(model) > max(worse, 0.2)
    assert told[0] == ("learning how sure to be of each point", 0.0) and told[-1][1] == 1.0
    assert not model.network.training and not any(p.requires_grad for p in model.network.parameters())


def test_a_network_without_scores_stays_as_it_is() -> None:
    config = get_recipe("mlp").with_settings(TINY_SETTINGS)
    network = loop.create_model("mlp", 15, 32, widths=(16,))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fit_point_scores(network, config, drawn_faces())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_promoted_weights_place_points_as_their_run_does_and_always_score_alike(run: RunFolder) -> None:
    assert main(["promote", "mine", "--name", "best"]) == 0
    first = find_weights("best").read_bytes()
    assert points_digest(find_weights("best")) == points_digest(run.weights)
    ours, theirs = load_torch_model("best").network.state_dict(), load_torch_model("run:mine").network.state_dict()
    assert not torch.equal(ours["score_head.answer"], theirs["score_head.answer"])
    assert main(["promote", "mine", "--name", "best", "--replace"]) == 0
    assert find_weights("best").read_bytes() == first


def test_points_that_moved_have_another_digest(run: RunFolder, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors, moved = load_file(run.weights), tmp_path / "moved.safetensors"
    tensors["heatmap_head.bias"] = tensors["heatmap_head.bias"] + 1
    save_file(tensors, moved)
    assert points_digest(moved) != points_digest(run.weights)


def test_a_point_on_which_two_looks_disagree_scores_lower() -> None:
    size, points = 96, np.random.default_rng(0).uniform(20, 70, (1, 15, 2)).astype(np.float32)
    mirrored = KAGGLE15.mirror(points, size).astype(np.float32)
    mirrored[0, KAGGLE15.mirror_partners[3], 1] += 10
    scores = np.full((2, 15), 0.8, np.float32)
    found = flip_averaged(Answer(np.concatenate([points, mirrored]), scores, np.ones(2)), KAGGLE15, size)
    others = np.delete(found.point_scores[0], 3)
    np.testing.assert_allclose(others, 0.8, rtol=1e-4)
    assert found.point_scores[0, 3] == pytest.approx(0.8 * np.exp(-5 * 10 / (size - 1)), rel=1e-4)
    np.testing.assert_array_equal(found.face_scores, 1)
