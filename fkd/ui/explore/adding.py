"""The dialog that adds a dataset, and how its jobs are doing while the page shows something else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from fkd.data import is_available
from fkd.data.fetch import (
    KAGGLE_TERMS_URL,
    YOUTUBE_FACES_TERMS_URL,
    YOUTUBE_FACES_URL,
    fetch_kaggle,
    fetch_youtube_faces,
    has_kagglehub,
)
from fkd.data.importing import Imported, check_name, import_dataset, main_file, name_from
from fkd.errors import FkdError, counted
from fkd.jobs import Job, Stopped
from fkd.paths import data_root
from fkd.ui.explore import keys
from fkd.ui.frame import errors_in_a_sentence
from fkd.ui.sources import PHOTO_SUFFIXES
from fkd.ui.waiting import follow

if TYPE_CHECKING:
    from streamlit.runtime.uploaded_file_manager import UploadedFile

OWN, KAGGLE, YOUTUBE_FACES = "Your own", "Kaggle", "YouTube Faces"
LAYOUTS = {"auto": "Either", "kaggle": "15 points", "points68": "68 points"}
STOP, SKIP = "Stop at the first", "Leave them out"
_SUFFIXES = ["zip", "csv", "pts", *PHOTO_SUFFIXES]
_MOST_MB = 2000
_SHOWN_ROWS = 10
_IS_OPEN = "explore.adding.is_open"
_LEAVING = "explore.adding.leaving"  # a dataset was opened from a fragment: the whole page follows
_SHOWN_JOB = "explore.adding"  # the name of the dataset whose job the dialog shows
_FOLLOWED = "explore.adding.followed"  # by name, the jobs whose outcome this session is to see
_FILES, _NAME, _SUGGESTED = "explore.adding.files", "explore.adding.name", "explore.adding.suggested"


@st.cache_resource
def _jobs() -> dict[str, Job[Imported]]:
    """By the dataset's name, what is being added on this server, until somebody has seen how it ended."""
    return {}


def _followed() -> dict[str, Job[Imported]]:
    """What this session has begun or seen under way, until it has acknowledged how it ended."""
    followed: dict[str, Job[Imported]] = st.session_state.setdefault(_FOLLOWED, {})
    return followed


def open_dialog(kind: str | None) -> None:
    """Open the dialog at one of its sides, or not; to be called in every run of the page."""
    st.session_state[_IS_OPEN] = kind is not None
    if kind is not None:
        st.session_state.pop(_SHOWN_JOB, None)
        _dialog(kind)


def is_open() -> bool:
    """Whether the latest run of the page has opened the dialog."""
    return st.session_state[_IS_OPEN]


def is_busy() -> bool:
    """Whether somebody may want to press a button of a fragment: the dialog's, or one that stops a job."""
    return is_open() or any(not job.done for job in list(_jobs().values()))


@st.dialog("Add a dataset", width="medium", on_dismiss=lambda: _forget_seen())
def _dialog(first: str) -> None:
    kind = st.segmented_control(
        "Where from",
        [OWN, KAGGLE, YOUTUBE_FACES],
        default=first,
        required=True,
        width="stretch",
        label_visibility="collapsed",
    )
    {OWN: _own, KAGGLE: _kaggle, YOUTUBE_FACES: _youtube_faces}[kind]()
    name = st.session_state.get(_SHOWN_JOB)
    if name in _followed():
        follow(_followed()[name], lambda: _show_outcome(name, "dialog"), f"adding.stop.dialog.{name}")


def _own() -> None:
    st.caption(
        "A zip, or a CSV with its pictures, checked in full before anything is stored. 15 points: Kaggle's 30 columns "
        "and `Image`, or a column of file names. 68 points: a file name and 136 coordinates, x and y in turn, or, as "
        "in 300-W, a `.pts` file beside each picture; pictures in folders go into a zip."
    )
    files = st.file_uploader(
        "Files", _SUFFIXES, accept_multiple_files=True, max_upload_size=_MOST_MB, key=_FILES, on_change=_suggest_name
    )
    with st.form("adding.own", border=False):
        name = st.text_input("Name", placeholder="letters, digits, - and _", max_chars=64, key=_NAME)
        with st.container(horizontal=True):
            layout = st.segmented_control(
                "Layout", list(LAYOUTS), default="auto", required=True, format_func=LAYOUTS.__getitem__
            )
            bad_rows = st.segmented_control("Bad rows", [STOP, SKIP], default=STOP, required=True)
        wanted = st.form_submit_button("Import", type="primary", icon=":material/upload:")
    if wanted:
        _forget_seen()
        with errors_in_a_sentence():
            _begin_import(files, name, layout, bad_rows == SKIP)


def _suggest_name() -> None:
    """Call the dataset after what was chosen, unless somebody has typed a name."""
    if st.session_state[_NAME] in ("", st.session_state.get(_SUGGESTED)):
        suggested = name_from([file.name for file in st.session_state[_FILES]])
        st.session_state.update({_NAME: suggested, _SUGGESTED: suggested})


