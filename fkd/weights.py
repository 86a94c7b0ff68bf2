"""Weights: one safetensors file that a network can be rebuilt from, with its card in the header.

A `.onnx` file may stand beside it, exported from it and marked with its digest: the same network for
onnxruntime. Loading reads numbers and JSON, and runs nothing that a file brings along but its network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import warnings
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from fkd import DEFAULT_WEIGHTS, LIVE_WEIGHTS
from fkd.crop import CropFrame
from fkd.errors import FkdError
from fkd.paths import put_in_place, runs_root, weights_root
from fkd.runtime import LoadedModel, OnnxModel, TorchModel
from fkd.schema import Schema, get_schema

if TYPE_CHECKING:
    from fkd.models import KeypointNetwork

RUN_PREFIX = "run:"
_OF_RUN = "best.safetensors"
RUNTIMES = ("auto", "onnx", "torch")
CARD_KEY, DIGEST_KEY = "fkd", "safetensors_sha256"  # of the metadata in either kind of file
_NO_ONNXRUNTIME = "onnxruntime is not installed; install it with: pip install onnxruntime==1.31.1."


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

    @property
    def takes_whole_picture(self) -> bool:
        """Whether the weights were trained on pictures that are crops already."""
        return bool(self.training.get("config", {}).get("whole_picture"))

    @property
    def trained_on(self) -> list[str]:
        """Names of the datasets in the settings; empty where the card does not say."""
        return [name for name in str(self.training.get("config", {}).get("data", "")).split("+") if name]

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


def list_weights() -> list[str]:
    """Names of the shipped weights, sorted."""
    return sorted(path.stem for path in weights_root().glob("*.safetensors"))


def live_weights() -> str:
    """Name of the weights for moving pictures where nobody chose; those for photos where the small ones are missing."""
    return LIVE_WEIGHTS if LIVE_WEIGHTS in list_weights() else DEFAULT_WEIGHTS


def list_run_weights() -> list[str]:
    """Names such as `run:mine` of the best weights of each run that has any, the newest first."""
    files = sorted(runs_root().glob(f"*/{_OF_RUN}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [f"{RUN_PREFIX}{path.parent.name}" for path in files]


def list_snapshots(run: str) -> list[str]:
    """Names such as `run:mine@10` of the weights that a run has kept after some of its epochs, in their order."""
    files = sorted((runs_root() / Path(run).name).glob("epoch-*.safetensors"))
    return [f"{RUN_PREFIX}{run}@{int(path.stem.removeprefix('epoch-'))}" for path in files]


def all_weights() -> list[str]:
    """Every name that `find_weights` knows: shipped weights, and those of each run with its snapshots below."""
    names = list_weights()
    for run in list_run_weights():
        names += [run, *list_snapshots(run.removeprefix(RUN_PREFIX))]
    return names


def find_weights(name_or_path: str | Path) -> Path:
    """The file of weights given by name, as `run:NAME`, `run:NAME@EPOCH` or by path; `FkdError` says which exist."""
    if str(name_or_path).startswith(RUN_PREFIX):
        return _find_run_weights(str(name_or_path).removeprefix(RUN_PREFIX))
    path = Path(name_or_path)
    if path.suffix != ".safetensors":
        path = weights_root() / f"{path.name}.safetensors"
    if not path.is_file():
        if Path(name_or_path).is_file():
            raise FkdError(f"The file {str(name_or_path)!r} holds no weights; files that do end in .safetensors.")
        known = ", ".join(list_weights()) or "none; fetch the project's weights/ again, or set FKD_WEIGHTS"
        raise FkdError(f"There are no weights {str(name_or_path)!r}; in {weights_root()} there are: {known}.")
    return path


def _find_run_weights(name: str) -> Path:
    run, at, epoch = name.partition("@")
    file_name = f"epoch-{epoch:0>4}.safetensors" if at else _OF_RUN
    path = runs_root() / Path(run).name / Path(file_name).name
    if not path.is_file():
        which = f"of epoch {epoch} " if at else ""
        raise FkdError(f"The run {run!r} has no weights {which}in {runs_root()}; see python -m fkd runs.")
    return path


def read_card(name_or_path: str | Path) -> Card:
    """The card of weights, without reading the numbers; errors as `load_model`."""
    path = find_weights(name_or_path)
    try:
        with safe_open(path, framework="np") as file:
            return Card.from_json(file.metadata()[CARD_KEY])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, error) from None


def load_model(
    name_or_path: str | Path, device: str = "cpu", runtime: str = "auto", threads: int | None = None
) -> LoadedModel:
    """A network ready to predict.

    Args:
        name_or_path: a shipped name such as `ibug68`, a path to a `.safetensors` file, or to an exported one.
        device: where it runs, such as `cpu` or `cuda`.
        runtime: `onnx` for the exported file beside the weights, `torch`, or `auto`: the faster one, which
            on the CPU is onnxruntime wherever it is installed and the exported file is there and up to date.
        threads: how many one prediction may use with onnxruntime; as many as there are cores if not given.
            Torch has one setting for the whole process, which is left as it is.

    Raises:
        FkdError: unknown name, damaged file, or a device or runtime that is not there.
    """
    if runtime not in RUNTIMES:
        raise FkdError(f"Unknown runtime {runtime!r}; known are {', '.join(RUNTIMES)}.")
    is_exported = Path(name_or_path).suffix == ".onnx" and runtime != "torch"
    if device != "cpu" and (is_exported or runtime == "onnx"):
        raise FkdError(f"onnxruntime computes on the CPU here, not on {device!r}; leave out the runtime or the device.")
    if is_exported:
        return load_onnx_model(Path(name_or_path), threads)
    path = find_weights(name_or_path)
    if runtime == "torch" or device != "cpu":
        return load_torch_model(path, device)
    hindrance = onnx_hindrance(path)
    if hindrance is None:
        exported = load_onnx_model(path.with_suffix(".onnx"), threads)
        return replace(exported, as_torch=cache(partial(load_torch_model, path)))
    if runtime == "onnx":
        raise FkdError(hindrance)
    if path.with_suffix(".onnx").exists():  # somebody meant to use it
        warnings.warn(f"{hindrance} Until then torch computes, which is slower.", stacklevel=2)
    return load_torch_model(path)


def load_torch_model(name_or_path: str | Path, device: str = "cpu") -> TorchModel:
    """Rebuild a torch network from its weights; errors as `load_model`."""
    from fkd.models import create_model

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
    return TorchModel(card, network.eval().requires_grad_(False), device)


def load_onnx_model(path: Path, threads: int | None = None) -> OnnxModel:
    """Open an exported network, whatever stands beside it; errors and `threads` as in `load_model`."""
    try:
        import onnxruntime
    except ImportError:
        raise FkdError(_NO_ONNXRUNTIME) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    # Threads that wait in a loop for the next crop take the processor from the detector and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        card = Card.from_json(session.get_modelmeta().custom_metadata_map[CARD_KEY])
    except FileNotFoundError:
        raise FkdError(f"There are no exported weights {path}; make them with python -m fkd export.") from None
    except Exception as error:  # onnxruntime has no common base for its exceptions
        raise _damaged(path, error) from None
    return OnnxModel(card, session)


def onnx_hindrance(name_or_path: str | Path) -> str | None:
    """The sentence that says why onnxruntime cannot be used for weights, or None if it can."""
    path = find_weights(name_or_path)
    exported = path.with_suffix(".onnx")
    remedy = f"make it with: python -m fkd export --weights {name_or_path} --out {exported}"
    if importlib.util.find_spec("onnxruntime") is None:
        return _NO_ONNXRUNTIME
    if not exported.is_file():
        return f"Beside {path} there is no exported network; {remedy}."
    # The digest stands near the end of the file, in metadata; nothing else in it can contain it by chance.
    if weights_digest(path).encode() not in exported.read_bytes():
        return f"{exported} was not made from the present {path.name}; {remedy}."
    return None


def weights_digest(path: Path) -> str:
    """SHA-256 of a file of weights, by which an exported network knows what it was made from."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def points_digest(path: Path) -> str:
    """SHA-256 of the numbers in a file of weights that decide where points lie.

    It stays the same when the card tells more of them, and when the scores of points learn again.
    """
    digest = hashlib.sha256()
    with safe_open(path, framework="np") as file:
        for key in sorted(file.keys()):
            if not key.startswith("score_head."):
                digest.update(key.encode() + file.get_tensor(key).tobytes())
    return digest.hexdigest()


def save_weights(path: Path, network: KeypointNetwork, card: Card) -> None:
    """Write weights in half precision, aside and then renamed, so that no half file is ever seen."""
    import torch
    from safetensors.torch import save

    tensors = {
        key: value.detach().cpu().to(torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for key, value in network.state_dict().items()
    }
    aside = path.with_name(f"{path.name}.tmp")
    try:
        aside.write_bytes(save(tensors, metadata={CARD_KEY: card.to_json()}))
        put_in_place(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def _damaged(path: Path, error: Exception) -> FkdError:
    return FkdError(f"The weights {path} are damaged or not fkd's ({error}); fetch them again from the project.")
