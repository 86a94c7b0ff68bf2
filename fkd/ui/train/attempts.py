"""Actions behind buttons that may fail: the reason is shown where the button stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from fkd.errors import FkdError


def attempt(place: str, action: Callable[..., Any], *arguments: Any) -> None:
    """Do something; for a button's `on_click`. A failure is told by `show_failure` of the same place."""
    succeeds(place, action, *arguments)


def succeeds(place: str, action: Callable[..., Any], *arguments: Any) -> bool:
    """As `attempt`, and whether it did not fail; for what is to follow then."""
    try:
        action(*arguments)
    except FkdError as error:
        st.session_state[_key(place)] = str(error)
        return False
    return True


def show_failure(place: str) -> None:
    """Why the last attempt of this place failed, if it did; shown once."""
    if failure := st.session_state.pop(_key(place), None):
        st.error(failure, icon=":material/error:")


def _key(place: str) -> str:
    return f"train.failure.{place}"
