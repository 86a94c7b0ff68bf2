"""Waiting for a job on a page: how far it is, how long it will still take, and a way to stop it."""

from __future__ import annotations

import streamlit as st

from fkd.jobs import Job

_LOOK_EVERY_S = 0.25


def wait_for(job: Job, key: str = "") -> None:
    """Show a bar until the job has ended; whoever leaves the page meanwhile leaves the job alone.

    Args:
        job: the work.
        key: of a button that stops it; there is none without.
    """
    if job.wait(_LOOK_EVERY_S):
        return
    place = st.empty()
    with place.container():
        bar = st.empty()
        if key:
            stop_button(job, key)
    show_bar(job, bar)
    while not job.wait(_LOOK_EVERY_S):
        show_bar(job, bar)
    place.empty()


def show_bar(job: Job, place: st.delta_generator.DeltaGenerator) -> None:
    """How far the job is."""
    step = "Stopping" if job.stopping else job.watch.sentence()
    place.progress(job.watch.share, text=f"**{job.title}** · {step}" if step else f"**{job.title}**")


def stop_button(job: Job, key: str) -> None:
    """Ask the job to end."""
    st.button("Stop", key=key, icon=":material/stop:", disabled=job.stopping, on_click=job.stop)
