"""Where weights fail, shown on synthetic faces: the same people under hard conditions, with the truth known.

failures = find_failures(model)
strip_rgb_u8 = draw_failures(failures)    the worst face of each condition, truth green, prediction magenta
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fkd.crop import CropFrame, cut, invert, tight_boxes, transform
from fkd.data.synthetic import SyntheticFace, render_face
from fkd.disturb import DISTURBANCES
from fkd.metrics import face_nme
from fkd.pipeline.draw import draw_points
from fkd.pipeline.predict import Pipeline
from fkd.progress import steps
from fkd.runtime import LoadedModel
from fkd.schema import PREDICTION_COLOUR, TRUTH_COLOUR

_PEOPLE, _FIRST_SEED = 10, 5000  # people that are in no synthetic dataset
_PICTURE_PX, _CELL_PX, _LABEL_PX, _COLUMNS = 256, 200, 40, 5
_SURROUNDINGS = 1.5  # side of a cell in longer sides of the face's tight box
_PAPER, _INK, _FAINT = "#FFFFFF", "#1A1A20", "#6B6B76"


@dataclass(frozen=True)
class Condition:
    """What makes a face hard.

    Attributes:
        pose: arguments of `render_face`.
        spoilt: disturbances, each with its amount.
    """

    pose: dict[str, float]
    spoilt: tuple[tuple[str, float], ...] = ()


_AHEAD = {"yaw_deg": 0.0, "pitch_deg": 0.0, "roll_deg": 0.0}
CONDITIONS = {
    "Looking ahead": Condition(_AHEAD),
    "Turned by 40 degrees": Condition({**_AHEAD, "yaw_deg": 40.0}),
    "Looking down by 30 degrees": Condition({**_AHEAD, "pitch_deg": -30.0}),
    "Tilted by 45 degrees": Condition({**_AHEAD, "roll_deg": 45.0}),
    "Eyes closed": Condition({**_AHEAD, "eye_opening": 0.0}),
    "Mouth open in the dark": Condition({**_AHEAD, "mouth_opening": 0.6}, (("dark", 0.15), ("noise", 4.0))),
    "Half covered": Condition(_AHEAD, (("cover", 50.0),)),
    "Strong blur": Condition(_AHEAD, (("blur", 5.0),)),
    "A face of 20 pixels": Condition({**_AHEAD, "face_fraction": 0.5}, (("coarse", 6.4),)),
    "Strong noise": Condition(_AHEAD, (("noise", 50.0),)),
}


@dataclass(frozen=True)
class Failure:
    """What a condition did to some faces, and the worst of them.

    Attributes:
        condition: its name.
        nme: mean over the faces, in percent.
        worst: that of the worst face.
        image_gray_u8: (h, w) uint8: its picture.
        true_px, predicted_px: (k, 2) its points.
    """

    condition: str
    nme: float
    worst: float
    image_gray_u8: np.ndarray
    true_px: np.ndarray
    predicted_px: np.ndarray

    def told(self) -> dict[str, Any]:
        """What is stored of it."""
        return {"condition": self.condition, "nme": round(self.nme, 4), "worst": round(self.worst, 4)}


def find_failures(model: LoadedModel) -> list[Failure]:
    """Each condition's mean error and worst face; people and pictures are the same for all weights.

    The faces' boxes are known, and they are predicted as those of photos are.
    """
    return [_worst(Pipeline(model), *item) for item in steps("trying hard faces", list(CONDITIONS.items()))]


def _worst(pipeline: Pipeline, name: str, condition: Condition) -> Failure:
    schema = pipeline.model.card.schema
    images, true, predicted = [], [], []
    for person in range(_PEOPLE):
        face = render_face(_FIRST_SEED + person, _PICTURE_PX, **condition.pose)
        image, box = _spoil(face, condition, person), tight_boxes(face.points68_px)
        images.append(image)
        true.append(face.points_px(schema))
        predicted.append(pipeline(np.repeat(image[..., None], 3, axis=2), boxes=box[None])[0].points_px)
    errors = 100 * face_nme(np.stack(predicted), np.stack(true), schema)
    i = int(errors.argmax())
    return Failure(name, float(errors.mean()), float(errors[i]), images[i], true[i], predicted[i])


def _spoil(face: SyntheticFace, condition: Condition, seed: int) -> np.ndarray:
    image, box = cv2.cvtColor(face.image_rgb_u8, cv2.COLOR_RGB2GRAY), tight_boxes(face.points68_px)
    rng = np.random.default_rng(seed)
    for kind, amount in condition.spoilt:
        image = DISTURBANCES[kind].apply(image, box, amount, rng)
    return image


def draw_failures(failures: list[Failure]) -> np.ndarray:
    """(h, w, 3) uint8 RGB: the worst face of each condition with its points, its name and its NME."""
    rows = -(-len(failures) // _COLUMNS)
    step_x, step_y = _CELL_PX + 8, _CELL_PX + _LABEL_PX + 8
    figure = Image.new("RGB", (_COLUMNS * step_x - 8, rows * step_y), _PAPER)
    draw = ImageDraw.Draw(figure)
    write: Callable[..., None] = partial(draw.text, font=ImageFont.load_default(13))
    for place, failure in enumerate(failures):
        x, y = place % _COLUMNS * step_x, place // _COLUMNS * step_y
        figure.paste(Image.fromarray(_cell(failure)), (x, y))
        write((x + 2, y + _CELL_PX + 3), failure.condition, fill=_INK)
        write((x + 2, y + _CELL_PX + 19), f"NME {failure.worst:.1f} %, mean {failure.nme:.1f} %", fill=_FAINT)
    return np.asarray(figure)


def _cell(failure: Failure) -> np.ndarray:
    matrix = CropFrame(_SURROUNDINGS).matrices(tight_boxes(failure.true_px), _CELL_PX)[0]
    cell = np.repeat(cut(failure.image_gray_u8, matrix, _CELL_PX)[..., None], 3, axis=2)
    radius = 1.8 if len(failure.true_px) > 30 else 2.8
    for points_px, colour in ((failure.true_px, TRUTH_COLOUR), (failure.predicted_px, PREDICTION_COLOUR)):
        cell = draw_points(cell, transform(points_px, invert(matrix)), [colour] * len(points_px), radius)
    return cell
