"""The data that another page chooses for a new run: the form behind `train?dataset=kaggle` begins with them."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from fkd.data import check_names
from fkd.errors import FkdError
from fkd.training.recipes import RECIPES, fits, get_recipe, recipe_for
from fkd.ui.train import form, keys

DATA = "dataset"  # `data` is the Explore page's own
_FOLLOWED = "train.followed"  # the data that the form was last begun with for the address


def follow() -> None:
    """Begin the form with the data in the address, and a recipe for them; before any widget is drawn."""
    data = st.query_params.get(DATA)
    if not data or data == st.session_state.get(_FOLLOWED):
        return
    try:
        check_names(data)
    except FkdError as error:
        st.error(str(error), icon=":material/error:")
        return
    st.session_state[_FOLLOWED] = data
    st.session_state[keys.VIEW] = keys.NEW
    form.begin_with(replace(get_recipe(_recipe(data)), data=data))


def _recipe(data: str) -> str:
    """The recipe in the address too, else the one chosen before, where it is made for these points."""
    named, before = st.query_params.get(keys.RECIPE), st.session_state.get(keys.RECIPE, "")
    if named in RECIPES:
        return named
    return before if fits(before, data) else recipe_for(data)


def keep_true(data: str) -> None:
    """Take the data out of the address once others are chosen."""
    if st.query_params.get(DATA, data) != data:
        st.query_params.pop(DATA)
        st.session_state.pop(_FOLLOWED, None)
