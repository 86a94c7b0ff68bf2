"""Which face the Feature maps page looks at: a sample, a row of a dataset, a photo, or the last face of Detect."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

from fkd.crop import cut
from fkd.data.dataset import Dataset
from fkd.errors import FkdError
from fkd.evaluate import crop_maps
from fkd.pipeline.detect import HaarOptions
from fkd.pipeline.predict import MIN_FACE_SCORE
from fkd.ui.datasets import available_names, shared_dataset
from fkd.ui.features.looks import Look
from fkd.ui.missing import given_boxes
from fkd.ui.photos import LAST_PHOTO, Analysis, Photo, Settings, analyse_all, sample_photo
from fkd.ui.pictures import with_points
from fkd.ui.sources import PHOTO_SUFFIXES
from fkd.weights import LoadedModel

_SAMPLE, _LAST, _DATASET, _UPLOAD = "Sample", "Last from Detect", "Dataset", "Upload"
_SOURCE = "features.source"
_MOST_FACES = 12


@dataclass(frozen=True)
class FaceCrop:
    """A face as a network takes it.

    Attributes:
        name: what it is called.
        crop_gray_u8: (s, s) uint8.
    """

    name: str
    crop_gray_u8: np.ndarray


def choose_face(weights: str, model: LoadedModel) -> FaceCrop | None:
    """The switch between the sources, and the face that the chosen one gives; None while there is none.

    Raises:
        FkdError: the chosen photo or row has no face.
    """
    sources = [_SAMPLE, _DATASET, _UPLOAD]
    if LAST_PHOTO in st.session_state:
        sources.insert(1, _LAST)
    # What the Detect page has chosen is the value already; a default beside it would be a second one.
    default = None if _SOURCE in st.session_state else _SAMPLE
    source = st.segmented_control(
        "Face", sources, default=default, required=True, key=_SOURCE, persist_state="session", width="stretch"
    )
    match source:
        case "Dataset":
            return _from_dataset(model)
        case "Upload":
            file = st.file_uploader("Photo", PHOTO_SUFFIXES, label_visibility="collapsed")
            return _from_photo(Photo(file.name, file.getvalue()), weights) if file else None
        case "Last from Detect":
            return _from_photo(st.session_state[LAST_PHOTO], weights)
    return _from_photo(sample_photo(), weights)


def offer_look(weights: str) -> None:
    """A button on the Detect page that leads to the feature maps of the faces just found, in the same weights."""
    if st.button("Feature maps", icon=":material/layers:"):
        st.session_state[_SOURCE] = _LAST
        st.switch_page("pages/feature_maps.py", query_params={"weights": weights})


def show_crop(look: Look, name: str) -> None:
    """The face as the network takes it, with the points it predicts."""
    points = with_points(look.crop_gray_u8, look.points_px, look.model.card.schema.colours, 512, 4)
    st.image(points, width="stretch", caption=f"{name}, as {look.weights} sees it", output_format="PNG")


def _from_photo(photo: Photo, weights: str) -> FaceCrop:
    """A face of a photo, in the boxes that were given on the Detect page where there are any."""
    (analysis,) = analyse_all([photo], Settings(weights, HaarOptions(), MIN_FACE_SCORE), given_boxes())
    if isinstance(analysis, str):
        raise FkdError(analysis)
    if not analysis.faces:
        raise FkdError(
            f"No face found in {photo.name}; choose another photo, or give a box on the Detect page and come back."
        )
    index = _choose_among(photo, analysis) if len(analysis.faces) > 1 else 0
    return FaceCrop(photo.name, analysis.crops_gray_u8[index])


def _choose_among(photo: Photo, analysis: Analysis) -> int:
    """Small pictures of several faces with a number each."""
    shown = analysis.crops_gray_u8[:_MOST_FACES]
    with st.container(horizontal=True, gap="xsmall"):
        for number, crop in enumerate(shown, start=1):
            st.image(crop, width=64, caption=f"{number}")
    numbers = range(len(analysis.faces))
    return st.selectbox(
        "Which face",
        numbers,
        format_func=lambda i: f"Face {i + 1} of {len(numbers)}",
        key=f"features.face.{photo.digest}",
    )


def _from_dataset(model: LoadedModel) -> FaceCrop:
    name = st.selectbox("Dataset", available_names(), key="features.dataset", persist_state="session")
    faces = shared_dataset(name)
    row = st.number_input("Row", 0, len(faces) - 1, 0, key="features.row", help="Counted from 0, as in the file.")
    return FaceCrop(f"{name} {faces.rows[row]}", _cut_row(model, faces, int(row)))


def _cut_row(model: LoadedModel, faces: Dataset, row: int) -> np.ndarray:
    """The face framed by its labels as the network was trained; without enough of them the whole picture."""
    face = faces.subset(np.array([row]))
    if not np.isfinite(face.points_px).all(axis=-1).sum() >= 2:
        raise FkdError(f"Row {row} of {faces.name} has too few labels to frame the face by; choose another row.")
    return cut(face.images_u8[0], crop_maps(model, face)[0], model.card.input_size)
