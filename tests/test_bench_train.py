"""The textbook loop does what the engine does, and both are measured."""

import dataclasses

import numpy as np
import pytest
import torch

from fkd.augment import Augmentation
from fkd.bench import train
from fkd.bench.peak import peak_gflop_per_s, training_gflop
from fkd.data import SOURCES
from fkd.data.synthetic import synthetic_dataset
from fkd.models import create_model
from fkd.training.batches import FaceBatches
from fkd.training.recipes import get_recipe

FACES = synthetic_dataset("ibug68", count=12, faces_per_person=1)


def files(augmentation, folder):
    config = get_recipe("heatmap68").with_settings(["input_size=64", "batch_size=4"])
    config = dataclasses.replace(config, augmentation=augmentation)
    batches = FaceBatches(FACES, config, torch.device("cpu"))
    return batches, train.FaceFiles(FACES, batches.maps.numpy(), config, folder)


def test_an_unchanged_face_is_the_engines(tmp_path):
    batches, textbook = files(Augmentation(), tmp_path)
    batch = batches.unchanged(np.arange(len(FACES)))
    for i in range(len(FACES)):
        image, points_norm, hidden, is_face = textbook[i]
        torch.testing.assert_close(points_norm, batch.points_norm[i], atol=1e-4, rtol=0)
        assert (image - batch.images[i]).abs().mean() < 0.01
        assert not hidden.any() and is_face


def test_points_follow_their_face(tmp_path):
    """However a face is turned and mirrored, its subject's left eye stays on the side of its left mouth corner."""
    _, textbook = files(Augmentation(rotation_deg=25, scale=0.17, shift=0.08, mirror=True), tmp_path)
    _, still = files(Augmentation(), tmp_path)
    mirrored = 0
    for i in range(len(FACES)):
        before, after = still[i][1].double(), textbook[i][1].double()
        ones = torch.ones(68, 1, dtype=torch.double)
        flipped = before[list(FACES.schema.mirror_partners)]
        fits = [torch.linalg.lstsq(torch.cat([b, ones], 1), after) for b in (before, flipped)]
        errors = [
            (torch.cat([b, ones], 1) @ fit.solution - after).norm()
            for b, fit in zip((before, flipped), fits, strict=True)
        ]
        determinant = torch.linalg.det(fits[int(errors[1] < errors[0])].solution[:2])
        assert min(errors) < 1e-3  # an affine map takes the points there
        assert (determinant < 0) == (errors[1] < errors[0])  # one that mirrors when partners have changed places
        mirrored += int(determinant < 0)
    assert 0 < mirrored < len(FACES)


def test_both_sides_are_measured(monkeypatch):
    monkeypatch.setitem(SOURCES, "synthetic68", lambda: FACES)
    small = ('model_args={"widths": [8, 8, 8, 8, 8], "fused": 8}', "input_size=64", "batch_size=2", "fold=-1")
    found = train.measure(turns=1, turn_s=0.0, settings=(*small, "validation_share=0.4"))
    rates = [found[side]["images_per_s"] for side in ("engine", "textbook")]
    assert found["ratio"] == pytest.approx(rates[0] / rates[1], rel=0.05)
    assert min(rates) > 0 and found["batch_size"] == 2
    gflop, peak = found["gflop_per_image"], found["engine"]["peak_gflop_per_s"]
    assert found["engine"]["share_of_peak"] == pytest.approx(gflop * rates[0] / peak, abs=0.01)
    assert found["ratio_at_peak"] == pytest.approx(peak / gflop / rates[1], rel=0.05)


def test_operations_of_a_step_are_those_of_its_layers():
    network = create_model("mlp", 15, 96)
    sizes = [layer.weight.shape for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    multiplied = [outputs * inputs for outputs, inputs in sizes]
    # There, and back to the weights and to the inputs, which the first layer does not need.
    wanted = sum(2 * 3 * count for count in multiplied) - 2 * multiplied[0]
    assert training_gflop(network, torch.device("cpu")) == pytest.approx(wanted / 1e9, rel=1e-3)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_device_computes():
    assert peak_gflop_per_s(torch.float32, torch.device("cpu")) > 0.1
