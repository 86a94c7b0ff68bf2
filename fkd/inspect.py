"""What a network does inside: its layers, their activations and filters, and what moves a keypoint.

    model = load_model("ibug68")
    layers = layer_table(model, crop_gray_u8)
    maps = activations(model, crop_gray_u8, "stem")  # (c, h, w)

Nothing is ever hooked on the model itself, which other threads may be using: each call looks at a copy
of its own, which shares the parameters and is gone when the call ends.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from fkd.errors import FkdError
from fkd.models import KeypointNetwork, norm_to_px
from fkd.models.layers import ResidualBlock
from fkd.progress import steps
from fkd.runtime import LoadedModel, TorchModel
from fkd.schema import Schema

_KINDS: dict[type[nn.Module], str] = {
    nn.Linear: "dense",
    nn.BatchNorm2d: "norm",
    nn.ReLU: "ReLU",
    nn.MaxPool2d: "max pooling",
    nn.Dropout: "dropout",
}
_BATCH = 32


@dataclass(frozen=True)
class Layer:
    """A row of `layer_table`.

    Attributes:
        name: what the network calls it.
        kind: what it is made of.
        output_shape: channels, rows and columns, or the length of a vector.
        stride: pixels of the crop for each cell of the output; None where the output has no cells.
        parameters: numbers that were learned.
        multiply_adds: multiplications of convolutions and dense layers, each with its addition, for one crop.
        milliseconds: for one crop, measured here; the least of several passes, since others on the machine only add.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    stride: int | None
    parameters: int
    multiply_adds: int
    milliseconds: float


@dataclass(frozen=True)
class Heatmaps:
    """Where a network sees each keypoint.

    Attributes:
        probabilities: (k, h, w) float32; each map adds up to 1.
        spread_px: (k,) deviation round the mean, in pixels of the crop.
        stride: pixels of the crop for each cell.
    """

    probabilities: np.ndarray
    spread_px: np.ndarray
    stride: float


@dataclass(frozen=True)
class Occlusion:
    """How far each keypoint moves when a part of the crop is covered; `FkdError` where one is asked for that is none.

    Attributes:
        shift_px: (rows, columns, k, 2) movement in x and y, in pixels of the crop.
        patch_px: side of the grey square.
        centres_px: (rows,) coordinates of the squares' centres, the same in x and in y.
    """

    shift_px: np.ndarray
    patch_px: int
    centres_px: np.ndarray

    def distance_map(self, keypoint: int, size: int) -> np.ndarray:
        """(size, size) float32: how far the keypoint moves when the place is covered, in pixels."""
        return self._enlarged(self._distance_px(keypoint), size)

    def shift_map(self, keypoint: int, axis: int, size: int) -> np.ndarray:
        """(size, size) float32: the movement along x (axis 0) or y (axis 1), in pixels."""
        return self._enlarged(self._shift_px(keypoint)[..., axis], size)

    def strongest(self, keypoint: int) -> tuple[np.ndarray, float]:
        """Which square moves the keypoint most: (2,) x, y of its centre, and how far; both in pixels of the crop."""
        distance = self._distance_px(keypoint)
        row, column = np.unravel_index(distance.argmax(), distance.shape)
        return np.array([self.centres_px[column], self.centres_px[row]]), float(distance[row, column])

    def by_part(self, keypoint: int, points_px: np.ndarray, schema: Schema) -> dict[str, float]:
        """How far the keypoint moves at most when a part of the face is covered, in pixels of the crop.

        Args:
            keypoint: index of the keypoint that moves.
            points_px: (k, 2) where the network sees the points in the uncovered crop.
            schema: whose groups are the parts.

        Returns:
            Each group of the schema, in its order, and `elsewhere`: the squares that cover no point.
        """
        distance = self._distance_px(keypoint)
        near = np.abs(self.centres_px[:, None] - points_px.T[:, None]) <= self.patch_px / 2  # (2, centres, k)
        covered = near[1][:, None] & near[0][None]  # (rows, columns, k)
        parts = {group: covered[..., list(members)].any(axis=-1) for group, members in schema.groups.items()}
        parts["elsewhere"] = ~covered.any(axis=-1)
        return {part: float(distance[squares].max(initial=0)) for part, squares in parts.items()}

    def _distance_px(self, keypoint: int) -> np.ndarray:
        return np.linalg.norm(self._shift_px(keypoint), axis=-1)

    def _shift_px(self, keypoint: int) -> np.ndarray:
        _check_keypoint(keypoint, self.shift_px.shape[2])
        return self.shift_px[:, :, keypoint]

    def _enlarged(self, values: np.ndarray, size: int) -> np.ndarray:
        places = np.interp(np.arange(size), self.centres_px, np.arange(len(self.centres_px))).astype(np.float32)
        x, y = np.meshgrid(places, places)
        return cv2.remap(values.astype(np.float32), x, y, cv2.INTER_LINEAR)


