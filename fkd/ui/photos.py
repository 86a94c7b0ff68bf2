"""Photos that a person gives the app, and what the pipeline found in them.

Everything here stays in memory: uploads live with their session, results in a bounded cache that
ends with the session. Models are shared by all sessions, which only read them.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np
import skimage.data
import streamlit as st

from fkd.errors import FkdError
from fkd.images import read_image
from fkd.pipeline.detect import HaarOptions
from fkd.pipeline.face import Face
from fkd.pipeline.predict import Pipeline
from fkd.weights import LoadedModel, find_weights, load_model

Boxes = tuple[tuple[float, float, float, float], ...]

SHOWN = "detect.shown"  # of the session: digest of the photo that the Detect page shows of several
LAST_PHOTO = "last_photo"  # of the session: the photo in which the Detect page found faces last
PREVIEW_PX = 1280  # longer side of what the page shows; downloads have the photo's own size
_MOST_ENLARGED = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Photo:
    """A file as it was uploaded, photographed or bundled."""

    name: str
    content: bytes

    @cached_property
    def digest(self) -> str:
        """The same for the same content: what caches and keys go by."""
        return hashlib.sha256(self.content).hexdigest()[:16]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return self.name.rsplit(".", 1)[0] or "photo"

    def read(self) -> np.ndarray:
        """(h, w, 3) uint8 RGB; `FkdError` where it is no picture."""
        return read_image(self.content, name=self.name)


@dataclass(frozen=True)
class Settings:
    """What decides which faces are found.

    Attributes:
        weights: name of the weights.
        haar: how the detector searches.
        min_score: faces that score less are left out.
    """

    weights: str
    haar: HaarOptions
    min_score: float


@dataclass(frozen=True)
class Analysis:
    """What was found in one photo.

    Attributes:
        width, height: of the photo in pixels.
        faces: in pixels of the photo.
        crops_gray_u8: (n, s, s) uint8: what the network saw of each face.
        crops_to_photo: (n, 2, 3) maps from the pixels of each crop to the photo's.
        weak_scores: where there are no faces, the scores of spots that were not sure enough to be one.
        milliseconds: time of each step.
        preview_rgb_u8: the photo, scaled to `PREVIEW_PX`.
    """

    width: int
    height: int
    faces: tuple[Face, ...]
    crops_gray_u8: np.ndarray
    crops_to_photo: np.ndarray
    weak_scores: tuple[float, ...]
    milliseconds: dict[str, float]
    preview_rgb_u8: np.ndarray

    def faces_on_preview(self) -> list[Face]:
        """The faces in pixels of the preview."""
        return [scale_face(face, self.preview_rgb_u8.shape[1] / self.width) for face in self.faces]


@st.cache_data(show_spinner=False, max_entries=1)
def sample_photo() -> Photo:
    """Scikit-image's portrait of the astronaut Eileen Collins, in the public domain."""
    image_bgr_u8 = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)
    return Photo("astronaut.png", cv2.imencode(".png", image_bgr_u8)[1].tobytes())


def shared_model(weights: str) -> LoadedModel:
    """The model, loaded and warm; loaded again when its file has changed."""
    return _shared_model(weights, written_ns(weights))


def written_ns(weights: str) -> int:
    """When the file of weights was written last, in nanoseconds: results go by it, as others may get the same name."""
    return find_weights(weights).stat().st_mtime_ns


@st.cache_resource(show_spinner="Loading the network …", max_entries=8)
def _shared_model(weights: str, written_ns: int) -> LoadedModel:
    # One thread each: a few small crops gain little from more, and where sessions or a training run share the
    # processors, threads that wait for one another make a prediction many times slower.
    model = load_model(weights, threads=1)
    cv2.setNumThreads(1)
    if model.runtime == "torch":
        import torch

        torch.set_num_threads(1)
    # The first prediction costs several times the later ones; nobody should wait for it.
    Pipeline(model).run(skimage.data.astronaut())
    return model


def analyse_all(photos: Sequence[Photo], settings: Settings, boxes: dict[str, Boxes]) -> list[Analysis | str]:
    """Each photo's analysis, or a sentence that says why there is none; shows progress when it takes long.

    Args:
        photos: in the order of the answers.
        settings: the same for all.
        boxes: by the photo's digest, for photos whose faces a person has marked.
    """
    shared_model(settings.weights)  # weights that cannot be loaded fail once, not once for each photo
    place, started = st.empty(), time.monotonic()
    answers: list[Analysis | str] = []
    with st.spinner("Looking for faces …"):
        for done, photo in enumerate(photos):
            elapsed = time.monotonic() - started
            if elapsed > 0.5:
                left = elapsed / done * (len(photos) - done)
                place.progress(done / len(photos), f"Photo {done + 1} of {len(photos)}, about {left:.0f} s left")
            answers.append(_analyse_or_say_why(photo, settings, boxes.get(photo.digest)))
    place.empty()
    return answers


def _analyse_or_say_why(photo: Photo, settings: Settings, boxes: Boxes | None) -> Analysis | str:
    try:
        return _analyse(photo.digest, settings, written_ns(settings.weights), boxes, _photo=photo)
    except FkdError as error:
        return str(error)
    except Exception:
        _log.exception("No result for a photo")
        return f"{photo.name} could not be worked on; save it anew as PNG or JPEG and try again."


@st.cache_data(scope="session", max_size="400MB", show_spinner=False)
def _analyse(digest: str, settings: Settings, written_ns: int, boxes: Boxes | None, _photo: Photo) -> Analysis:
    started = time.perf_counter()
    image_rgb_u8 = _photo.read()
    read_ms = (time.perf_counter() - started) * 1000
    model = shared_model(settings.weights)
    given = None if boxes is None else np.array(boxes, np.float32)
    result = Pipeline(model, settings.haar, settings.min_score).run(image_rgb_u8, given)
    height, width = image_rgb_u8.shape[:2]
    return Analysis(
        width=width,
        height=height,
        faces=tuple(result.faces),
        crops_gray_u8=result.crops_gray_u8,
        crops_to_photo=result.crops_to_photo,
        weak_scores=() if result.faces else result.weak_scores,
        milliseconds={"read": read_ms, **result.milliseconds},
        preview_rgb_u8=_preview(image_rgb_u8),
    )


def _preview(image_rgb_u8: np.ndarray) -> np.ndarray:
    """The photo with its longer side at `PREVIEW_PX`; a small one is enlarged so that drawings on it are sharp."""
    height, width = image_rgb_u8.shape[:2]
    factor = min(PREVIEW_PX / max(height, width), _MOST_ENLARGED)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image_rgb_u8, size, interpolation=method)


def scale_face(face: Face, factor: float) -> Face:
    """The face in a picture made `factor` times as large; pixel centres are at integers in both."""
    return replace(
        face,
        box_xyxy=(face.box_xyxy + 0.5) * factor - 0.5,
        points_px=(face.points_px + 0.5) * factor - 0.5,
    )
