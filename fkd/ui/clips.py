"""The Video mode of the Detect page: a video in, the video with its faces drawn and their points out."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import cast

import streamlit as st

from fkd.errors import FkdError
from fkd.jobs import Stopped
from fkd.pipeline.clip import ClipSummary
from fkd.pipeline.clip_work import ClipWork
from fkd.ui import kept, settings
from fkd.ui.photos import shared_model
from fkd.ui.results import count_faces
from fkd.ui.waiting import show_progress

PRIVACY = (
    ":material/lock: Videos stay on the machine that runs this app, in temporary files that are gone when you leave "
    "the page."
)
_SUFFIXES = ["mp4", "mov", "mkv", "avi", "webm", "m4v"]
_MOST_MB = 500
_SHOWN_PX = 640
_WORK, _UPLOADS = "clips.work", "clips.uploads"
_LOOK_EVERY_S = 0.5
_log = logging.getLogger(__name__)


def show() -> None:
    """The whole mode, sidebar included."""
    weights, options = settings.choose_clip_settings()
    model = shared_model(weights)
    number = st.session_state.setdefault(_UPLOADS, 0)
    file = st.file_uploader(
        "Video", _SUFFIXES, max_upload_size=_MOST_MB, key=f"clips.file.{number}", label_visibility="collapsed"
    )
    if file is not None:
        st.session_state[_UPLOADS] += 1  # a fresh uploader: the old one would hold the file in memory
        given = ClipWork(file.name, file.getbuffer())
        given.begin(model, options)
        kept.keep(_WORK, given)
        st.rerun()
    work = cast(ClipWork | None, kept.kept(_WORK))
    if work is None:
        _say_how_to_start()
        return
    st.subheader(work.name, anchor=False)
    if not work.job.done:
        st.fragment(_show_progress, run_every=_LOOK_EVERY_S)(work)
        return
    _show_outcome(work)
    has_changed = work.model is not model or work.options != options
    if has_changed or work.job.stopping:
        label = "Follow again with the new settings" if has_changed else "Follow again"
        st.button(label, icon=":material/replay:", on_click=work.begin, args=(model, options))


def _say_how_to_start() -> None:
    with st.container(border=True, gap="xsmall"):
        st.markdown("**No video yet**")
        st.caption(
            "Add one above: MP4, MOV, MKV, AVI or WebM. Its faces are followed with the settings beside it; you get "
            "the video with the points drawn on it, sound included, and a table of all points."
        )


def _show_progress(work: ClipWork) -> None:
    if work.job.done:
        st.rerun()
    show_progress(work.job, "clips.cancel", "Cancel")


def _show_outcome(work: ClipWork) -> None:
    try:
        summary = work.job.result()
    except Stopped:
        st.info("Cancelled before the end, so there are no results.", icon=":material/cancel:")
    except FkdError as error:
        st.error(str(error), icon=":material/error:")
    except Exception:
        _log.exception("No result for a video")
        st.error(f"{work.name} could not be worked on; convert it to MP4 and try again.", icon=":material/error:")
    else:
        _show_results(work, summary)


def _show_results(work: ClipWork, summary: ClipSummary) -> None:
    seen = f"{summary.frames_with_faces:,} of {summary.frames:,} frames show a face"
    st.caption(f"{count_faces(summary.faces)} · {seen}")
    if summary.damage:
        st.warning(summary.damage, icon=":material/broken_image:")
    if not summary.faces:
        st.warning(
            "No face was found. Under *Following faces*, lower *Find score* or *Minimum face*, and follow again.",
            icon=":material/search_off:",
        )
    stem = Path(work.name).stem
    with st.container(horizontal=True):
        for label, path, mime in (
            ("Annotated video", work.annotated, "video/mp4"),
            ("Points as CSV", work.csv, "text/csv"),
            ("Points as Parquet", work.parquet, "application/vnd.apache.parquet"),
        ):
            name = f"{stem}_keypoints{path.suffix}"
            st.download_button(label, path.read_bytes, name, mime, on_click="ignore", icon=":material/download:")
    st.video(str(work.annotated), width=_SHOWN_PX)
