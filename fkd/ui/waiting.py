"""Waiting for a job on a page: how far it is, how long it will still take, and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from fkd.jobs import Job

_LOOK_EVERY_S = 0.25


def wait_for(job: Job) -> None:
    """Show a bar until the job has ended; whoever leaves the page meanwhile leaves the job alone.

    Fragments have to wait as long: where any is in use, `follow` the job instead.
    """
    if job.wait(_LOOK_EVERY_S):
        return
    place = st.empty()
    while not job.done:
        _show_bar(job, place)
        job.wait(_LOOK_EVERY_S)
    place.empty()


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
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _show_bar(job, st.container(width="stretch").empty())
        if stop_key:
            st.button("Stop", key=stop_key, icon=":material/stop:", disabled=job.stopping, on_click=job.stop)


def _show_bar(job: Job, place: st.delta_generator.DeltaGenerator) -> None:
    step = "Stopping" if job.stopping else job.watch.sentence()
    place.progress(job.watch.share, text=f"**{job.title}** · {step}" if step else f"**{job.title}**")