def layer_table(model: TorchModel, crop_gray_u8: np.ndarray, repeats: int = 10) -> list[Layer]:
    """The layers in the order in which the network uses them.

    Args:
        model: any weights.
        crop_gray_u8: (s, s) uint8, as the network takes it.
        repeats: passes that are timed, at least one.
    """
    probe = _private_copy(model.network)
    layers = probe.layers()
    shapes: dict[str, tuple[int, ...]] = {}  # filled in the order of use
    work = dict.fromkeys(layers, 0)
    seconds: dict[str, list[float]] = {name: [] for name in layers}
    with torch.inference_mode():
        for name, layer in layers.items():
            _note_shape(layer, shapes, name)
            _count_work(layer, work, name)
        probe(_tensor(model, crop_gray_u8))
        timed = _private_copy(model.network)  # without the hooks that count, which take time themselves
        for name, layer in timed.layers().items():
            _time(layer, seconds[name], model.device)
        for _ in range(repeats):
            timed(_tensor(model, crop_gray_u8))
    return [
        Layer(
            name,
            _kind(layers[name]),
            shape,
            round(model.card.input_size / shape[-1]) if len(shape) == 3 else None,
            sum(parameter.numel() for parameter in layers[name].parameters()),
            work[name],
            1000 * min(seconds[name]),
        )
        for name, shape in shapes.items()
    ]


