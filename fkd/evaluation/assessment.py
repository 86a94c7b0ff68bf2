"""What was measured of shipped weights, as it is stored in `results/weights/NAME.json`.

    assessment = read_assessment("ibug68")

Cards and pages read nothing else; `fkd.evaluation.assess` measures it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fkd.errors import FkdError
from fkd.paths import results_root, written_aside
from fkd.weights import find_weights, weights_digest

CURVE_NME = np.arange(0, 15.05, 0.1)  # percent: where cumulative error curves are read
KEPT_SHARES = np.arange(0, 0.51, 0.025)  # shares of points dropped in the curves of scores


@dataclass(frozen=True)
class Assessment:
    """What was measured of weights; plain values, as they are stored.

    Attributes:
        name: of the weights.
        schema: of their points.
        digest: SHA-256 of the file that was measured.
        parameters: numbers that the network learned.
        megabytes: size of the weights, and of the exported network where there is one.
        data: for each dataset `true` and `detect`, the metrics with either boxes; `curve`, the percentage of
            faces up to each NME of `CURVE_NME`; `disturbed`, with `faces`, `clean` and the NME of each
            disturbance; `scores`, with `gain`, `dropped`, `by_score`, `ideal` and `bins`; `covered`.
        covered_synthetic: `within`, the percentage of pairs of a covered and a visible point of the same face in
            which the covered one scores lower, `pairs`, and `fallen`, of covered points scored lower than
            without the box.
        face_score: `auc`; `of`, the datasets that both sides are from; `faces`; the number of `others` of each kind.
        failures: as `fkd.evaluation.failures.find_failures` gives them, without pictures.
        milliseconds: processor time of one crop on one thread, by runtime, and the `processor`.
        mean_face: (k, 2) mean of the held-out faces, in longer sides of the box round the points, centred.
        eyes: mean distance of the outer eye corners in the same unit.
        versions: of Python and libraries.
    """

    name: str
    schema: str
    digest: str
    parameters: int
    megabytes: dict[str, float]
    data: dict[str, dict[str, Any]]
    covered_synthetic: dict[str, float]
    face_score: dict[str, Any]
    failures: list[dict[str, Any]]
    milliseconds: dict[str, Any]
    mean_face: list[list[float]]
    eyes: float
    versions: dict[str, str]


def assessment_path(name: str) -> Path:
    """Where the measurements of weights are stored, which are given by name or by path."""
    return results_root() / "weights" / f"{Path(name).name.removesuffix('.safetensors')}.json"


def read_assessment(name: str) -> Assessment:
    """What is stored of weights; `FkdError` names the command that makes it, or says that the file is damaged."""
    path = assessment_path(name)
    try:
        return Assessment(**json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        raise FkdError(f"{name} has not been measured yet; do it with: {measure_command(name)}") from None
    except (OSError, ValueError, TypeError) as error:
        raise FkdError(f"{path} is damaged ({error}); make it again with: {measure_command(name)}") from None


def find_assessment(name: str) -> Assessment | None:
    """What is stored of the weights as they are now; None where nothing is, or it is of others of that name."""
    if not assessment_path(name).is_file():
        return None
    stored = read_assessment(name)
    return stored if stored.digest == weights_digest(find_weights(name)) else None


def measure_command(name: str) -> str:
    """What measures weights and stores it."""
    return f"python -m fkd card {name} --measure"


def write_assessment(found: Assessment) -> Path:
    """Store what was measured, one line for each list of numbers."""
    path = assessment_path(found.name)
    with written_aside(path) as aside:
        aside.write_text(_to_json(asdict(found)) + "\n", encoding="utf-8")
    return path


def _to_json(value: Any, indent: str = "") -> str:
    """JSON whose objects are indented, with every list on one line."""
    if not isinstance(value, dict):
        return json.dumps(value)
    inner = indent + "  "
    lines = [f"{inner}{json.dumps(key)}: {_to_json(item, inner)}" for key, item in value.items()]
    return "{\n" + ",\n".join(lines) + f"\n{indent}}}" if lines else "{}"
