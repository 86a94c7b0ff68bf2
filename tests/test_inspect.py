"""Looking inside networks: values computed by hand, planted dependencies, and models left as they were."""

from __future__ import annotations

import gc
import itertools
import resource
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from fkd.crop import CropFrame
from fkd.errors import FkdError
from fkd.inspect import Occlusion, activations, filtered, filters, grad_cam, heatmaps, layer_table, occlusion
from fkd.models import MODELS, KeypointNetwork, Output, create_model
from fkd.progress import listening
from fkd.schema import KAGGLE15
from fkd.weights import Card, TorchModel, load_model

SIZE = 64
RNG = np.random.default_rng(0)
CROP = RNG.integers(0, 256, (SIZE, SIZE), np.uint8)


def loaded(network: KeypointNetwork, name: str = "tiny") -> TorchModel:
    return TorchModel(
        Card(name, KAGGLE15, name, network.input_size, CropFrame(1.0)), network.eval().requires_grad_(False)
    )


def made(name: str) -> TorchModel:
    torch.manual_seed(0)
    return loaded(create_model(name, 15, SIZE), name)


class Tiny(KeypointNetwork):
    """Every point is at the mean of one 3x3 patch of the picture, doubled by a convolution."""

    def __init__(self) -> None:
        super().__init__(15, SIZE)
        self.doubling = nn.Conv2d(1, 2, 1, bias=False)
        self.pool = nn.MaxPool2d(2)
        with torch.no_grad():
            self.doubling.weight.copy_(torch.tensor([2.0, -1.0]).view(2, 1, 1, 1))

    def forward(self, images: torch.Tensor) -> Output:
        maps = self.pool(self.doubling(images))
        x = maps[:, 0, 10:13, 20:23].mean(dim=(1, 2))  # rows 20 to 25 and columns 40 to 45 of the crop
        y = torch.zeros_like(x)
        return Output(torch.stack([x, y], dim=-1)[:, None].expand(-1, 15, -1))

    def layers(self) -> dict[str, nn.Module]:
        return {"double": self.doubling, "pool": self.pool}


def test_activations_are_the_very_numbers_computed_by_hand() -> None:
    maps = activations(loaded(Tiny()), CROP, "double")
    grey = CROP.astype(np.float32) / np.float32(255)
    assert maps.dtype == np.float32
    np.testing.assert_array_equal(maps, np.stack([2 * grey, -grey]))
    pooled = activations(loaded(Tiny()), CROP, "pool")
    np.testing.assert_array_equal(pooled[0], (2 * grey).reshape(32, 2, 32, 2).max(axis=(1, 3)))


def test_the_table_of_a_tiny_network_is_right() -> None:
    double, pool = layer_table(loaded(Tiny()), CROP)
    assert (double.name, double.kind, double.output_shape, double.stride) == (
        "double",
        "convolution 1×1",
        (2, 64, 64),
        1,
    )
    assert (double.parameters, double.multiply_adds) == (2, 2 * 64 * 64)
    assert (pool.kind, pool.output_shape, pool.stride, pool.parameters) == ("max pooling", (2, 32, 32), 2, 0)
    assert double.milliseconds > 0


