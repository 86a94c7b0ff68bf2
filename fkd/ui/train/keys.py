"""What the Train page keeps in the address, and the moves between its views."""

from __future__ import annotations

import streamlit as st

from fkd.ui.train import table

VIEW = "view"
RECIPE = "recipe"
NEW, RUNS, COMPARE = "New run", "Runs", "Compare"
VIEWS = (NEW, RUNS, COMPARE)


def choose_view() -> str:
    """The switch between the views."""
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


def open_run(name: str) -> None:
    """Go to a run, among the others; for a button's `on_click`."""
    st.session_state[VIEW] = RUNS
    table.open_run(name)
