"""What the Train page keeps in the address, and the moves between its views."""

from __future__ import annotations

from typing import Any

import streamlit as st

from fkd.ui.train import table

VIEW = "view"
RECIPE = "recipe"
NEW, RUNS, COMPARE = "New run", "Runs", "Compare"
VIEWS = (NEW, RUNS, COMPARE)
_NEXT = "train.next"


def choose_view() -> str:
    """The switch between the views; the first widget of the page."""
    st.session_state.update(st.session_state.pop(_NEXT, {}))
    view = st.segmented_control(
        "View",
        VIEWS,
        default=None if VIEW in st.session_state else NEW,
        required=True,
        key=VIEW,
        bind="query-params",
        label_visibility="collapsed",
    )
    return view or NEW


def set_next(key: str, value: Any) -> None:
    """Give a widget a value when the page is drawn next, which can be asked for after it was drawn this time."""
    st.session_state.setdefault(_NEXT, {})[key] = value


def open_run(name: str) -> None:
    """Go to a run, among the others, when the page is drawn next."""
    set_next(VIEW, RUNS)
    table.open_run(name)
