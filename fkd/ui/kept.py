"""What a session keeps for one page only: closed when it opens another page, and when it ends."""

from __future__ import annotations

from typing import Protocol

import streamlit as st


class Closable(Protocol):
    """Something that holds files or threads."""

    def close(self) -> None:
        """Give them back."""


class _Shelf:
    def __init__(self) -> None:
        self.page: str | None = None
        self.things: dict[str, Closable] = {}

    def clear(self) -> None:
        while self.things:
            self.things.popitem()[1].close()


def enter(page_file: str) -> None:
    """Close what other pages have kept; called by every page that is opened."""
    shelf = _shelf()
    if shelf.page != page_file:
        shelf.clear()
        shelf.page = page_file


def keep(name: str, thing: Closable) -> None:
    """Keep something under a name, and close what was there."""
    drop(name)
    _shelf().things[name] = thing


def kept(name: str) -> Closable | None:
    """What is kept under a name."""
    return _shelf().things.get(name)


def drop(name: str) -> None:
    """Close what is kept under a name."""
    thing = _shelf().things.pop(name, None)
    if thing is not None:
        thing.close()


@st.cache_resource(scope="session", on_release=lambda shelf: shelf.clear(), show_spinner=False)
def _shelf() -> _Shelf:
    return _Shelf()