def _begin_import(files: Sequence[UploadedFile], name: str, layout: str, skip: bool) -> None:
    """Import what was uploaded; `FkdError` at once for what needs no look into it."""
    if not files:
        raise FkdError("No file was chosen; choose a zip, or a CSV and its pictures.")
    check_name(name)
    if (running := _jobs().get(name)) is not None and not running.done:
        raise FkdError(f"{name!r} is being added already; wait for it, or choose another name.")
    uploads = [(file.name, file.getbuffer()) for file in files]
    more = f" and {counted(len(files) - 1, 'other file')}" if len(files) > 1 else ""
    title = f"Importing {main_file([file.name for file in files])}{more} as {name}"
    _begin(name, title, lambda: import_dataset(uploads, name, layout=layout, skip_bad_rows=skip))


def _kaggle() -> None:
    st.markdown(
        "7,049 faces with up to 15 points, from Kaggle's competition "
        f"[Facial Keypoints Detection]({KAGGLE_TERMS_URL}), whose terms you accept there. kagglehub fetches them with "
        "the token of your own account, which your Kaggle settings put into `~/.kaggle/`."
    )
    st.caption(f"By hand: put `training.zip` into `{data_root() / 'kaggle'}`.")
    if not has_kagglehub():
        st.info("This needs an optional library: `pip install kagglehub`.", icon=":material/extension:")
    _offer_fetch("kaggle", "Fetch from Kaggle", fetch_kaggle, possible=has_kagglehub())


def _youtube_faces() -> None:
    st.markdown(
        "5,770 frames of videos with 68 points each, from the YouTube Faces dataset, for "
        f"[research only]({YOUTUBE_FACES_TERMS_URL}). What has arrived is kept when the connection breaks off or you "
        "stop, and fetching goes on from there."
    )
    st.caption(f"By hand: download [the archive]({YOUTUBE_FACES_URL}) and add it as your own, named `youtube_faces`.")
    _offer_fetch("youtube_faces", "Fetch YouTube Faces", fetch_youtube_faces)


def _offer_fetch(name: str, label: str, fetch: Callable[[], Imported], *, possible: bool = True) -> None:
    if is_available(name):
        st.success(f"`{name}` is here already.", icon=":material/check_circle:")
    elif st.button(label, type="primary", icon=":material/download:", disabled=not possible):
        _begin(name, label.replace("Fetch", "Fetching"), fetch)


def _begin(name: str, title: str, work: Callable[[], Imported]) -> None:
    """Start a job, unless one of the same name is under way, and let the dialog show it."""
    running = _jobs().get(name)
    if running is None or running.done:
        _jobs()[name] = Job(title, work)
    _followed()[name] = _jobs()[name]
    st.session_state[_SHOWN_JOB] = name


def show_jobs() -> None:
    """On the page itself: what is being added, or was and has not been acknowledged here or seen anywhere."""
    _followed().update(_jobs())
    for name, job in list(_followed().items()):
        follow(job, partial(_show_outcome, name, "page"), f"adding.stop.page.{name}")


def _show_outcome(name: str, where: str) -> None:
    """What came of a job, and the way on."""
    if name not in _followed():  # acknowledged, and the page not drawn anew since
        if st.session_state.pop(_LEAVING, False):
            st.rerun()
        return
    job, imported = _followed()[name], None
    if _jobs().get(name) is job:
        _jobs().pop(name, None)  # it is told here, and to nobody who comes later
    with errors_in_a_sentence():
        try:
            imported = job.result()
        except Stopped as stopped:
            st.info(str(stopped), icon=":material/stop_circle:")
        except FkdError as error:
            raise FkdError(f"{job.title} did not work: {error}") from None
    if imported:
        _show_imported(imported)
    with st.container(horizontal=True):
        if imported:
            st.button(f"Open {name}", key=f"adding.open.{where}.{name}", type="primary", on_click=_open, args=(name,))
        if where == "page":
            st.button("Close", key=f"adding.close.{name}", on_click=_close, args=(name,))


def _show_imported(imported: Imported) -> None:
    count = len(imported.bad_rows)
    left_out = f" {count:,} {'row was' if count == 1 else 'rows were'} left out." if count else ""
    st.success(f"`{imported.name}` is stored: {imported.faces:,} faces.{left_out}", icon=":material/check_circle:")
    if count:
        with st.expander("What was left out"):
            more = [f"and {count - _SHOWN_ROWS:,} more"] if count > _SHOWN_ROWS else []
            st.text("\n".join([bad.reason for bad in imported.bad_rows[:_SHOWN_ROWS]] + more))


def _close(name: str) -> None:
    _followed().pop(name, None)


def _open(name: str) -> None:
    _close(name)
    st.session_state.update({keys.DATA: name, _LEAVING: True})
    keys.forget_view()


def _forget_seen() -> None:
    """Whoever closes the dialog, or begins anew in it, has seen how a job ended in it."""
    name = st.session_state.pop(_SHOWN_JOB, None)
    if name in _followed() and _followed()[name].done:
        _close(name)