def activations(model: TorchModel, crop_gray_u8: np.ndarray, layer: str) -> np.ndarray:
    """What a layer gives for a crop.

    Args:
        model: any weights.
        crop_gray_u8: (s, s) uint8.
        layer: a name from `layer_table`.

    Returns:
        (c, h, w) float32, or (c,) from a dense layer: the very numbers that the network computes.

    Raises:
        FkdError: the network has no such layer.
    """
    probe = _private_copy(model.network)
    kept: list[torch.Tensor] = []

    def keep(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
        kept.append(output[0].clone())  # what comes after may work in place

    _layer(probe, layer).register_forward_hook(keep)
    with torch.inference_mode():
        probe(_tensor(model, crop_gray_u8))
    return kept[0].float().cpu().numpy()


def filters(model: TorchModel, layer: str) -> dict[str, np.ndarray]:
    """What the convolutions of a layer look for.

    Returns:
        (outputs, inputs, h, w) float32 of each convolution, by its name inside the layer. A dense layer on
        pixels, the network's first, counts as filters as large as the crop; other dense layers have none.

    Raises:
        FkdError: the network has no such layer.
    """
    size, is_first = model.card.input_size, layer == next(iter(model.network.layers()), None)
    found = {}
    for name, module in _layer(model.network, layer).named_modules():
        if isinstance(module, nn.Conv2d):
            found[name or layer] = module.weight
        elif is_first and isinstance(module, nn.Linear) and module.in_features == size * size:
            found[name or layer] = module.weight.view(-1, 1, size, size)
    return {name: weight.detach().float().cpu().numpy() for name, weight in found.items()}


def filtered(crop_gray_u8: np.ndarray, filters: np.ndarray) -> np.ndarray:
    """The crop seen through filters of a first layer, each normalised to sum of squares 1.

    The crop's mean grey is taken away first: filters whose weights do not add up to 0 would show little else.

    Args:
        crop_gray_u8: (s, s) uint8.
        filters: (outputs, 1, h, w) from `filters`.

    Returns:
        (outputs, s, s) float32; the answer of each filter at each pixel.
    """
    grey = (crop_gray_u8 - crop_gray_u8.mean(dtype=np.float32)) / np.float32(255)
    kernels = filters[:, 0] / np.maximum(np.linalg.norm(filters[:, 0], axis=(1, 2), keepdims=True), 1e-12)
    return np.stack([cv2.filter2D(grey, cv2.CV_32F, kernel, borderType=cv2.BORDER_REPLICATE) for kernel in kernels])


def heatmaps(model: TorchModel, crop_gray_u8: np.ndarray) -> Heatmaps | None:
    """The heatmap of every keypoint for a (s, s) uint8 crop; None from a network without heatmaps."""
    with torch.inference_mode():
        logits = model.network(_tensor(model, crop_gray_u8)).heatmap_logits
    if logits is None:
        return None
    probabilities = logits[0].flatten(1).softmax(dim=1).view_as(logits[0]).double().cpu().numpy()
    stride = model.card.input_size / logits.shape[-1]
    variance = 0.0
    for axis in (1, 2):
        marginal = probabilities.sum(axis=3 - axis)
        cells = np.arange(marginal.shape[1])
        mean = (marginal * cells).sum(axis=1, keepdims=True)
        variance = variance + (marginal * (cells - mean) ** 2).sum(axis=1)
    return Heatmaps(probabilities.astype(np.float32), np.sqrt(variance) * stride, stride)


def grad_cam(model: TorchModel, crop_gray_u8: np.ndarray, keypoint: int, layer: str | None = None) -> np.ndarray:
    """Which parts of a layer's maps push a keypoint, and where to (Selvaraju et al., "Grad-CAM", 2017).

    The channels of the layer are weighed by the mean gradient of the keypoint's coordinate. A coordinate
    may be pushed either way, so unlike in classification both signs are kept.

    Args:
        model: any weights.
        crop_gray_u8: (s, s) uint8.
        keypoint: index in the schema.
        layer: a name from `layer_table` whose output has cells; the last of the coarsest otherwise. (Just
            before a soft-argmax the mean gradient is zero, since a map moved as a whole tells nothing.)

    Returns:
        (s, s, 2) float32: the push along x and along y, positive to the right and down, in pixels of the
        crop for each cell of the layer, to first order.

    Raises:
        FkdError: no such keypoint, no such layer, or its output has no cells.
    """
    _check_keypoint(keypoint, len(model.card.schema))
    layer = layer or _coarsest_layer(model)
    probe = _private_copy(model.network)
    kept: list[torch.Tensor] = []

    def become_leaf(module: nn.Module, arguments: object, output: torch.Tensor) -> torch.Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()

    _layer(probe, layer).register_forward_hook(become_leaf)
    with torch.enable_grad():
        points_px = norm_to_px(probe(_tensor(model, crop_gray_u8)).points_norm, model.card.input_size)
        if kept[0].ndim != 4:
            raise FkdError(f"The layer {layer!r} has no cells; choose one whose output is a map.")
        pushes = [
            torch.autograd.grad(points_px[0, keypoint, axis], kept[0], retain_graph=True, allow_unused=True)[0]
            for axis in (0, 1)
        ]
    maps = [
        torch.zeros_like(kept[0][:, :1])
        if push is None
        else (push.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(1, True)
        for push in pushes
    ]
    size = (model.card.input_size,) * 2
    large = F.interpolate(torch.cat(maps, dim=1).detach().float(), size=size, mode="bilinear", align_corners=False)
    return large[0].permute(1, 2, 0).cpu().numpy()


def occlusion(
    model: LoadedModel, crop_gray_u8: np.ndarray, patch_px: int | None = None, step_px: int | None = None
) -> Occlusion:
    """Cover the crop place by place and see which keypoints move (Zeiler & Fergus, 2014).

    It tells how far it is (`fkd.progress`), and only the direct look is asked: mirroring as well would
    show what two looks have in common.

    Args:
        model: any weights, computed by torch or, which is faster, by onnxruntime.
        crop_gray_u8: (s, s) uint8.
        patch_px: side of the covering square, of the crop's mean grey; an eighth of the crop otherwise.
        step_px: distance between neighbouring squares; half a square otherwise.
    """
    size = model.card.input_size
    patch = patch_px or max(size // 8, 2)
    centres = np.arange(0, size + 1, step_px or max(patch // 2, 1)) - 0.5
    crops = np.repeat(crop_gray_u8[None], len(centres) ** 2, axis=0)
    grey = round(float(crop_gray_u8.mean()))
    low, high = np.ceil(centres - patch / 2).clip(0).astype(int), np.ceil(centres + patch / 2).clip(0).astype(int)
    for crop, (row, column) in zip(crops, np.ndindex(len(centres), len(centres)), strict=True):
        crop[low[row] : high[row], low[column] : high[column]] = grey
    whole = model.predict(crop_gray_u8[None], flip=False).points_px
    batches = np.array_split(crops, -(-len(crops) // _BATCH))
    moved = [model.predict(batch, flip=False).points_px for batch in steps("covering the face place by place", batches)]
    shift = np.concatenate(moved) - whole
    return Occlusion(shift.reshape(len(centres), len(centres), *shift.shape[1:]), patch, centres)


def _private_copy(network: KeypointNetwork) -> KeypointNetwork:
    """The same modules anew round the same parameters and statistics, which take no memory again."""
    shared = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    return copy.deepcopy(network, shared)


def _layer(network: KeypointNetwork, name: str) -> nn.Module:
    layers = network.layers()
    if name not in layers:
        known = ", ".join(map(repr, layers)) or "none"  # in quotes, since names may hold commas
        raise FkdError(f"This network has no layer {name!r}; it has {known}.")
    return layers[name]


def _check_keypoint(keypoint: int, count: int) -> None:
    if not 0 <= keypoint < count:
        raise FkdError(f"There is no keypoint {keypoint}; there are {count}, counted from 0.")


def _coarsest_layer(model: TorchModel) -> str:
    blank = np.zeros((model.card.input_size,) * 2, np.uint8)
    strides = {layer.name: layer.stride for layer in layer_table(model, blank, repeats=1) if layer.stride is not None}
    if not strides:
        raise FkdError(f"The network of {model.card.name} has no layer whose output is a map.")
    return max(reversed(strides), key=lambda name: strides[name])


def _tensor(model: TorchModel, crop_gray_u8: np.ndarray) -> torch.Tensor:
    size = model.card.input_size
    if crop_gray_u8.shape != (size, size) or crop_gray_u8.dtype != np.uint8:
        raise ValueError(f"expected ({size}, {size}) uint8, received {crop_gray_u8.shape} {crop_gray_u8.dtype}")
    return torch.from_numpy(np.ascontiguousarray(crop_gray_u8)).to(model.device)[None, None].float() / 255


def _note_shape(layer: nn.Module, shapes: dict[str, tuple[int, ...]], name: str) -> None:
    def note(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
        shapes[name] = tuple(output.shape[1:])

    layer.register_forward_hook(note)


def _count_work(layer: nn.Module, work: dict[str, int], name: str) -> None:
    def count(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            per_output = module.in_channels // module.groups * module.kernel_size[0] * module.kernel_size[1]
        else:
            assert isinstance(module, nn.Linear)
            per_output = module.in_features
        work[name] += output[0].numel() * per_output

    for module in layer.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(count)


def _time(layer: nn.Module, seconds: list[float], device: str) -> None:
    started = 0.0

    def start(module: nn.Module, arguments: object) -> None:
        nonlocal started
        started = _now_s(device)

    def end(module: nn.Module, arguments: object, output: torch.Tensor) -> None:
        seconds.append(_now_s(device) - started)

    layer.register_forward_pre_hook(start)
    layer.register_forward_hook(end)


def _now_s(device: str) -> float:
    """The time once a device has done what it was given; a GPU works on while its caller goes on."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _kind(module: nn.Module) -> str:
    if isinstance(module, ResidualBlock):
        return "residual block"
    parts = []
    for leaf in module.modules():
        if isinstance(leaf, nn.Conv2d):
            height, width = leaf.kernel_size
            parts.append(f"convolution {height}×{width}")
        elif type(leaf) in _KINDS:
            parts.append(_KINDS[type(leaf)])
    return ", ".join(parts)