def test_the_time_of_a_layer_counts_what_a_gpu_has_yet_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = replace(loaded(Tiny()), device="cuda")
    monkeypatch.setattr("fkd.inspect._tensor", lambda *_: torch.zeros(1, 1, SIZE, SIZE))
    now_s, left_s = 0.0, 0.0

    def begin(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
        nonlocal left_s
        left_s += 3.0  # given to the device, which is not waited for

    def wait(device: str) -> None:
        nonlocal now_s, left_s
        now_s, left_s = now_s + left_s, 0.0

    monkeypatch.setattr("torch.cuda.synchronize", wait)
    monkeypatch.setattr("fkd.inspect.time.perf_counter", lambda: now_s)
    tiny.network.doubling.register_forward_hook(begin)
    assert [layer.milliseconds for layer in layer_table(tiny, CROP, repeats=2)] == [3000, 0]


@pytest.mark.parametrize("name", MODELS)
def test_every_network_tells_its_layers_and_what_they_give(name: str) -> None:
    model = made(name)
    for layer in layer_table(model, CROP, repeats=1):
        assert activations(model, CROP, layer.name).shape == layer.output_shape
        assert layer.kind
    # No parameter lies outside the layers that are told, but those of the mean shape, which has no layers.
    told = {id(p) for part in model.network.layers().values() for p in part.parameters()}
    assert {id(p) for p in model.network.parameters()} - told == (
        {id(model.network.shape_norm)} if name == "mean_shape" else set()
    )


@pytest.mark.parametrize("name", MODELS)
def test_occlusion_finds_something_in_every_network_but_the_mean(name: str) -> None:
    shift = occlusion(made(name), CROP, patch_px=32, step_px=32).shift_px
    assert shift.shape == (3, 3, 15, 2)
    assert (np.abs(shift).max() > 0) == (name != "mean_shape")


@pytest.mark.parametrize("name", ["heatmap", "resnet", "cnn5", "cnn"])
def test_grad_cam_is_as_large_as_the_crop(name: str) -> None:
    cam = grad_cam(made(name), CROP, keypoint=3)
    assert cam.shape == (SIZE, SIZE, 2)
    assert np.abs(cam).max() > 0


def test_grad_cam_agrees_with_values_computed_by_hand() -> None:
    # x is the mean of nine of 32 x 32 cells of channel 0, in pixels 63 / 2 of them.
    cam = grad_cam(loaded(Tiny()), CROP, keypoint=0, layer="pool")
    weight = 63 / 2 / (32 * 32)  # mean gradient over the cells of channel 0; channel 1 has none
    pooled = activations(loaded(Tiny()), CROP, "pool")[0]
    expected = nn.functional.interpolate(torch.from_numpy(weight * pooled)[None, None], size=SIZE, mode="bilinear")
    np.testing.assert_allclose(cam[:, :, 0], expected[0, 0].numpy(), rtol=1e-5)
    assert not cam[:, :, 1].any()


@pytest.mark.parametrize("name", ["mlp", "mean_shape"])
def test_networks_without_maps_have_no_grad_cam(name: str) -> None:
    with pytest.raises(FkdError, match="no layer whose output is a map"):
        grad_cam(made(name), CROP, keypoint=0)


def test_a_dense_layer_has_no_cells() -> None:
    with pytest.raises(FkdError, match="no cells"):
        grad_cam(made("cnn"), CROP, keypoint=0, layer="dense")


def test_occlusion_finds_the_planted_dependency() -> None:
    found = occlusion(loaded(Tiny()), CROP, patch_px=8, step_px=4)
    distance = found.distance_map(keypoint=7, size=SIZE)
    row, column = np.unravel_index(distance.argmax(), distance.shape)
    assert 20 - 4 <= row <= 25 + 4 and 40 - 4 <= column <= 45 + 4
    away = np.ones((SIZE, SIZE), bool)
    away[20 - 8 : 26 + 8, 40 - 8 : 46 + 8] = False
    assert not distance[away].any()  # what the network does not look at moves nothing
    assert not found.shift_map(7, axis=1, size=SIZE).any()


def test_occlusion_tells_its_progress_and_can_be_stopped() -> None:
    shares: list[float] = []
    with listening(lambda what, share: shares.append(share)):
        occlusion(loaded(Tiny()), CROP, patch_px=8, step_px=4)
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) > 5

    def stop(what: str, share: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), listening(stop):
        occlusion(loaded(Tiny()), CROP, patch_px=8, step_px=4)


def test_of_all_parts_the_one_at_the_planted_place_moves_a_point_most() -> None:
    found = occlusion(loaded(Tiny()), CROP, patch_px=8, step_px=4)
    points_px = np.full((15, 2), 5.0)
    points_px[list(KAGGLE15.groups["nose"])] = (42, 22)
    parts = found.by_part(7, points_px, KAGGLE15)
    assert list(parts) == [*KAGGLE15.groups, "elsewhere"]
    assert max(parts, key=lambda part: parts[part]) == "nose"
    assert parts["nose"] == np.linalg.norm(found.shift_px[:, :, 7], axis=-1).max()
    assert parts["eyes"] == parts["mouth"] == 0
    assert parts["elsewhere"] < parts["nose"]
    place_px, distance_px = found.strongest(7)
    assert distance_px == parts["nose"]
    assert np.abs(place_px - (42, 22)).max() <= found.patch_px / 2


def test_onnxruntime_finds_the_same_as_torch() -> None:
    crop = RNG.integers(0, 256, (128, 128), np.uint8)
    one, other = (occlusion(load_model("ibug68", runtime=name), crop, 48, 48) for name in ("torch", "onnx"))
    np.testing.assert_allclose(one.shift_px, other.shift_px, atol=0.05)
    assert np.abs(one.shift_px).max() > 0.5


def test_filters_of_convolutions_and_of_dense_layers_on_pixels() -> None:
    model = made("mlp")
    (weights,) = filters(model, "dense 1").values()
    assert weights.shape == (256, 1, SIZE, SIZE)
    np.testing.assert_array_equal(weights.reshape(256, -1), next(model.network.parameters()).numpy())
    assert filters(model, "dense 2") == {}
    narrow = loaded(create_model("cnn", 15, SIZE, widths=(16, 32, 64)), "cnn")
    assert narrow.network.layers()["dense"].get_submodule("0").in_features == SIZE * SIZE
    assert filters(narrow, "dense") == {}, "as many inputs as pixels, and none of them a pixel"
    assert [w.shape for w in filters(made("heatmap"), "stage 1, block 1").values()] == [(48, 48, 3, 3)] * 2


