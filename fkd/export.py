"""Weights as ONNX: the network with its decoding in one file that needs neither torch nor fkd to run.

    python -m fkd export --weights ibug68 --out weights/ibug68.onnx

Input `crops_gray_u8` (n, 1, s, s) uint8; outputs `points_px` (n, k, 2) in crop pixels and, where the network
gives scores, `point_scores` (n, k) and `face_scores` (n,). The metadata holds the card and the digest of the
safetensors file. Parameters are stored in half precision, exactly as they are there, and the file is half as large;
onnxruntime widens them once, when it opens the file.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fkd.crop import cut, tight_boxes_from_points
from fkd.errors import FkdError
from fkd.paths import written_aside
from fkd.weights import CARD_KEY, DIGEST_KEY, Card, find_weights, load_onnx_model, load_torch_model, weights_digest

if TYPE_CHECKING:
    from fkd.data.dataset import Dataset
    from fkd.runtime import Prediction, TorchModel

OUTPUTS = ("points_px", "point_scores", "face_scores")
MOST_APART_PX = 0.01
_OPSET = 17
_DRAWN_FACES = 6


@dataclass(frozen=True)
class Export:
    """What was written: its size, and how far it is from torch at most, over points and over scores."""

    size_bytes: int
    apart_px: float
    scores_apart: float


def export_onnx(weights: str | Path, path: Path) -> Export:
    """Write weights as ONNX, after checking on faces that the file answers as torch does.

    Raises:
        FkdError: unknown weights, a missing library, a place that cannot be written to, or an answer that
            differs by more than `MOST_APART_PX`; nothing is written then.
    """
    model = load_torch_model(weights)
    metadata = {CARD_KEY: model.card.to_json(), DIGEST_KEY: weights_digest(find_weights(weights))}
    with written_aside(path) as aside:
        aside.write_bytes(_halved(_traced(model), metadata))
        crops = drawn_crops(model.card)
        direct, exported = (each.predict(crops, flip=False) for each in (model, load_onnx_model(aside)))
        apart_px = _apart(direct, exported, ("points_px",))
        if not apart_px <= MOST_APART_PX:
            raise FkdError(f"The exported network differs from torch by {apart_px:.3g} px; nothing was written.")
        return Export(aside.stat().st_size, apart_px, _apart(direct, exported, OUTPUTS[1:]))


def _traced(model: TorchModel) -> bytes:
    """The network as ONNX, its parameters as they are: neither folded nor fused."""
    import torch

    from fkd.models.decoded import Decoded

    side, gives_scores = model.card.input_size, model.network.gives_scores
    outputs = OUTPUTS if gives_scores else OUTPUTS[:1]
    file = io.BytesIO()
    try:
        with warnings.catch_warnings():
            # The newer exporter needs two more packages and names parameters as it likes.
            warnings.simplefilter("ignore", DeprecationWarning)
            torch.onnx.export(
                Decoded(model.network).eval(),
                (torch.zeros(2, 1, side, side, dtype=torch.uint8),),
                file,  # type: ignore[arg-type]  # the exporter chosen below takes it
                dynamo=False,
                opset_version=_OPSET,
                training=torch.onnx.TrainingMode.PRESERVE,
                do_constant_folding=False,
                input_names=["crops_gray_u8"],
                output_names=list(outputs),
                dynamic_axes={name: {0: "n"} for name in ("crops_gray_u8", *outputs)},
            )
    except torch.onnx.OnnxExporterError as error:
        if "not installed" in str(error):
            raise _missing() from None
        raise
    return file.getvalue()


def _halved(content: bytes, metadata: dict[str, str]) -> bytes:
    """The same graph with metadata, and with every number that half precision holds exactly stored in it."""
    try:
        import onnx
    except ImportError:
        raise _missing() from None
    graph_file = onnx.load_from_string(content)
    graph, widening = graph_file.graph, []
    for stored in graph.initializer:
        name, values = stored.name, onnx.numpy_helper.to_array(stored)
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if values.dtype == np.float32 and np.array_equal(half, values):
            stored.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}.half"))
            widening.append(onnx.helper.make_node("Cast", [stored.name], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*widening, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.helper.set_model_props(graph_file, metadata)
    onnx.checker.check_model(graph_file)
    return graph_file.SerializeToString()


def _missing() -> FkdError:
    return FkdError("Exporting needs the package onnx; install it with: pip install onnx==1.23.2.")


def drawn_crops(card: Card) -> np.ndarray:
    """(n, s, s) uint8: drawn faces, cut as the network knows them."""
    faces = _drawn_faces(card.schema.name)
    maps = card.crop.matrices(tight_boxes_from_points(faces.points_px, card.schema), card.input_size)
    return np.stack([cut(image, m, card.input_size) for image, m in zip(faces.images_u8, maps, strict=True)])


@cache
def _drawn_faces(schema_name: str) -> Dataset:
    from fkd.data.synthetic import synthetic_dataset

    return synthetic_dataset(schema_name, count=_DRAWN_FACES)


def _apart(first: Prediction, second: Prediction, names: tuple[str, ...]) -> float:
    return float(max(np.abs(getattr(first, name) - getattr(second, name)).max() for name in names))
