"""Where the Detect page's photos come from: files, the camera, or the bundled sample."""

from __future__ import annotations

import streamlit as st

from fkd.ui.photos import Photo, sample_photo

_SOURCE = "source"
_FILES, _CAMERA, _SAMPLE = "Photos", "Camera", "Sample photo"
PHOTO_SUFFIXES = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff"]


def choose_photos() -> list[Photo]:
    """The switch between the sources and what the chosen one gives; says what to do while that is nothing."""
    source = st.segmented_control(
        "Source",
        [_FILES, _CAMERA, _SAMPLE],
        default=_FILES,
        required=True,
        key=_SOURCE,
        bind="query-params",
        label_visibility="collapsed",
    )
    if source == _SAMPLE:
        return [sample_photo()]
    photos = _from_camera() if source == _CAMERA else _from_files()
    if not photos:
        _say_how_to_start()
    return photos


def _from_files() -> list[Photo]:
    files = st.file_uploader("Photos", PHOTO_SUFFIXES, accept_multiple_files=True, label_visibility="collapsed")
    return [Photo(file.name, file.getvalue()) for file in files]


def _from_camera() -> list[Photo]:
    still = st.camera_input("Take a photo", label_visibility="collapsed")
    return [Photo("camera.jpg", still.getvalue())] if still else []


def _say_how_to_start() -> None:
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="medium"):
        st.image(sample_photo().content, width=88, alt="The sample: an astronaut's portrait")
        with st.container(width=280, gap="xsmall"):
            st.markdown("**No photo yet**")
            st.caption("Add your own above, or see what comes out for the sample.")
        st.button(
            "Try the sample photo",
            type="primary",
            icon=":material/face:",
            on_click=st.session_state.update,
            args=({_SOURCE: _SAMPLE},),
        )
