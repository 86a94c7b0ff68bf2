"""What the Explore page keeps in the address and in the session, and the moves between its sections."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

DATA = "data"
SECTION = "section"
SHOW = "show"
THRESHOLD = "threshold"
SPLIT = "split"
GROUP = "group"
FIND = "find"
SORT = "sort"
ORDER = "order"
LOW, HIGH = "from", "to"
PAGE = "page"
FACE = "face"  # the row of the face that is shown large; kept in the address by hand, as no widget is bound to it
SELECTION = "explore.selection"  # rows that were picked in a figure

LABELS, KEYPOINTS, FACES = "Missing labels", "Keypoints", "Faces"
AUGMENTATION, DISTRIBUTIONS, TABLE = "Augmentation", "Distributions", "Table"
SECTIONS = (LABELS, KEYPOINTS, FACES, AUGMENTATION, DISTRIBUTIONS, TABLE)

_NARROWING = (THRESHOLD, SPLIT, GROUP, LOW, HIGH)


def forget_view() -> None:
    """Leave every choice that belongs to another dataset's faces."""
    for key in (SHOW, FIND, SORT, ORDER, PAGE, SELECTION, *_NARROWING):
        st.session_state.pop(key, None)
    close_face()


def open_faces(show: str, sort: str = "row", order: str = "Lowest first", group: str | None = None) -> None:
    """Go to the browser of faces with this filter and order; for a button's `on_click`."""
    for key in _NARROWING:
        st.session_state.pop(key, None)
    # Set and not popped: only a value that replaces another one gets into the address.
    st.session_state.update({SECTION: FACES, SHOW: show, SORT: sort, ORDER: order, FIND: "", PAGE: 1})
    if group is not None:
        st.session_state[GROUP] = group
    close_face()


def open_selection(rows: Sequence[int], show: str) -> None:
    """Go to the browser with the rows that were picked in a figure."""
    open_faces(show)
    st.session_state[SELECTION] = tuple(rows)


def another_filter() -> None:
    """After another filter, its own threshold and first page."""
    st.session_state.pop(THRESHOLD, None)
    first_page()


def another_sort() -> None:
    """After another measure to sort by, its whole range and first page."""
    for key in (LOW, HIGH):
        st.session_state.pop(key, None)
    first_page()


def first_page() -> None:
    """After another filter or order, its first page."""
    st.session_state.pop(PAGE, None)
    close_face()


def open_face(row: int) -> None:
    """Show one face large."""
    st.query_params[FACE] = str(row)


def close_face() -> None:
    """Back from one face to the grid."""
    st.query_params.pop(FACE, None)


def is_face_open(n: int) -> bool:
    """Whether a face of a dataset of `n` is what the page shows; to be asked before its sections are drawn."""
    section = st.session_state.get(SECTION) or st.query_params.get(SECTION, FACES)
    return section == FACES and shown_face(n) is not None


def shown_face(n: int) -> int | None:
    """The row in the address, when a dataset of `n` faces has it."""
    text = st.query_params.get(FACE, "")
    return int(text) if text.isdecimal() and int(text) < n else None
