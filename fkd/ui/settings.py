"""The Detect page's settings in the sidebar: weights, what is drawn, how faces are looked for."""

from __future__ import annotations

from typing import TypeVar

import streamlit as st

from fkd import DEFAULT_WEIGHTS
from fkd.errors import FkdError
from fkd.evaluation.cards import NO_SCORES, render_card
from fkd.models import MODELS
from fkd.pipeline.clip import ClipOptions
from fkd.pipeline.detect import HaarOptions
from fkd.pipeline.draw import DrawOptions
from fkd.pipeline.predict import MIN_FACE_SCORE
from fkd.pipeline.smooth import SmoothOptions
from fkd.pipeline.track import TrackOptions
from fkd.ui.forms import options_form, reset
from fkd.ui.missing import HAAR, MIN_SCORE
from fkd.ui.photos import Settings
from fkd.weights import find_weights, list_run_weights, list_weights, live_weights, read_card

T = TypeVar("T")
_WEIGHTS, _UNCHOSEN = "weights", "weights.unchosen"


def choose_settings() -> tuple[Settings, DrawOptions]:
    """The sidebar for photos; `FkdError` when there are no weights to choose from."""
    with st.sidebar:
        st.subheader("Model", anchor=False)
        weights = choose_weights()
        min_score = st.slider(
            "Minimum face score",
            0.0,
            1.0,
            MIN_FACE_SCORE,
            0.05,
            key=MIN_SCORE,
            bind="query-params",
            help="Spots that the network is less sure of are not taken for a face.",
        )
        drawing = _choose_drawing()
        haar = _folded("Face detector", HaarOptions, HAAR)
    return Settings(weights, haar, min_score), drawing


def choose_clip_settings() -> tuple[str, ClipOptions]:
    """The sidebar for moving pictures, live or from a file: weights, and how faces are followed and drawn."""
    with st.sidebar:
        st.subheader("Model", anchor=False)
        weights = choose_weights(live_weights())
        drawing = _choose_drawing()
        smooth = _folded("Steady points", SmoothOptions, "smooth")
        track = _folded("Following faces", TrackOptions, "track")
    return weights, ClipOptions(track, smooth, drawing)


def _choose_drawing() -> DrawOptions:
    st.subheader("Drawing", anchor=False)
    return options_form(DrawOptions, "draw", skip=("colour",))


def _folded(title: str, options_class: type[T], key: str) -> T:
    """Options that few people change, with the way back."""
    with st.expander(title, icon=":material/tune:"):
        options = options_form(options_class, key)
        st.button(
            "Back to the defaults", key=f"{key}.reset", on_click=reset, args=(options_class, key), width="stretch"
        )
    return options


def choose_weights(default: str = DEFAULT_WEIGHTS) -> str:
    """A list of the weights there are, those of runs below the shipped ones, with the chosen one's card in a line.

    Who has not chosen gets the `default`, also after a step from photos to videos, which have different ones.
    """
    names = sorted(list_weights(), key=lambda name: (name != default, name))
    names += list_run_weights()
    if not names:
        find_weights(default)  # says which weights are missing and where they belong
    before = st.session_state.get(_UNCHOSEN)
    if before not in (None, default) and st.session_state.get(_WEIGHTS) == before:
        st.session_state[_WEIGHTS] = default
    st.session_state[_UNCHOSEN] = default
    weights = st.selectbox("Weights", names, key=_WEIGHTS, bind="query-params")
    try:
        card = read_card(weights)
    except FkdError:
        return weights  # the page says what is wrong with them; here others can still be chosen
    st.caption(f"{len(card.schema)} keypoints · {card.input_size} px crop")
    if not MODELS[card.model].gives_scores:
        st.caption(f":material/warning: Its scores come {NO_SCORES}.")
    about = st.popover("About these weights", icon=":material/info:", width="stretch", on_change="rerun")
    if about.open:
        about.markdown(render_card(weights, pictures=False), anchors=False)
    return weights
