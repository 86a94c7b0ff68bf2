"""Everything that a card tells of shipped weights, measured at once.

    python -m fkd card ibug68 --measure      measure, store in results/weights/ibug68.json, and make the card

All of it is measured on the faces that were held out from the weights, and on synthetic ones. But for
the times, the same weights and faces give the same file.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import numpy as np

from fkd.crop import tight_boxes
from fkd.data import is_available, load_dataset, synthetic
from fkd.data.cache import cached_dataset
from fkd.data.dataset import Dataset
from fkd.disturb import DISTURBANCES
from fkd.errors import FkdError
from fkd.evaluation.assessment import KEPT_SHARES, Assessment
from fkd.evaluation.evaluate import evaluate, in_split, predict_in_boxes, predict_with_scores, true_boxes
from fkd.evaluation.failures import Failure, find_failures
from fkd.evaluation.scores import error_by_score, mean_kept, ordered_share, ordered_share_within, share_of_ideal_gain
from fkd.evaluation.standing import cumulative
from fkd.evaluation.trials import boxes_without_face, disturbed, jittered_boxes, paste_boxes, spread
from fkd.metrics import eye_distances_px, face_nme, point_errors_px, summarise
from fkd.pipeline.predict import Pipeline
from fkd.progress import steps
from fkd.schema import IBUG68
from fkd.training.provenance import versions
from fkd.weights import LoadedModel, find_weights, load_model, load_torch_model, onnx_hindrance, weights_digest

FACES_OF_TRIAL = 500  # of either kind, for the score of a face
_MOST_COVERED, _SYNTHETIC, _SYNTHETIC_SEED = 300, 120, 1  # people that no training has seen
_SURROUNDINGS = ("portraits68", "youtube_faces", "synthetic68")  # pictures that show more than a face
_DIGITS = 4


def assess(name: str) -> tuple[Assessment, list[Failure]]:
    """Measure shipped weights, reporting progress; some minutes where there are a thousand faces.

    Returns:
        What is to be stored, and the known failures with their pictures.

    Raises:
        FkdError: there are no such weights, their data is missing, or no face of it was held out.
    """
    path, model = find_weights(name), load_model(name, threads=1)
    held_out = {data: _held_out(model, load_dataset(data)) for data in model.card.trained_on}
    everybody = np.concatenate([_framed(faces) for faces in held_out.values()])
    torch_model = load_torch_model(path)
    failures = find_failures(model)
    found = Assessment(
        name=model.card.name,
        schema=model.card.schema.name,
        digest=weights_digest(path),
        parameters=sum(p.numel() for p in torch_model.network.parameters()),
        megabytes=megabytes_of(name),
        data={data: _measure(model, faces) for data, faces in held_out.items()},
        covered_synthetic=measure_covered(model, _synthetic_faces(model.card.schema.name)),
        face_score=_measure_face_score(model, held_out),
        failures=[failure.told() for failure in failures],
        milliseconds=_measure_speed(name),
        mean_face=_rounded(everybody.mean(axis=0)),
        eyes=_rounded(eye_distances_px(everybody, model.card.schema).mean()),
        versions=versions(),
    )
    return found, failures


def _held_out(model: LoadedModel, dataset: Dataset) -> Dataset:
    faces = dataset.subset(in_split(model.card, dataset, "test") & dataset.complete)
    if not len(faces):
        raise FkdError(f"No face of {dataset.name} was held out from {model.card.name}, so nothing can be measured.")
    return faces


def _measure(model: LoadedModel, faces: Dataset) -> dict[str, Any]:
    """Every figure of one dataset's held-out faces."""
    seen = predict_with_scores(model, faces)
    errors = point_errors_px(seen.points_px, faces.points_px) / eye_distances_px(faces.points_px, faces.schema)[:, None]
    return {
        "true": summarise(seen.points_px, faces.points_px, faces.schema),
        "detect": evaluate(model, faces, "all", boxes="detect").summary,
        "curve": cumulative(100 * errors.mean(axis=1)),
        "disturbed": measure_disturbances(model, faces),
        "scores": _worth_of_scores(100 * errors.ravel(), seen.point_scores.ravel().astype(np.float64)),
        "covered": measure_covered(model, spread(faces, _MOST_COVERED)),
    }