def test_a_picture_through_a_filter() -> None:
    sideways = np.array([[[[0, 0, 0], [-1, 0, 1], [0, 0, 0]]]], np.float32)
    (answer,) = filtered(CROP, sideways)
    grey = CROP.astype(np.float32) / 255
    np.testing.assert_allclose(answer[:, 1:-1], (grey[:, 2:] - grey[:, :-2]) / np.sqrt(2), atol=1e-6)


def test_heatmaps_add_up_and_tell_their_spread() -> None:
    model = made("heatmap")
    found = heatmaps(model, CROP)
    assert found is not None and found.stride == 4
    assert found.probabilities.shape == (15, 16, 16)
    np.testing.assert_allclose(found.probabilities.sum(axis=(1, 2)), 1, rtol=1e-5)
    # An untrained head is nearly uniform: 16 cells a side have a deviation of sqrt((16^2 - 1) / 12) each way.
    assert found.spread_px.mean() == pytest.approx(4 * np.sqrt(2 * (16**2 - 1) / 12), rel=0.1)
    assert heatmaps(made("cnn"), CROP) is None


@pytest.mark.parametrize("keypoint", [15, -1])
def test_a_keypoint_that_is_none_is_told_with_how_many_there_are(keypoint: int) -> None:
    found = Occlusion(np.zeros((3, 3, 15, 2)), 8, np.array([0.0, 8.0, 16.0]))
    points_px = np.zeros((15, 2))
    for ask in (
        lambda: grad_cam(loaded(Tiny()), CROP, keypoint, "pool"),
        lambda: found.distance_map(keypoint, SIZE),
        lambda: found.shift_map(keypoint, 0, SIZE),
        lambda: found.strongest(keypoint),
        lambda: found.by_part(keypoint, points_px, KAGGLE15),
    ):
        with pytest.raises(FkdError, match=f"no keypoint {keypoint}; there are 15, counted from 0"):
            ask()


def test_an_unknown_layer_is_told_with_the_known_ones() -> None:
    with pytest.raises(FkdError, match="no layer 'stom'; it has 'stem', '"):
        activations(made("heatmap"), CROP, "stom")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums that torch shares out among a changing number of threads differ in their last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def hooks_of(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def test_no_hook_stays_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    model = made("heatmap")
    activations(model, CROP, "stem")
    layer_table(model, CROP)
    grad_cam(model, CROP, 0)

    def fail(*_: object) -> torch.Tensor:
        raise RuntimeError

    monkeypatch.setattr("fkd.inspect._tensor", fail)
    for look in (lambda: activations(model, CROP, "stem"), lambda: grad_cam(model, CROP, 0, "stem")):
        with pytest.raises(RuntimeError):
            look()
    assert hooks_of(model.network) == 0
    assert not any(p.requires_grad or p.grad is not None for p in model.network.parameters())


def test_a_look_takes_no_memory_for_parameters() -> None:
    from fkd.inspect import _private_copy

    network = made("heatmap").network
    assert {p.data_ptr() for p in _private_copy(network).parameters()} == {p.data_ptr() for p in network.parameters()}


def test_memory_stays_flat_over_two_hundred_layer_changes() -> None:
    torch.manual_seed(0)
    model = loaded(create_model("heatmap", 15, 128), "heatmap")
    crop = RNG.integers(0, 256, (128, 128), np.uint8)
    names = [layer.name for layer in layer_table(model, crop, repeats=1)]

    def grown_by(times: int) -> int:
        before = process_bytes()
        for _, name in zip(range(times), itertools.cycle(names), strict=False):
            activations(model, crop, name)
        return process_bytes() - before

    grown_by(len(names))
    modules = living_modules()
    # Kept activations would take some 40 MB each time; a heap that only settles does so once.
    assert any(grown_by(200) < 15e6 for _ in range(3))
    # Kept copies of the network without its parameters would be thousands of modules.
    assert living_modules() == modules


def process_bytes() -> int:
    """The memory that this process takes; where that is not told, the most it has ever taken."""
    pages = Path("/proc/self/statm")
    if pages.is_file():
        return int(pages.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def living_modules() -> int:
    gc.collect()
    return sum(issubclass(type(found), nn.Module) for found in gc.get_objects())


def test_threads_that_look_at_different_layers_do_not_mix(one_thread: None) -> None:
    model = made("heatmap")
    crops = RNG.integers(0, 256, (4, SIZE, SIZE), np.uint8)
    names = ["stem", "stage 1, block 1", "merge, stride 4", "heatmaps"]
    expected = [activations(model, crop, name) for crop, name in zip(crops, names, strict=True)]
    wrong: list[str] = []

    def look(crop: np.ndarray, name: str, wanted: np.ndarray) -> None:
        torch.set_num_threads(1)
        for _ in range(10):
            if not np.array_equal(activations(model, crop, name), wanted):
                wrong.append(name)

    threads = [threading.Thread(target=look, args=row) for row in zip(crops, names, expected, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert hooks_of(model.network) == 0
