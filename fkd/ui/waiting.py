"""Waiting for a job on a page: how far it is, how long it will still take, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

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
        bar = _show(job, stop_key)
    while not job.done:
        _show_bar(job, bar)
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
    _show(job, stop_key)


def _show(job: Job, stop_key: str) -> st.delta_generator.DeltaGenerator:
    """The bar, whose place is returned, and the button that stops the job."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        place = st.container(width="stretch").empty()
        _show_bar(job, place)
        if stop_key:
            st.button("Stop", key=stop_key, icon=":material/stop:", disabled=job.stopping, on_click=job.stop)
    return place


def _show_bar(job: Job, place: st.delta_generator.DeltaGenerator) -> None:
    step = "Stopping" if job.stopping else job.watch.sentence()
    place.progress(job.watch.share, text=f"**{job.title}** · {step}" if step else f"**{job.title}**")
