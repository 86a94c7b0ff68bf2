"""A network ready to predict, whoever computes it: torch, or onnxruntime, which is faster for small crops on a CPU.

    prediction = model.predict(crops_gray_u8)

Both answer alike (`python -m fkd export` makes sure of it), and what is made of their answers is the
same code. Neither library is imported before it is needed: predicting with onnxruntime does without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fkd.errors import FkdError, listed
from fkd.schema import Schema

if TYPE_CHECKING:
    from fkd.models import KeypointNetwork
    from fkd.weights import Card

_AGREEMENT_SCALE = 0.1  # disagreement of two looks, in sides of the crop, at which their agreement has fallen to 1/e


@dataclass(frozen=True)
class Answer:
    """What a network says of n crops, in crop pixels; networks that give no scores have None there."""

    points_px: np.ndarray
    point_scores: np.ndarray | None = None
    face_scores: np.ndarray | None = None


@dataclass(frozen=True)
class Prediction:
    """Points of n crops: `points_px` (n, k, 2) float32 in crop pixels, `point_scores` (n, k), `face_scores` (n,)."""

    points_px: np.ndarray
    point_scores: np.ndarray
    face_scores: np.ndarray


@dataclass(frozen=True)
class LoadedModel(ABC):
    """A network with its card; shared by threads, never changed. Made by `fkd.weights.load_model`.

    Attributes:
        card: what the weights are.
        runtime: what computes it, `torch` or `onnx`.
    """

    card: Card
    runtime: ClassVar[str]

    def predict(self, crops_gray_u8: np.ndarray, flip: bool = True) -> Prediction:
        """Predict (n, s, s) uint8 crops.

        Args:
            crops_gray_u8: upright faces, cut as the card says.
            flip: look at each crop mirrored too and average the two, which is more exact and takes twice as
                long. Where the two disagree on a point, its score is lower; networks that give no scores get them
                from this alone, and without, they are 1.
        """
        size = self.card.input_size
        if crops_gray_u8.dtype != np.uint8 or crops_gray_u8.shape[1:] != (size, size):
            raise ValueError(f"expected (n, {size}, {size}) uint8, got {crops_gray_u8.shape} {crops_gray_u8.dtype}")
        if flip:
            crops_gray_u8 = np.concatenate([crops_gray_u8, crops_gray_u8[:, :, ::-1]])
        answer = self._answer(np.ascontiguousarray(crops_gray_u8)[:, None])
        return flip_averaged(answer, self.card.schema, size) if flip else _as_it_is(answer)

    @property
    def styles(self) -> tuple[str, ...]:
        """The datasets whose ways to place points the network tells apart; points of photos are as in the first."""
        return tuple(self.card.model_args.get("styles", ()))

    def with_style(self, name: str) -> LoadedModel:
        """The same network placing points as one of its styles does, if it has that one; else as the first does."""
        return self

    def in_style(self, name: str) -> LoadedModel:
        """As `with_style`, for a style that the network must have.

        Raises:
            FkdError: it has not, or it is an exported file of its first style alone.
        """
        if name not in self.styles:
            has = f"has the styles {listed(self.styles)}" if self.styles else "knows no styles"
            raise FkdError(f"{self.card.name} cannot place points as in {name!r}; it {has}.")
        styled = self.with_style(name)
        if styled is self and name != self.styles[0]:
            raise FkdError(f"An exported file holds the style {self.styles[0]} alone; name weights for {name}.")
        return styled

    @abstractmethod
    def _answer(self, crops_gray_u8: np.ndarray) -> Answer:
        """What the network says of (n, 1, s, s) uint8 crops."""


@dataclass(frozen=True)
class TorchModel(LoadedModel):
    """A torch network.

    Attributes:
        network: in evaluation mode, on `device`; open to inspection.
        device: a torch device name.
        style: which of the network's styles places the points; its first without.
    """

    network: KeypointNetwork
    device: str = "cpu"
    style: str = ""
    runtime = "torch"

    def with_style(self, name: str) -> TorchModel:
        """As of any model, for a network that is called with its styles."""
        return replace(self, style=name if name in self.network.styles else "")

    def _answer(self, crops_gray_u8: np.ndarray) -> Answer:
        import torch

        from fkd.models.decoded import Decoded

        with torch.inference_mode():
            parts = Decoded(self.network, self.style)(torch.from_numpy(crops_gray_u8).to(self.device))
        return Answer(*(part.float().cpu().numpy() for part in parts))


@dataclass(frozen=True)
class OnnxModel(LoadedModel):
    """An exported network.

    Attributes:
        session: an `onnxruntime.InferenceSession`, which several threads may run at the same time.
        as_torch: gives the torch network that it was made from, if that is at hand: the file has the first style only.
    """

    session: Any
    as_torch: Callable[[], TorchModel] | None = None
    runtime = "onnx"

    def with_style(self, name: str) -> LoadedModel:
        """As of any model; torch takes over for a style that was not exported."""
        if self.as_torch is None or name not in self.card.model_args.get("styles", ())[1:]:
            return self
        return self.as_torch().with_style(name)

    def _answer(self, crops_gray_u8: np.ndarray) -> Answer:
        return Answer(*self.session.run(None, {self.session.get_inputs()[0].name: crops_gray_u8}))


def flip_averaged(answer: Answer, schema: Schema, size: int) -> Prediction:
    """Average what a network says of n crops with what it says of their mirror images.

    Args:
        answer: for 2n crops, the second half being the first half mirrored.
        schema: which points they are.
        size: side of the crops in pixels.
    """
    n, partners = len(answer.points_px) // 2, schema.mirror_partners
    direct, mirrored = answer.points_px[:n], schema.mirror(answer.points_px[n:], size)
    # Published labels may lie beside what they name, and a network learns them so: on which side, the
    # direct look tells. The mirrored one is brought there before the two are averaged.
    mirrored[..., 0] += (direct - mirrored)[..., 0].mean(axis=1, keepdims=True)
    points_px = (direct + mirrored) / 2
    agreement = np.exp(-np.linalg.norm(direct - mirrored, axis=-1) / (size - 1) / _AGREEMENT_SCALE)
    if answer.point_scores is None or answer.face_scores is None:
        return Prediction(points_px, agreement, agreement.mean(axis=1))
    point_scores = (answer.point_scores[:n] + answer.point_scores[n:, partners]) / 2 * np.sqrt(agreement)
    return Prediction(points_px, point_scores, (answer.face_scores[:n] + answer.face_scores[n:]) / 2)


def _as_it_is(answer: Answer) -> Prediction:
    if answer.point_scores is None or answer.face_scores is None:
        n, k = answer.points_px.shape[:2]
        return Prediction(answer.points_px, np.ones((n, k), np.float32), np.ones(n, np.float32))
    return Prediction(answer.points_px, answer.point_scores, answer.face_scores)
