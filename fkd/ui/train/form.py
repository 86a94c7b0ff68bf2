"""The form of a new run: every setting of a training, beginning with those of a recipe or of another run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import Any

import streamlit as st

from fkd.augment import Augmentation
from fkd.data import dataset_names, is_available, schema_of
from fkd.errors import FkdError, listed
from fkd.paths import data_root
from fkd.schema import get_schema
from fkd.training.config import SECTIONS, TrainConfig
from fkd.training.recipes import fits, get_recipe
from fkd.ui.datasets import ways_to_get
from fkd.ui.forms import fields_grid
from fkd.ui.train import keys
from fkd.weights import all_weights

_BASE = "train.base"
_ROUND = "train.round"  # part of every widget's key, so that new values make fresh widgets
_OF_DATA = ("missing", "notes")
_APART = ("recipe", "data", *_OF_DATA, "augmentation")  # they stand elsewhere in the form


def begin_with(config: TrainConfig) -> None:
    """Fill the form with a configuration when the page is drawn next."""
    get_recipe(config.recipe)
    st.session_state[_BASE] = config
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    keys.set_next(keys.RECIPE, config.recipe)


def base_config(recipe: str) -> TrainConfig:
    """What the form began with: the recipe, or what `begin_with` gave since it was chosen.

    Data that were given or chosen with another recipe stay, where this one is made for their points.
    """
    before = st.session_state.get(_BASE)
    if before is not None and before.recipe == recipe:
        return before
    base = get_recipe(recipe)
    if before is not None:
        chosen = st.session_state.get(f"{_key()}.data") or before.data.split("+")
        if chosen != _offered(get_recipe(before.recipe).data) and fits(recipe, "+".join(chosen)):
            base = replace(base, data="+".join(chosen))
    st.session_state[_BASE] = base
    st.session_state[_ROUND] = st.session_state.get(_ROUND, 0) + 1
    return base


def _offered(data: str) -> list[str]:
    """Those of some sources that are here; without any, the synthetic one with the same points."""
    wanted = data.split("+")
    names = [name for name in dataset_names() if is_available(name)]
    here = [name for name in wanted if name in names]
    return here or [n for n in names if n.startswith("synthetic") and schema_of(n) == schema_of(wanted[0])]


def choose_data(base: TrainConfig) -> dict[str, Any]:
    """Fields for the source of the faces, the treatment of missing labels, and what was noted of faces.

    Raises:
        FkdError: no source is chosen, or sources with different points.
    """
    names = [name for name in dataset_names() if is_available(name)]
    if missing := [name for name in base.data.split("+") if name not in names]:
        _say_what_is_missing(missing)
    chosen = st.multiselect(
        "Data",
        names,
        default=_offered(base.data),
        format_func=lambda name: f"{name} · {len(get_schema(schema_of(name)))} points",
        key=f"{_key()}.data",
        placeholder="Choose one or more",
        help="Several sources are joined; they must have the same points.",
        persist_state="session",
    )
    treatment = fields_grid(base, _key(), _OF_DATA, columns=2)
    if not chosen:
        raise FkdError("Choose the data to train on.")
    if len({schema_of(name) for name in chosen}) > 1:
        raise FkdError("These sources have different points and cannot be joined; take one away.")
    return {"data": "+".join(chosen), **treatment}


def _say_what_is_missing(names: list[str]) -> None:
    verb = "is" if len(names) == 1 else "are"
    st.info(
        f"The recipe's own data, {listed(names)}, {verb} not in `{data_root()}`. {ways_to_get(names)} "
        "Until then, synthetic faces will do.",
        icon=":material/download:",
    )


def choose_settings(base: TrainConfig) -> dict[str, Any]:
    """Fields for all other settings, the advanced ones folded away; `FkdError` where one holds what it cannot."""
    folded = {name for names in SECTIONS.values() for name in names}
    shown = [item.name for item in fields(TrainConfig) if item.name not in (*folded, *_APART)]
    values: dict[str, Any] = {}
    problems: list[FkdError] = []
    with _noting(problems):
        values |= fields_grid(base, _key(), shown)
    known = {"start_from": all_weights()}
    with st.expander("Advanced settings", icon=":material/tune:"):
        for section, names in SECTIONS.items():
            st.markdown(f"**{section}**")
            with _noting(problems):
                own = [name for name in names if name not in _APART]
                values |= fields_grid(base, _key(), own, known_texts=known)
            if "augmentation" in names:
                with _noting(problems):
                    values["augmentation"] = _augmentation(base.augmentation)
    if problems:
        raise problems[0]
    return values


@contextmanager
def _noting(problems: list[FkdError]) -> Iterator[None]:
    """Go on after a field with a problem, so that all others are drawn too."""
    try:
        yield
    except FkdError as error:
        problems.append(error)


def _augmentation(base: Augmentation) -> Augmentation:
    inner = [item.name for item in fields(base)]
    return replace(base, **fields_grid(base, f"{_key()}.augmentation", inner, columns=4))


def _key() -> str:
    return f"train.form.{st.session_state[_ROUND]}"
