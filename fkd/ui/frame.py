"""The frame round every page: navigation, deep links, and errors told in one sentence.

`app.py` calls `navigation` with the pages that are finished and `run` with the one it answers;
each page calls `enter` before anything else.
"""

from __future__ import annotations

import gc
import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from fkd.errors import FkdError
from fkd.ui import kept
from fkd.ui.pressed import forget_unanswered

if TYPE_CHECKING:
    from streamlit.navigation.page import Page

ICON = str(Path(__file__).with_name("icon.svg"))
LOGO = str(Path(__file__).with_name("logo.svg"))

# What figures and tables offer in their corners is always shown where nothing can hover, and on a phone lies over
# legends and buttons there.
_PHONE_STYLE = """<style>@media (hover: none) and (max-width: 640px) {
  .modebar-container, [data-testid="stElementToolbar"] { display: none !important; }
}</style>"""
_FRAMED = "frame.is_up"
_WANTED = "frame.wanted_page"
_LAST_RUN = "frame.last_run"
_log = logging.getLogger(__name__)


def navigation(pages: Sequence[Page]) -> Page:
    """Show the navigation over `pages`; the one that the address names.

    The root address leads to the first page, so that every page, the first one too, has an address
    of its own that is worth sharing.
    """

    def home() -> None:
        _switch(pages[0])

    root = st.Page(home, title=pages[0].title, default=True, visibility="hidden")
    page = st.navigation([root, *pages], position="top")
    st.session_state[_FRAMED] = True
    if wanted := st.session_state.pop(_WANTED, None):
        _switch(wanted)
    return page


@dataclass
class _LastRun:
    ended_s: float = -math.inf


def run(page: Page) -> None:
    """Run the page; what goes wrong in it is shown as one sentence."""
    last_run = _last_run()
    try:
        with errors_in_a_sentence():
            page.run()
    finally:  # without the session's state: whoever touches that may be cut short
        last_run.ended_s = time.monotonic()
    forget_unanswered()
    _settle(page.url_path)


@st.cache_resource(show_spinner=False)
def _settle(page: str) -> None:
    """Take what a page has loaded when it is first opened, torch above all, out of every later look for garbage.

    Streamlit has such a look taken at all objects after each run, and every thread waits for it, live pictures' too.
    """
    gc.collect()
    gc.freeze()


def seconds_since_last_run() -> float:
    """How long ago this session's last run of a page ended, whole or cut short by the next."""
    return time.monotonic() - _last_run().ended_s


def _last_run() -> _LastRun:
    return st.session_state.setdefault(_LAST_RUN, _LastRun())


def enter(page_file: str) -> None:
    """Make sure that a page stands in the frame, alone; to be called first, with `__file__`.

    Until somebody has opened the root address of a fresh server, Streamlit runs a page that is
    opened by its own address without `app.py`. Such a visit is sent through `app.py` and back.
    """
    if not st.session_state.get(_FRAMED):
        st.session_state[_WANTED] = page_file
        _switch("app.py")
    st.html(_PHONE_STYLE)
    kept.enter(page_file)


@contextmanager
def errors_in_a_sentence() -> Iterator[None]:
    """Show what fails inside as one sentence; the log has the traceback of what nobody foresaw."""
    try:
        yield
    except FkdError as error:
        st.error(str(error), icon=":material/error:")
    except Exception:
        _log.exception("The page failed")
        st.error("This did not work, and fkd cannot tell why; its terminal says more.", icon=":material/error:")


def _switch(page: Page | str) -> None:
    st.switch_page(page, query_params=st.query_params.to_dict())
