"""Which face the Feature maps page looks at: a sample, a row of a dataset, a photo, or the last face of Detect."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import streamlit as st

from fkd.crop import cut, has_tight_box
from fkd.data.dataset import Dataset
from fkd.errors import FkdError
from fkd.evaluation.evaluate import crop_maps
from fkd.pipeline.detect import HaarOptions
from fkd.pipeline.predict import MIN_FACE_SCORE
from fkd.ui.datasets import available_names, shared_dataset
from fkd.ui.features.looks import Look
from fkd.ui.missing import given_boxes, offer_search, offer_whole
from fkd.ui.photos import LAST_PHOTO, Analysis, Photo, Settings, analyse_all, sample_photo
from fkd.ui.pictures import with_points
from fkd.ui.pressed import pressed
from fkd.ui.sources import PHOTO_SUFFIXES
from fkd.weights import LoadedModel

_SAMPLE, _LAST, _DATASET, _UPLOAD = "Sample", "Last from Detect", "Dataset", "Upload"
_SOURCE = "features.source"
_UNSURE = "features.unsure"  # the photo whose spots are wanted, though the network is not sure of them
_WANTED = "features.wanted"  # weights that the Detect page has asked for
_AS_ON_DETECT = "features.settings"  # how the faces of the last photo were found there
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


@dataclass(frozen=True)
class NoFace:
    """Why there is nothing to look at yet.

    Attributes:
        photo: in which no face was found; None while none was chosen.
        analysis: of that photo.
    """

    photo: Photo | None = None
    analysis: Analysis | None = None


def choose_face(weights: str, model: LoadedModel) -> FaceCrop | NoFace:
    """The switch between the sources, and the face that the chosen one gives.

    Raises:
        FkdError: the chosen photo cannot be read, or the row has too few labels.
    """
    sources = [_SAMPLE, _DATASET, _UPLOAD]
    if LAST_PHOTO in st.session_state:
        sources.insert(1, _LAST)
    # What the Detect page has chosen is the value already; a default beside it would be a second one.
    default = None if _SOURCE in st.session_state else _SAMPLE
    source = st.segmented_control(
        "Face", sources, default=default, required=True, key=_SOURCE, persist_state="session", width="stretch"
    )
    usual = Settings(weights, HaarOptions(), MIN_FACE_SCORE)
    if source == _DATASET:
        return _from_dataset(model)
    if source == _UPLOAD:
        file = st.file_uploader("Photo", PHOTO_SUFFIXES, label_visibility="collapsed")
        return _from_photo(Photo(file.name, file.getvalue()), usual) if file else NoFace()
    if source == _LAST:
        settings = replace(st.session_state.get(_AS_ON_DETECT, usual), weights=weights)
        return _from_photo(st.session_state[LAST_PHOTO], settings)
    return _from_photo(sample_photo(), usual, has_face=True)


def show_ways_on(missing: NoFace) -> None:
    """What to do while there is no face."""
    if missing.photo is None or missing.analysis is None:
        st.info("Choose a face in the sidebar to look at.", icon=":material/face:")
        return
    st.warning(f"No face found in {missing.photo.name}; choose another photo, or:", icon=":material/search_off:")
    with st.container(horizontal=True):
        if missing.analysis.weak_scores:
            best = max(missing.analysis.weak_scores)
            told = f"The network scores it {best:.2f} as a face."
            asked = {_UNSURE: missing.photo.digest}
            st.button("Look at the likeliest spot", help=told, on_click=st.session_state.update, args=(asked,))
        offer_whole(missing.photo, missing.analysis)


def offer_look(settings: Settings) -> None:
    """A button on the Detect page that leads to the feature maps of the faces just found, in the same weights."""
    if pressed("Feature maps", key="features.look", icon=":material/layers:"):
        st.session_state.update({_SOURCE: _LAST, _AS_ON_DETECT: settings, _WANTED: settings.weights})
        st.switch_page("pages/feature_maps.py", query_params={})


def take_over_weights() -> None:
    """Choose the weights that the Detect page has asked for; before their list is drawn.

    Streamlit lets no page leave with an address in which a widget of its own keeps something.
    """
    if _WANTED in st.session_state:
        st.session_state["weights"] = st.session_state.pop(_WANTED)


def show_crop(look: Look, name: str) -> None:
    """The face as the network takes it, with the points it predicts."""
    points = with_points(look.crop_gray_u8, look.points_px, look.model.card.schema.colours, 512, 4)
    st.image(points, width="stretch", caption=f"{name}, as {look.weights} sees it", output_format="PNG")


def _from_photo(photo: Photo, settings: Settings, has_face: bool = False) -> FaceCrop | NoFace:
    """A face of a photo, in the boxes that were given where there are any.

    A network that has learned little is sure of no face. Where the photo is known to have one, and where
    it was asked for, all that the detector has found is shown.
    """
    analysis = _analysed(photo, settings)
    unsure = bool(analysis.weak_scores) and (has_face or st.session_state.get(_UNSURE) == photo.digest)
    if unsure:
        analysis = _analysed(photo, replace(settings, min_score=0.0))
    if not analysis.faces:
        return NoFace(photo, analysis)
    index = _choose_among(photo, analysis) if len(analysis.faces) > 1 else 0
    if unsure:
        told = f"{settings.weights} is not sure that this is a face (score {analysis.faces[index].score:.2f})."
        st.caption(f":material/warning: {told}")
    if photo.digest in given_boxes():
        offer_search(photo)
    return FaceCrop(photo.name, analysis.crops_gray_u8[index])


def _analysed(photo: Photo, settings: Settings) -> Analysis:
    (analysis,) = analyse_all([photo], settings, given_boxes())
    if isinstance(analysis, str):
        raise FkdError(analysis)
    return analysis


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
    """The face framed by its labels as the network was trained, or the whole picture where it takes that."""
    face = faces.subset(np.array([row]))
    if not model.card.takes_whole_picture and not has_tight_box(face.points_px, face.schema)[0]:
        raise FkdError(f"Row {row} of {faces.name} has too few labels to frame the face by; choose another row.")
    return cut(face.images_u8[0], crop_maps(model, face)[0], model.card.input_size)
