"""Work that a page has begun and waits for: shared by all sessions, with its progress and a way to stop it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from threading import Lock
from typing import Any
from weakref import WeakSet

import streamlit as st

from fkd.errors import FkdError
from fkd.jobs import Job
from fkd.ui.waiting import show_progress

_LOOK_S = 0.5
_KEPT = 100  # results of settings that nobody looks at any more are forgotten
_looking = Lock()


def begin(key: Hashable, title: str, work: Callable[[], Any]) -> None:
    """Begin work, again where it has ended already; for a button's `on_click`."""
    jobs = _jobs()
    if is_under_way(key):
        return
    for old in [other for other, job in list(jobs.items()) if job.done][: max(len(jobs) - _KEPT, 0)]:
        jobs.pop(old, None)
    jobs[key] = Job(title, work)


def ensure(key: Hashable, title: str, work: Callable[[], Any]) -> None:
    """Begin work that was never begun."""
    if key not in _jobs():
        begin(key, title, work)


def turn_to(place: str, key: Hashable) -> bool:
    """Note what this session looks at in one place of its pages; whether that was something else before.

    The work that it turns away from is stopped, unless another session waits for it.
    """
    look = st.session_state.setdefault(f"work.{place}", _Look())
    before, look.key = look.key, key
    with _looking:
        _looks().add(look)
        is_wanted = any(other.key == before for other in _looks())
    if is_under_way(before) and not is_wanted:
        forget(before)
    return before != key


def forget(key: Hashable) -> None:
    """Drop work with its result, and stop it where it is under way."""
    job = _jobs().pop(key, None)
    if job is not None:
        job.stop()


def is_under_way(key: Hashable) -> bool:
    """Whether it has begun and not ended."""
    job = _jobs().get(key)
    return job is not None and not job.done


def follow(key: Hashable, stop: str | None = "Stop") -> Any | None:
    """What the work has returned; until then None, while its progress is shown, or why it failed.

    Args:
        key: of the work.
        stop: what the button says that stops it; there is none without, for work that would only begin again.
    """
    job = _jobs().get(key)
    if job is None:
        return None
    if not job.done:
        st.fragment(_show_progress, run_every=_LOOK_S)(key, stop)
        return None
    try:
        return job.result()
    except FkdError as error:
        st.error(str(error), icon=":material/error:")
        if not stop:  # what begins by itself has no other button that would begin it again
            st.button("Try again", key=f"work.again.{key}", icon=":material/refresh:", on_click=forget, args=(key,))
        return None
    except Exception:
        _jobs().pop(key, None)  # what nobody foresaw is told once, and may go well the next time
        raise


def _show_progress(key: Hashable, stop: str | None) -> None:
    """Progress and a button that stops the work; the page is drawn again at its end."""
    job = _jobs().get(key)
    if job is None or job.done:
        st.rerun()
        return
    show_progress(job, f"work.stop.{key}" if stop else "", stop or "", partial(forget, key))


class _Look:
    """What a session looks at in one place; it goes with its session."""

    key: Hashable = None


@st.cache_resource(show_spinner=False)
def _looks() -> WeakSet[_Look]:
    return WeakSet()


@st.cache_resource(show_spinner=False)
def _jobs() -> dict[Hashable, Job]:
    return {}
