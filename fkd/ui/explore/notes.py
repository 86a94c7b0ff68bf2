"""Noting things about faces on the Explore page: kept on disk at once, so that a refresh loses nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from fkd.data import notes as kept
from fkd.data.notes import Notes
from fkd.errors import FkdError
from fkd.ui.explore.source import Source

_PROBLEM = "explore.notes.problem"
_DONE = "explore.notes.done"
_MOST_MB = 20


def notes_of(source: Source) -> Notes:
    """What has been noted about a dataset, in this session or another; nothing where the file is damaged."""
    try:
        return _read(source.key, _signature(source), source)
    except FkdError as error:
        st.error(str(error), icon=":material/error:")
        return Notes()


@st.cache_resource(show_spinner=False, max_entries=20)
def _read(key: tuple, signature: tuple | None, _source: Source) -> Notes:
    return kept.read_notes(_source.faces)


def _signature(source: Source) -> tuple | None:
    try:
        stat = kept.notes_path(source.faces.name).stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def change(action: Callable[..., Any], *args: Any) -> Any:
    """Call `action`, as a button's `on_click` may not fail; `show_outcome` tells what went wrong."""
    try:
        return action(*args)
    except FkdError as error:
        st.session_state[_PROBLEM] = str(error)
        return None


def show_outcome() -> None:
    """Tell once what became of the last change."""
    if problem := st.session_state.pop(_PROBLEM, None):
        st.error(problem, icon=":material/error:")
    if done := st.session_state.pop(_DONE, None):
        st.toast(done, icon=":material/check:")


def offer_notes(source: Source, notes: Notes) -> None:
    """A menu with what has been noted, its file, and a place to bring one back."""
    label = f"Notes: {len(notes.flags):,} flagged, {len(notes.corrections):,} corrected" if notes.lines else "Notes"
    with st.popover(label, icon=":material/flag:"):
        st.caption(
            f"Flags and corrections are kept in `{kept.notes_path(source.faces.name)}`; the dataset itself is never "
            "changed. Training leaves flagged faces out and learns from corrected points with `--set notes=true`."
        )
        if notes.unfit:
            st.warning(
                f"{len(notes.unfit):,} notes no longer fit: their faces, or the labels of these, have changed or are "
                "gone. They are kept in the file, but not used.",
                icon=":material/link_off:",
            )
        st.download_button(
            "Flags and corrections as CSV",
            kept.csv_text(notes.lines),
            f"{source.faces.name}_notes.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
            disabled=not notes.lines,
        )
        # A new key after each file, so that the same one can be chosen again.
        key = f"explore.notes.file.{st.session_state.setdefault('explore.notes.files', 0)}"
        st.file_uploader(
            "Add the notes of such a file",
            type="csv",
            max_upload_size=_MOST_MB,
            key=key,
            on_change=lambda: change(_take_in, source, key),
        )


def _take_in(source: Source, key: str) -> None:
    file = st.session_state[key]
    st.session_state["explore.notes.files"] += 1
    try:
        text = file.getvalue().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FkdError(f"{file.name} is no text in UTF-8; choose a file that was saved here.") from None
    taken, aside = kept.merge(source.faces, text, file.name)
    left = f", {aside:,} that fit no face left aside" if aside else ""
    st.session_state[_DONE] = f"{taken:,} notes of {file.name} added{left}."
