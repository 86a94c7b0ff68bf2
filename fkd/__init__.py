"""fkd: facial keypoint detection, from a photo to points in three lines.

    import fkd
    pipeline = fkd.load("ibug68")
    faces = pipeline(image_rgb_u8)

Where to find things: `schema` says which points a face has, `data` reads faces, `models` are the
networks, `training` makes weights, `weights` stores them, `pipeline` goes from a photo to faces,
`evaluation` and `metrics` say how good they are, `cli` is `python -m fkd`, `ui` serves the pages.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fkd.errors import FkdError
from fkd.pipeline.face import Face

if TYPE_CHECKING:
    from fkd.pipeline.predict import Pipeline

__version__ = "0.1.0"
__all__ = ["DEFAULT_WEIGHTS", "LIVE_WEIGHTS", "Face", "FkdError", "__version__", "load"]

# What is used where nobody chooses: for photos, and for moving pictures, whose frames have no time to wait.
DEFAULT_WEIGHTS, LIVE_WEIGHTS = "ibug68", "ibug68-small"


def load(
    weights: str | Path = DEFAULT_WEIGHTS,
    *,
    device: str = "cpu",
    runtime: str = "auto",
    threads: int | None = None,
    style: str | None = None,
    **options: Any,
) -> Pipeline:
    """A pipeline from photo to faces.

    Args:
        weights: a shipped name (see `python -m fkd doctor`), `run:NAME` for the best weights of a run, or a path
            to a `.safetensors` or `.onnx` file.
        device: where the network runs, such as `cpu` or `cuda`.
        runtime: `onnx` or `torch`; `auto` is the faster one that is there.
        threads: how many one prediction may use with onnxruntime; as many as there are cores if not given.
        style: of weights that learned from several datasets, whose labellers place points differently, the one as
            whose points are placed; `portraits68` with the shipped ones of 68 points, if not given.
        options: passed on to `fkd.pipeline.predict.Pipeline`.

    Raises:
        FkdError: unknown or damaged weights, or a device, runtime or style that is not there.
    """
    from fkd.pipeline.predict import Pipeline
    from fkd.weights import load_model

    model = load_model(weights, device, runtime, threads)
    return Pipeline(model if style is None else model.in_style(style), **options)
