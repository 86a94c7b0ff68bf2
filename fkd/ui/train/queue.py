"""The runs that wait: in order, to be moved and cancelled, the same for every session."""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

from fkd.training import launch
from fkd.training.waiting import Queue, read_waiting
from fkd.ui.frame import errors_in_a_sentence
from fkd.ui.pressed import pressed
from fkd.ui.train import keys
from fkd.ui.train.attempts import attempt, show_failure

_LOOK_S = 3.0
_PLACE = "queue"


def show_queue() -> None:
    """The queue, looked at again every few seconds while there is one."""
    show_failure(_PLACE)
    if read_waiting():
        st.fragment(_show, run_every=_LOOK_S)()


def _show() -> None:
    with errors_in_a_sentence():
        # For the case that a worker was killed before it could start the next; runs that cannot be written are shown.
        with suppress(OSError):
            launch.start_waiting()
        waiting = read_waiting()
        if not waiting:
            st.rerun()
        with st.container(border=True, gap="small"):
            st.markdown(f"**Waiting** :gray-badge[{len(waiting)}]")
            for name, device in waiting:
                _show_waiting(name, device)


def _show_waiting(name: str, device: str) -> None:
    """One run with its buttons; what they do shows elsewhere on the page, which is drawn again as a whole."""
    queue = Queue(device)
    rivals = queue.names
    if name not in rivals:  # it has begun meanwhile
        return
    rank = rivals.index(name)
    place = queue.place_of(name)
    turn = f"number {place} for {device}" if place else f"is starting on {device}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{name}** · {turn}", width="stretch")
        for icon, step, words in (("arrow_upward", -1, "Earlier"), ("arrow_downward", 1, "Later")):
            if pressed(
                words,
                key=f"queue.{words}.{name}",
                icon=f":material/{icon}:",
                type="tertiary",
                disabled=not 0 <= rank + step < len(rivals),
            ):
                attempt(_PLACE, launch.move, name, rank + step + 1)
                st.rerun()
        if pressed("Open", key=f"queue.open.{name}", icon=":material/visibility:", type="tertiary"):
            keys.open_run(name)
            st.rerun()
        if pressed("Cancel", key=f"queue.cancel.{name}", icon=":material/close:", type="tertiary"):
            attempt(_PLACE, launch.stop, name)
            st.rerun()
