"""Buttons that act on what stands in the fields, and not on what stood there before.

    name = st.text_input("Name")
    if pressed("Rename", key="rename.do"):
        rename(name)

What `on_click` is given stems from the last time that the page was drawn to its end. Who types and then clicks sends
the text and the click within a moment, so that the click would be answered with the text before.

Streamlit cuts a callback short where it touches `st.session_state` while the next request waits, and the click is
lost; so the callback gets the set that it is to be noted in.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

_PRESSED = "pressed"  # in the session: keys of buttons whose clicks have not been answered yet


def pressed(label: str, *, key: str, **look: Any) -> bool:
    """A button; True once for each click, also where the page is drawn anew before it comes to the button."""
    unanswered = _unanswered()
    st.button(label, key=key, on_click=unanswered.add, args=(key,), **look)
    if key not in unanswered:
        return False
    unanswered.remove(key)
    return True


def forget_unanswered() -> None:
    """Drop clicks on buttons that are gone; to be called when a page has been drawn to its end."""
    _unanswered().clear()


def _unanswered() -> set[str]:
    return st.session_state.setdefault(_PRESSED, set())
