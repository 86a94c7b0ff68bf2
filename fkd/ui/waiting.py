"""Waiting for a job on a page: how far it is, how long it will still take, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from fkd.jobs import Job

_LOOK_EVERY_S = 0.25


def wait_for(job: Job, stop_key: str) -> None:
    """Show a bar until the job has ended; whoever leaves the page meanwhile leaves the job alone.

    Fragments have to wait as long: where any is in use, `follow` the job instead.

    Args:
        job: the work.
        stop_key: key of a button that stops it.
    """
    if job.wait(_LOOK_EVERY_S):
        return
    whole = st.empty()
    with whole.container():
        bar = show_progress(job, stop_key, titled=True)
    while not job.done:
        _draw_bar(job, bar, titled=True)
        job.wait(_LOOK_EVERY_S)
    whole.empty()


@st.fragment(run_every=4 * _LOOK_EVERY_S)
def follow(job: Job, when_done: Callable[[], None], stop_key: str = "") -> None:
    """Show a bar in a fragment of its own, and at the end what `when_done` shows.

    Args:
        job: the work.
        when_done: draws what comes after the job.
        stop_key: key of a button that stops the job; there is none without.
    """
    if job.done:
        when_done()
        return
    show_progress(job, stop_key, titled=True)


def show_progress(
    job: Job, stop_key: str, label: str = "Stop", on_stop: Callable[[], None] | None = None, *, titled: bool = False
) -> DeltaGenerator:
    """The bar of a job with the time left, and the button that stops it.

    Args:
        job: the work.
        stop_key: key of the button; there is none without.
        label: of the button.
        on_stop: what the button does, if not merely stop the job.
        titled: the bar names the job.

    Returns:
        The bar's place.
    """
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width="stretch").empty()
        _draw_bar(job, place, titled)
        if stop_key:
            does = on_stop or job.stop
            st.button(label, key=stop_key, icon=":material/stop:", disabled=job.stopping, on_click=does)
    return place


def _draw_bar(job: Job, place: DeltaGenerator, titled: bool) -> None:
    step = "Stopping" if job.stopping else job.watch.sentence()
    if titled:
        step = f"**{job.title}** · {step}" if step else f"**{job.title}**"
    place.progress(job.watch.share, text=step or "Starting")