def _worth_of_scores(errors: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
    return {
        "gain": _rounded(100 * share_of_ideal_gain(errors, scores)),
        "dropped": _rounded(100 * KEPT_SHARES),
        "by_score": _rounded(mean_kept(errors, scores, KEPT_SHARES)),
        "ideal": _rounded(mean_kept(errors, -errors, KEPT_SHARES)),
        "bins": {key: _rounded(values) for key, values in error_by_score(errors, scores).items()},
    }


def measure_disturbances(model: LoadedModel, faces: Dataset) -> dict[str, Any]:
    """NME in percent of faces as they are and under the usual amount of each disturbance.

    The faces' boxes are known, those of turned faces too, which turn about the middle. Faces are predicted as those
    of photos are, but in the style of their dataset, where weights know it: a face whose points contradict its box
    is looked at again, upright.
    """
    boxes = true_boxes(faces)

    def nme(which: Dataset, what: str) -> float:
        predicted_px = predict_in_boxes(model, which, boxes, what)
        return _rounded(100 * face_nme(predicted_px, which.points_px, which.schema).mean())

    clean = nme(faces, "predicting faces as they are")
    under = {
        key: nme(disturbed(faces, key), f"disturbing by {DISTURBANCES[key].label.lower()}") for key in DISTURBANCES
    }
    return {"faces": len(faces), "clean": clean, **under}


def measure_covered(model: LoadedModel, faces: Dataset) -> dict[str, float]:
    """Whether points under pasted boxes score lower; keys as in `Assessment.covered_synthetic`."""
    trial = paste_boxes(faces)
    before, after = (predict_with_scores(model, which).point_scores for which in (faces, trial.faces))
    within, pairs = ordered_share_within(after, trial.covered, trial.visible)
    fallen = np.mean(after[trial.covered] < before[trial.covered])
    return {"within": _rounded(100 * within), "pairs": pairs, "fallen": _rounded(100 * float(fallen))}


def _synthetic_faces(schema_name: str) -> Dataset:
    def draw() -> Dataset:
        return synthetic.synthetic_dataset(schema_name, _SYNTHETIC, seed=_SYNTHETIC_SEED)

    name = f"{schema_name}-synthetic-{_SYNTHETIC_SEED}-{_SYNTHETIC}"
    return cached_dataset(name, synthetic.DRAWN_BY, draw)


def _measure_face_score(model: LoadedModel, held_out: dict[str, Dataset]) -> dict[str, Any]:
    """How well the score of a face tells faces in jittered boxes from what is none in the same pictures."""
    pipeline, names = Pipeline(model), _sources_with_surroundings(held_out)
    counts = np.diff(np.linspace(0, FACES_OF_TRIAL, len(names) + 1).round().astype(int))
    faces, others, kinds = [], [], []
    for name, count in zip(names, counts.tolist(), strict=True):
        pictures = _pictures_with_surroundings(model, held_out, name)
        faces += _face_scores(pipeline, pictures, *jittered_boxes(pictures, count))
        trial = boxes_without_face(pictures, count)
        others += _face_scores(pipeline, pictures, trial.rows, trial.boxes_xyxy)
        kinds += trial.kinds.tolist()
    named, numbers = np.unique(kinds, return_counts=True)
    auc = 100 * ordered_share(np.array(others), np.array(faces))
    return {
        "auc": _rounded(auc),
        "of": names,
        "faces": len(faces),
        "others": dict(zip(named.tolist(), numbers.tolist(), strict=True)),
    }


def _sources_with_surroundings(held_out: dict[str, Dataset]) -> list[str]:
    """The datasets that the weights know, if their pictures show more than a face; else another that is at hand.

    Faces and others are taken from the same pictures: a score that tells datasets apart would be no merit.
    """
    own = [name for name, faces in held_out.items() if faces.schema is IBUG68]
    return own or [next(name for name in _SURROUNDINGS if is_available(name))]


def _pictures_with_surroundings(model: LoadedModel, held_out: dict[str, Dataset], name: str) -> Dataset:
    if name in held_out:
        return held_out[name]
    dataset = _synthetic_faces("ibug68") if name.startswith("synthetic") else load_dataset(name)
    return dataset.subset(in_split(model.card, dataset, "test") & dataset.complete)


def _face_scores(pipeline: Pipeline, faces: Dataset, rows: np.ndarray, boxes_xyxy: np.ndarray) -> list[float]:
    pairs = list(zip(rows, boxes_xyxy, strict=True))
    return [
        pipeline(np.repeat(faces.images_u8[row][..., None], 3, axis=2), boxes=box[None])[0].score
        for row, box in steps("scoring faces and others", pairs)
    ]


def _framed(faces: Dataset) -> np.ndarray:
    """(n, k, 2) points in longer sides of the box round them, from its middle."""
    boxes = tight_boxes(faces.points_px)[:, None].astype(np.float64)
    side = (boxes[..., 2:] - boxes[..., :2]).max(axis=-1, keepdims=True)
    return (faces.points_px - (boxes[..., :2] + boxes[..., 2:]) / 2) / side


def _measure_speed(name: str) -> dict[str, Any]:
    from fkd.bench.predict import one_crop, time_in_turns

    return {
        **time_in_turns({runtime: one_crop(name, runtime) for runtime in runtimes_of(name)}),
        "processor": processor(),
    }


def runtimes_of(name: str) -> tuple[str, ...]:
    """What can predict with weights here."""
    return ("onnx", "torch") if onnx_hindrance(name) is None else ("torch",)


def megabytes_of(name: str) -> dict[str, float]:
    """Size of the weights, and of the exported network where there is one."""
    kinds = ("safetensors", "onnx") if onnx_hindrance(name) is None else ("safetensors",)
    path = find_weights(name)
    return {kind: round(path.with_suffix(f".{kind}").stat().st_size / 1e6, 2) for kind in kinds}


def processor() -> str:
    """What the machine's processor is called."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _rounded(values: Any) -> Any:
    """Numbers with so many digits as are worth storing."""
    return np.round(np.asarray(values, np.float64), _DIGITS).tolist()
