"""What may be wrong with the faces of a dataset: measures, checks with a threshold, and one ranking.

    from fkd.data.quality import measure_quality
    quality = measure_quality(dataset)
    quality.flagged("dark")      # which faces
    quality.ranking()            # rows, the most suspicious label first

Suspicion is about labels only: how far they lie from where somebody who knows faces expects them.
That is a trained network where one is at hand (see `fkd.curation`), whose own scores tell how exact
it is, else a regression that the dataset teaches itself, together with the shapes alone. What it
finds is measured by `python -m fkd data proof`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fkd.crop import transform
from fkd.data.dataset import Dataset
from fkd.data.duplicates import exact_copies, most_alike
from fkd.data.expect import expected_points, tight_boxes_or_nan
from fkd.data.shape import judge, score_shapes
from fkd.errors import FkdError
from fkd.progress import steps
from fkd.schema import IBUG68, KAGGLE15, kaggle15_from_ibug68

REGRESSION, NOBODY = "regression", "nobody"
_FACE_SIDE = 96
_UPSIDE_DOWN = 0.05  # of the shape's RMS radius by which two points must be in the wrong order
_TAIL = 6  # deviations above the median that count as one unit, of suspicion and of each evidence for it
_LEVELS, _FEWEST_AT_LEVEL = 8, 50  # of a network's scores, each with the error that is usual at it
_LEAST_ERROR = 1e-4  # in face sizes


@dataclass(frozen=True)
class Check:
    """A measure with the threshold from which a face is flagged.

    Attributes:
        name: what the check is called.
        measure: the measure it looks at.
        help: what a flagged face is like, and the measure's unit.
        threshold: where flagging begins, unless the person moves it.
        above: whether large values are flagged, or small ones.
    """

    name: str
    measure: str
    help: str
    threshold: float
    above: bool = True


CHECKS = {
    check.name: check
    for check in (
        Check("suspected error", "suspicion", "labels in the wrong place; 1 is far from what is usual here", 1.0),
        Check("odd shape", "shape", "points far from the mean shape; 1 is the median face", 2.5),
        Check("odd point", "shape_point", "a point away from where its others put it; 1 is the median face", 2.5),
        Check("disagreement", "disagreement", "labels away from the expected points; 1 is the median face", 2.5),
        Check("point disagreement", "disagreement_point", "one label away from its expected place", 2.5),
        Check("wrong order", "order", "pairs in the wrong order, as a lip under the other", 1),
        Check("outside", "outside", "labels outside the picture, as a share", 1e-6),
        Check("exact copy", "copies", "number of other faces with the same pixels", 1),
        Check("near duplicate", "likeness", "correlation with the most similar other face", 0.98),
        Check("dark", "brightness", "mean grey value of the face, 0 to 255", 50, above=False),
        Check("bright", "brightness", "mean grey value of the face, 0 to 255", 200),
        Check("low contrast", "contrast", "standard deviation of the face's grey values", 15, above=False),
        Check("blurred", "sharpness", "share of fine detail in the face's contrast", 0.08, above=False),
        Check("small", "face_px", "longer side of the face in the source's picture, in pixels", 40, above=False),
        Check("missing labels", "missing", "number of points without a label", 1),
    )
}

MEASURES = sorted({check.measure for check in CHECKS.values()} | {"offset", "tilt_deg", "turn"})

# Pairs of keypoints of which the first lies above the second in every upright face.
_ABOVE = {
    "kaggle15": (
        ("mouth_center_top_lip", "mouth_center_bottom_lip"),
        ("nose_tip", "mouth_center_bottom_lip"),
        *((f"{side}_eyebrow_outer_end", f"{side}_eye_outer_corner") for side in ("left", "right")),
        *((f"{side}_eyebrow_inner_end", f"{side}_eye_inner_corner") for side in ("left", "right")),
        *((f"{side}_eye_center", "nose_tip") for side in ("left", "right")),
    ),
    "ibug68": (
        ("outer_lip_top_center", "outer_lip_bottom_center"),
        ("inner_lip_top_center", "inner_lip_bottom_center"),
        ("nose_bridge_4", "outer_lip_bottom_center"),
        ("outer_lip_bottom_center", "jaw_center"),
        *((f"{side}_eyebrow_3", f"{side}_eye_top_outer") for side in ("left", "right")),
        *((f"{side}_eye_top_outer", f"{side}_eye_bottom_outer") for side in ("left", "right")),
        *((f"{side}_eye_inner_corner", "nose_bridge_4") for side in ("left", "right")),
    ),
}


@dataclass(frozen=True)
class Quality:
    """Measures of n faces of k points.

    Attributes:
        measures: name, one of `MEASURES`, to (n,) float64; NaN where it cannot be measured. Beside those of `CHECKS`:
            `tilt_deg`, clockwise as seen; `turn`, the nose tip's offset from between the eyes in eye distances,
            positive to the picture's right; and `offset`, by how much all labels lie off together.
        shape_points: (n, k) how unusual each point is among the others of its face.
        disagreement_points: (n, k) how far each label is from its expected place; 1 is what is usual for a
            face's worst point, in both.
        expected_px: (n, k, 2) where the points are expected, in pixels of the dataset's pictures.
        twins: (n,) the row of each face's most similar other face.
        judge: whose expectation it is: the name of weights, `regression`, or `nobody`.
    """

    measures: dict[str, np.ndarray]
    shape_points: np.ndarray
    disagreement_points: np.ndarray
    expected_px: np.ndarray
    twins: np.ndarray
    judge: str

    def flagged(self, check: str, threshold: float | None = None) -> np.ndarray:
        """(n,) bool: the faces that a check finds, at its own or another threshold."""
        if check not in CHECKS:
            raise FkdError(f"Unknown check {check!r}; known are {', '.join(CHECKS)}.")
        rule = CHECKS[check]
        values = self.measures[rule.measure]
        limit = rule.threshold if threshold is None else threshold
        return values >= limit if rule.above else values < limit

    def ranking(self) -> np.ndarray:
        """(n,) row numbers, the most suspicious labels first."""
        return np.argsort(-np.nan_to_num(self.measures["suspicion"]), kind="stable")


def measure_quality(
    dataset: Dataset,
    expected_px: np.ndarray | None = None,
    point_scores: np.ndarray | None = None,
    judge_name: str = "",
) -> Quality:
    """Measure every face.

    Args:
        dataset: at least two faces.
        expected_px: (n, k, 2) predictions by trained weights, in pixels of the dataset's pictures; without
            them the dataset teaches a regression.
        point_scores: (n, k) the weights' scores of these predictions.
        judge_name: what the weights are called.
    """
    trained = expected_px is not None
    expected = expected_points(dataset) if expected_px is None else np.asarray(expected_px, np.float64)
    shapes = score_shapes(dataset.points_px)
    points, faces, offset = _disagreement(dataset.points_px, expected, point_scores)
    evidence = {
        "shape": shapes.face_scores,
        "shape_point": _worst(shapes.point_scores),
        "disagreement": faces,
        "disagreement_point": _worst(points),
        "offset": offset,
    }
    twins, likeness = most_alike(dataset.images_u8)
    measures = {
        "suspicion": _suspicion(evidence, trained),
        **evidence,
        "order": _order_violations(shapes.aligned, dataset),
        "copies": exact_copies(dataset.images_u8),
        "likeness": likeness,
        "missing": _missing(dataset),
        **_in_source(dataset),
        **_light(dataset),
        **_pose(dataset),
    }
    return Quality(
        measures={name: np.asarray(values, np.float64) for name, values in measures.items()},
        shape_points=shapes.point_scores,
        disagreement_points=points,
        expected_px=expected,
        twins=twins,
        judge=judge_name if trained else REGRESSION,
    )


def first_look(dataset: Dataset) -> Quality:
    """What the labels alone tell at once; every other measure is NaN, nobody is alike, nothing is expected."""
    nothing = dict.fromkeys(MEASURES, np.full(len(dataset), np.nan))
    known = {"missing": _missing(dataset), **_in_source(dataset), **_pose(dataset)}
    unknown_points = np.full(dataset.points_px.shape[:2], np.nan)
    return Quality(
        measures=nothing | {name: np.asarray(values, np.float64) for name, values in known.items()},
        shape_points=unknown_points,
        disagreement_points=unknown_points,
        expected_px=np.full(dataset.points_px.shape, np.nan),
        twins=np.arange(len(dataset)),
        judge=NOBODY,
    )


def _missing(dataset: Dataset) -> np.ndarray:
    return (~np.isfinite(dataset.points_px).all(axis=2)).sum(axis=1)


def suspicion_of(points_px: np.ndarray, expected_px: np.ndarray, point_scores: np.ndarray | None = None) -> np.ndarray:
    """(n,) the `suspicion` of labels alone, as `measure_quality` gives it where trained weights judge."""
    points, faces, _ = _disagreement(points_px, np.asarray(expected_px, np.float64), point_scores)
    return _suspicion({"disagreement": faces, "disagreement_point": _worst(points)}, trained=True)


def _suspicion(evidence: dict[str, np.ndarray], trained: bool) -> np.ndarray:
    """(n,) what the trusted kinds of evidence say together, in units of the tail."""
    # A network knows shapes and is precise to the point: what it says of the face and of its worst point adds up.
    # A regression is trusted with the whole face only, and each kind of evidence is of another kind of error.
    trusted = ("disagreement", "disagreement_point") if trained else ("shape", "shape_point", "offset")
    tails = np.stack([_in_tails(evidence[name]) for name in trusted])
    return _in_tails(np.linalg.norm(tails, axis=0) if trained else tails.max(axis=0))


def _disagreement(
    points_px: np.ndarray, expected_px: np.ndarray, point_scores: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Point scores (n, k), face scores (n,), and (n,) scores of the common offset alone."""
    boxes = tight_boxes_or_nan(expected_px)  # the expected face is the unit: a wrong label may stretch its own
    size = (boxes[:, 2:] - boxes[:, :2]).max(axis=1)[:, None, None]
    deviations = (points_px - expected_px) / size
    if not np.isfinite(deviations).any():  # too few faces to expect anything
        nothing = np.full(len(points_px), np.nan)
        return np.full(points_px.shape[:2], np.nan), nothing, nothing
    present = np.isfinite(deviations).all(axis=2, keepdims=True)
    with np.errstate(invalid="ignore"):
        together = np.where(present, deviations, 0).sum(axis=1, keepdims=True) / present.sum(axis=1, keepdims=True)
    if point_scores is not None:
        deviations = deviations / _usual_errors(np.linalg.norm(deviations, axis=2), point_scores)[..., None]
    return *judge(deviations), judge(together)[1]


