"""One network that places points as each dataset's labellers do."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import fkd
from fkd.crop import CropFrame
from fkd.data import SOURCES
from fkd.data.dataset import Dataset
from fkd.disturb import DISTURBANCES
from fkd.errors import FkdError
from fkd.evaluation.assess import measure_disturbances
from fkd.evaluation.evaluate import detect_dataset, evaluate, predict_dataset
from fkd.export import export_onnx
from fkd.models import create_model
from fkd.schema import KAGGLE15
from fkd.training import loop
from fkd.training.batches import FaceBatches
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.weights import Card, load_model, load_torch_model, save_weights
from tests.drawn import drawn_faces

STYLES = ("left", "right")
TINY = {"widths": (8, 8, 8, 8, 8), "fused": 8, "styles": STYLES}
APART_PX = 6.0


def two_labellers() -> Dataset:
    """Pictures of both sources are alike; one has its points further to the right, a third nobody knows."""
    faces = drawn_faces(n=120, side=64)
    sources = np.array([("left", "right", "another")[i % 3] for i in range(120)])
    moved = faces.points_px + np.where(sources == "right", APART_PX, 0.0)[:, None, None] * np.array([1, 0])
    return dataclasses.replace(faces, sources=sources, points_px=moved.astype(np.float32))


@pytest.fixture
def config(monkeypatch, tmp_path):
    monkeypatch.setitem(SOURCES, "two", two_labellers)
    monkeypatch.setenv("FKD_RUNS", str(tmp_path))
    settings = ["data=two", "input_size=64", "epochs=40", "batch_size=16", "precision=fp32", "learning_rate=0.01"]
    settings += [f"model_args={json.dumps(TINY)}", "ema=0.9", "negatives=0", "validation_share=0.2"]
    config = get_recipe("heatmap15").with_settings(settings)
    return dataclasses.replace(config, augmentation=dataclasses.replace(config.augmentation, mirror=False))


def styled_network():
    torch.manual_seed(0)
    network = create_model("heatmap", 15, 64, **TINY).eval()
    for modulation in network.modulations:
        torch.nn.init.normal_(modulation.change.weight, std=0.3)
    return network


def test_each_row_is_placed_in_its_own_style_and_in_the_first_where_none_is_asked_for():
    network, images = styled_network(), torch.rand(4, 1, 64, 64)
    first, second = (network(images, torch.full((4,), style)) for style in (0, 1))
    assert (first.points_norm - second.points_norm).abs().max() > 1e-3
    mixed = network(images, torch.tensor([0, 1, 1, 0]))
    expected = torch.stack([first.points_norm[0], *second.points_norm[1:3], first.points_norm[3]])
    torch.testing.assert_close(mixed.points_norm, expected)
    torch.testing.assert_close(network(images).points_norm, first.points_norm)


def test_styles_change_nothing_before_they_are_learnt():
    network, x = create_model("heatmap", 15, 64, **TINY), torch.rand(3, 8, 4, 4)
    torch.testing.assert_close(network.modulations[0](x, torch.tensor([0, 1, 0])), x)


def test_the_rows_of_a_batch_bring_the_style_of_their_source(config):
    batches = FaceBatches(two_labellers(), config, torch.device("cpu"))
    rows = np.array([0, 1, 2, 3, 4])
    assert batches.unchanged(rows).styles.tolist() == [0, 1, 0, 0, 1]  # the third source takes the first style
    plain = config.with_settings([f"model_args={json.dumps({**TINY, 'styles': []})}"])
    assert len(FaceBatches(two_labellers(), plain, torch.device("cpu")).unchanged(rows).inputs) == 1


def test_two_labellers_are_learnt_apart(config):
    run = RunFolder.create("apart")
    run.write_config(config.as_dict())
    loop.train(config, run)
    model, faces = load_torch_model(run.weights), two_labellers()
    as_each = {name: predict_dataset(model, dataclasses.replace(faces, sources=np.full(120, name))) for name in STYLES}
    apart = (as_each["right"] - as_each["left"]).mean(axis=(0, 1))
    np.testing.assert_allclose(apart, (APART_PX, 0), atol=1.0)
    np.testing.assert_allclose(predict_dataset(model, faces)[1::3], as_each["right"][1::3], atol=1e-3)
    np.testing.assert_allclose(predict_dataset(model, faces)[2::3], as_each["left"][2::3], atol=1e-3)


def test_the_first_style_is_what_is_exported(tmp_path):
    card = Card("styled", KAGGLE15, "heatmap", 64, CropFrame(1.3), TINY)
    path = tmp_path / "styled.safetensors"
    save_weights(path, styled_network(), card)
    export_onnx(path, path.with_suffix(".onnx"))
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64)).astype(np.uint8)
    torch_model, onnx_model = load_torch_model(path), load_model(path, runtime="onnx")
    np.testing.assert_allclose(onnx_model.predict(crops).points_px, torch_model.predict(crops).points_px, atol=0.01)
    styled = torch_model.with_style("right").predict(crops).points_px
    assert np.abs(styled - torch_model.predict(crops).points_px).max() > 0.1
    np.testing.assert_array_equal(
        torch_model.with_style("nobody").predict(crops).points_px, torch_model.predict(crops).points_px
    )
    assert onnx_model.with_style("nobody") is onnx_model
    np.testing.assert_allclose(onnx_model.with_style("right").predict(crops).points_px, styled, atol=1e-4)


def test_a_style_can_be_asked_for_by_name(tmp_path):
    path = tmp_path / "styled.safetensors"
    save_weights(path, styled_network(), Card("styled", KAGGLE15, "heatmap", 64, CropFrame(1.3), TINY))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    plain, left, right = (
        fkd.load(path, style=style, refinements=0)(image, [[8, 8, 56, 56]])[0].points_px for style in (None, *STYLES)
    )
    np.testing.assert_array_equal(plain, left)
    assert np.abs(right - left).max() > 0.1
    with pytest.raises(FkdError, match="cannot place points as in 'nobody'; it has the styles left and right"):
        fkd.load(path, style="nobody")
    export_onnx(path, tmp_path / "alone.onnx")
    assert fkd.load(tmp_path / "alone.onnx", style="left")
    with pytest.raises(FkdError, match="holds the style left alone"):
        fkd.load(tmp_path / "alone.onnx", style="right")


def test_all_faces_are_measured_in_the_style_that_is_asked_for(config):
    run = RunFolder.create("apart")
    run.write_config(config.as_dict())
    loop.train(config.with_settings(["epochs=1"]), run)
    model, faces = load_torch_model(run.weights), two_labellers()
    as_right = predict_dataset(model, dataclasses.replace(faces, sources=np.full(120, "right")))
    outcome = evaluate(model, faces, "all", box_errors=False, style="right")
    np.testing.assert_array_equal(outcome.predicted_px, as_right[outcome.rows])


def test_what_is_measured_through_the_pipeline_takes_the_style_of_each_source(tmp_path, monkeypatch):
    asked = []

    class Asked:
        def __init__(self, model):
            self.style = model.style

        def __call__(self, image_rgb_u8, boxes=None):
            asked.append(self.style)
            return [SimpleNamespace(points_px=np.zeros((15, 2)))]

    path = tmp_path / "styled.safetensors"
    save_weights(path, styled_network(), Card("styled", KAGGLE15, "heatmap", 64, CropFrame(1.3), TINY))
    monkeypatch.setattr("fkd.pipeline.predict.Pipeline", Asked)
    monkeypatch.setattr("fkd.evaluation.assess.Pipeline", Asked)
    faces = two_labellers().subset(np.arange(3))
    detect_dataset(load_torch_model(path), faces)
    assert asked == ["left", "right", ""]  # nobody knows the third
    asked.clear()
    measure_disturbances(load_torch_model(path), faces)
    assert asked == ["left", "right", ""] * (1 + len(DISTURBANCES))
