"""Weights: one safetensors file that a network can be rebuilt from, with its card in the header.

Loading reads numbers and JSON; nothing in the file is executed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from fkd.crop import CropFrame
from fkd.errors import FkdError
from fkd.models import KeypointNetwork, Output, create_model, norm_to_px
from fkd.paths import weights_root
from fkd.schema import Schema, get_schema

_HEADER_KEY = "fkd"
_MISSING_SCORE_SCALE = 0.1  # disagreement, in shares of the crop, at which a score has fallen to 1/e


@dataclass(frozen=True)
class Card:
    """What weights say about themselves; stored as JSON in the file's header.

    Attributes:
        name: what `--weights` calls them.
        schema: the points they give.
        model: name for `fkd.models.create_model`, with `model_args`.
        input_size: side in pixels of the grey crop, scaled to [0, 1], that the network sees.
        crop: where that crop lies round a tight box.
        training: recipe, configuration, data and its terms, command, date, versions.
        metrics: what `python -m fkd evaluate` measured, by dataset.
    """

    name: str
    schema: Schema
    model: str
    input_size: int
    crop: CropFrame
    model_args: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The text that stands in the file's header."""
        stored = {**vars(self), "schema": self.schema.name, "crop": self.crop.as_dict()}
        stored |= {
            "normalisation": "grey in [0, 1]",
            "decode": "points_norm in [-1, 1] between outermost pixel centres",
        }
        return json.dumps(stored, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The inverse of `to_json`; KeyError, TypeError or ValueError when it is no card."""
        stored = json.loads(text)
        crop = CropFrame(scale=float(stored["crop"]["scale"]), shift=tuple(stored["crop"]["shift"]))
        plain = {key: stored[key] for key in ("name", "model", "input_size", "model_args", "training", "metrics")}
        return cls(schema=get_schema(stored["schema"]), crop=crop, **plain)


@dataclass(frozen=True)
class Prediction:
    """Points of n crops: `points_px` (n, k, 2) float32 in crop pixels, `point_scores` (n, k), `face_scores` (n,)."""

    points_px: np.ndarray
    point_scores: np.ndarray
    face_scores: np.ndarray


@dataclass(frozen=True)
class LoadedModel:
    """A network ready to predict; shared by threads, never changed.

    Attributes:
        card: what the weights are.
        network: in evaluation mode, on `device`.
        device: a torch device name.
    """

    card: Card
    network: KeypointNetwork
    device: str = "cpu"

    @torch.inference_mode()
    def predict(self, crops_gray_u8: np.ndarray) -> Prediction:
        """Predict (n, s, s) uint8 crops, each also mirrored, and average the two.

        Networks that give no scores get them from how well the two agree.
        """
        size = self.card.input_size
        if crops_gray_u8.dtype != np.uint8 or crops_gray_u8.shape[1:] != (size, size):
            raise ValueError(f"expected (n, {size}, {size}) uint8, got {crops_gray_u8.shape} {crops_gray_u8.dtype}")
        images = torch.from_numpy(np.ascontiguousarray(crops_gray_u8)).to(self.device)[:, None].float() / 255
        points, point_scores, face_scores = predict_flip_averaged(self.network, images, self.card.schema)
        return Prediction(
            norm_to_px(points, size).float().cpu().numpy(),
            point_scores.float().cpu().numpy(),
            face_scores.float().cpu().numpy(),
        )


def predict_flip_averaged(
    network: KeypointNetwork, images: torch.Tensor, schema: Schema
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points (n, k, 2) normalised, point scores (n, k) and face scores (n,) of (n, 1, s, s) pictures."""
    return average_flips(network(with_mirrored(images)), schema)


def with_mirrored(images: torch.Tensor) -> torch.Tensor:
    """(n, 1, s, s) pictures followed by the same mirrored, (2n, 1, s, s)."""
    return torch.cat([images, images.flip(3)])


def average_flips(output: Output, schema: Schema) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points (n, k, 2) normalised, point scores (n, k) and face scores (n,) from what `with_mirrored` gave."""
    n, device = len(output.points_norm) // 2, output.points_norm.device
    partners = torch.as_tensor(schema.mirror_partners, device=device)
    direct, mirrored = output.points_norm[:n], output.points_norm[n:, partners]
    mirrored = mirrored * torch.tensor([-1.0, 1.0], device=device)
    # Published labels may lie beside what they name, and a network learns them so: on which side, the
    # direct look tells. The mirrored one is brought there before the two are averaged.
    sideways = (direct - mirrored).mean(dim=1, keepdim=True) * torch.tensor([1.0, 0.0], device=device)
    mirrored = mirrored + sideways
    points = (direct + mirrored) / 2
    if output.point_logits is None or output.face_logits is None:
        disagreement = (direct - mirrored).norm(dim=-1) / 2
        point_scores = torch.exp(-disagreement / _MISSING_SCORE_SCALE)
        return points, point_scores, point_scores.mean(dim=1)
    point_scores = (output.point_logits[:n].sigmoid() + output.point_logits[n:, partners].sigmoid()) / 2
    face_scores = (output.face_logits[:n].sigmoid() + output.face_logits[n:].sigmoid()) / 2
    return points, point_scores, face_scores


def list_weights() -> list[str]:
    """Names of the shipped weights, sorted."""
    return sorted(path.stem for path in weights_root().glob("*.safetensors"))


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights given by name or by path; `FkdError` says which exist."""
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = weights_root() / f"{path.name}.safetensors"
    if not path.is_file():
        known = ", ".join(list_weights()) or "none"
        raise FkdError(f"There are no weights {str(name_or_path)!r}; in {weights_root()} there are: {known}.")
    return path


def read_card(name_or_path: str | Path) -> Card:
    """The card of weights, without reading the numbers; errors as `load_model`."""
    path = find_weights(name_or_path)
    try:
        with safe_open(path, framework="pt") as file:
            return Card.from_json(file.metadata()[_HEADER_KEY])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def load_model(name_or_path: str | Path, device: str = "cpu") -> LoadedModel:
    """Rebuild a network from its weights.

    Args:
        name_or_path: a shipped name such as `ibug68`, or a path to a `.safetensors` file.
        device: where it runs, such as `cpu` or `cuda`.

    Raises:
        FkdError: unknown name, damaged file, or a device that is not there.
    """
    path = find_weights(name_or_path)
    card = read_card(path)
    network = create_model(card.model, len(card.schema), card.input_size, **card.model_args)
    try:
        with safe_open(path, framework="pt") as file:
            network.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _damaged(path, error) from None
    try:
        network = network.to(device)
    except (RuntimeError, AssertionError):
        raise FkdError(f"The device {device!r} is not available here; use cpu.") from None
    return LoadedModel(card, network.eval().requires_grad_(False), device)


def save_weights(path: Path, network: KeypointNetwork, card: Card) -> None:
    """Write weights in half precision, aside and then renamed, so that no half file is ever seen."""
    tensors = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    aside = path.with_name(f"{path.name}.tmp")
    try:
        save_file(tensors, aside, metadata={_HEADER_KEY: card.to_json()})
        aside.chmod(0o644)  # safetensors writes files that only their owner may read
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _damaged(path: Path, error: Exception) -> FkdError:
    return FkdError(f"The weights {path} are damaged or not fkd's ({error}); fetch them again from the project.")
