"""What the Explore page keeps in the address and in the session, and the moves between its sections."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

DATA = "data"
SECTION = "section"
SHOW = "show"
SPLIT = "split"
FIND = "find"
SORT = "sort"
ORDER = "order"
PAGE = "page"
FACE = "face"  # the row of the face that is shown large; kept in the address by hand, as no widget is bound to it
SELECTION = "explore.selection"  # rows that were picked in a figure

LABELS, KEYPOINTS, FACES = "Missing labels", "Keypoints", "Faces"
AUGMENTATION, DISTRIBUTIONS, TABLE = "Augmentation", "Distributions", "Table"
SECTIONS = (LABELS, KEYPOINTS, FACES, AUGMENTATION, DISTRIBUTIONS, TABLE)


def forget_view() -> None:
    """Leave every choice that belongs to another dataset's faces."""
    for key in (SHOW, SPLIT, FIND, SORT, ORDER, PAGE, SELECTION):
        st.session_state.pop(key, None)
    close_face()


def open_faces(show: str, sort: str = "row", order: str = "Lowest first") -> None:
    """Go to the browser of faces with this filter and order; for a button's `on_click`."""
    # Set and not popped: only a value that replaces another one gets into the address.
    st.session_state.update({SECTION: FACES, SHOW: show, SORT: sort, ORDER: order, FIND: "", PAGE: 1})
    st.session_state.pop(SPLIT, None)
    close_face()


def open_selection(rows: Sequence[int], show: str) -> None:
    """Go to the browser with the rows that were picked in a figure."""
    open_faces(show)
    st.session_state[SELECTION] = tuple(rows)


def open_face(row: int) -> None:
    """Show one face large."""
    st.query_params[FACE] = str(row)


def close_face() -> None:
    """Back from one face to the grid."""
    st.query_params.pop(FACE, None)


def shown_face(n: int) -> int | None:
    """The row in the address, when a dataset of `n` faces has it."""
    text = st.query_params.get(FACE, "")
    return int(text) if text.isdecimal() and int(text) < n else None