def _usual_errors(errors: np.ndarray, point_scores: np.ndarray) -> np.ndarray:
    """(n, k) the error that is usual for each of k points at the score that it has.

    What a network says of its own certainty tells a wrong label from a face that is difficult: far from a
    point that it is sure of is more suspicious than far from one that it guesses.
    """
    usual = np.ones_like(errors)
    for k, (error, score) in enumerate(zip(errors.T, point_scores.T, strict=True)):
        known = np.flatnonzero(np.isfinite(error) & np.isfinite(score))
        if not len(known):
            continue
        levels = np.array_split(known[np.argsort(score[known])], np.clip(len(known) // _FEWEST_AT_LEVEL, 1, _LEVELS))
        middles, medians = ([np.median(values[level]) for level in levels] for values in (score, error))
        usual[:, k] = np.maximum(np.interp(score, middles, medians), _LEAST_ERROR)
    return usual


def _worst(point_scores: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(point_scores), point_scores, 0).max(axis=1)


def _in_tails(values: np.ndarray) -> np.ndarray:
    """Values in units of where their own tail begins, so that kinds of evidence can be compared; 0 for none.

    It goes by the median and the median deviation from it, which a few gross errors among few faces do not move.
    """
    values = np.nan_to_num(values)
    known = values[values > 0]
    if not len(known):
        return values
    middle = float(np.median(known))
    return values / max(middle + _TAIL * float(np.median(np.abs(known - middle))), 1e-9)


def _order_violations(aligned: np.ndarray, dataset: Dataset) -> np.ndarray:
    """(n,) number of pairs out of order: one above the other, and left of the subject right of it."""
    index = {name: i for i, name in enumerate(dataset.schema.keypoints)}
    upper, lower = ([index[pair[i]] for pair in _ABOVE[dataset.schema.name]] for i in (0, 1))
    right = [i for name, i in index.items() if "right" in name and dataset.schema.mirror_partners[i] != i]
    left = dataset.schema.mirror_partners[right]
    fallen = aligned[:, upper, 1] - aligned[:, lower, 1] > _UPSIDE_DOWN
    crossed = aligned[:, right, 0] - aligned[:, left, 0] > _UPSIDE_DOWN
    return fallen.sum(axis=1) + crossed.sum(axis=1)


def _in_source(dataset: Dataset) -> dict[str, np.ndarray]:
    """Share of labels `outside` the source's picture, and `face_px`, the face's size there."""
    points = transform(dataset.points_px, dataset.to_source)
    beyond = ((points < -0.5) | (points > dataset.source_size[:, None] - 0.5)).any(axis=2)
    present = np.isfinite(points).all(axis=2)
    boxes = tight_boxes_or_nan(points)
    return {
        "outside": beyond.sum(axis=1) / np.maximum(present.sum(axis=1), 1),
        "face_px": (boxes[:, 2:] - boxes[:, :2]).max(axis=1),
    }


def _light(dataset: Dataset) -> dict[str, np.ndarray]:
    """`brightness`, `contrast` and `sharpness` of each face, brought to one size."""
    boxes = tight_boxes_or_nan(dataset.points_px)
    values = np.empty((len(dataset), 3))
    for i, image in enumerate(steps("measuring light and sharpness", dataset.images_u8)):
        face = cv2.resize(_inside(image, boxes[i]), (_FACE_SIDE, _FACE_SIDE), interpolation=cv2.INTER_AREA)
        contrast = float(face.std())
        fine = float((face - cv2.GaussianBlur(face, (0, 0), 1.5).astype(np.float32)).std())
        values[i] = face.mean(), contrast, fine / max(contrast, 1.0)
    return dict(zip(("brightness", "contrast", "sharpness"), values.T, strict=True))


def _inside(image_u8: np.ndarray, box_xyxy: np.ndarray) -> np.ndarray:
    """The part of a picture within a box; the whole where it would be next to nothing."""
    if np.isfinite(box_xyxy).all():
        x0, y0, x1, y1 = np.clip(np.round(box_xyxy), 0, [*image_u8.shape[::-1]] * 2).astype(int)
        if x1 - x0 >= 8 and y1 - y0 >= 8:
            return image_u8[y0:y1, x0:x1]
    return image_u8


def _pose(dataset: Dataset) -> dict[str, np.ndarray]:
    """`tilt_deg` and `turn`; see `Quality`."""
    points = kaggle15_from_ibug68(dataset.points_px) if dataset.schema.name == IBUG68.name else dataset.points_px
    index = KAGGLE15.keypoints.index
    left, right, nose = (points[:, index(name)] for name in ("left_eye_center", "right_eye_center", "nose_tip"))
    across = left - right
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = ((nose - (left + right) / 2) * across).sum(axis=1) / (across**2).sum(axis=1)
    return {"tilt_deg": np.degrees(np.arctan2(across[:, 1], across[:, 0])), "turn": offset}
