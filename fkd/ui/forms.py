"""Form fields made from a dataclass of options, with the help and ranges that its fields carry."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any, TypeVar

import streamlit as st

T = TypeVar("T")
_SHORT = 20  # letters in all choices that still fit side by side in the sidebar


def options_form(options_class: type[T], key: str, skip: tuple[str, ...] = ()) -> T:
    """One widget for each field declared with `fkd.options.option`; the dataclass with what was chosen.

    Args:
        options_class: the frozen dataclass.
        key: prefix of the widgets' keys; the field `size` is kept in the session as `key.size`.
        skip: fields that keep their default and get no widget.
    """
    values = {item.name: _widget(item, f"{key}.{item.name}") for item in _shown(options_class, skip)}
    return options_class(**values)


def reset(options_class: type, key: str) -> None:
    """Put every widget of `options_form` back to its field's default; for a button's `on_click`."""
    for item in fields(options_class):
        st.session_state.pop(f"{key}.{item.name}", None)


def _shown(options_class: Any, skip: tuple[str, ...]) -> list[Field]:
    return [item for item in fields(options_class) if item.name not in skip]


def _widget(item: Field, key: str) -> Any:
    label = item.name.replace("min_", "minimum_").replace("_", " ").capitalize()
    common: dict[str, Any] = {"key": key, "help": item.metadata["help"], "persist_state": "session"}
    choices, low, high = (item.metadata[name] for name in ("choices", "low", "high"))
    if choices is not None and sum(map(len, choices)) < _SHORT:
        return st.segmented_control(
            label, choices, default=item.default, required=True, format_func=_readable, width="stretch", **common
        )
    if choices is not None:
        return st.selectbox(label, choices, index=choices.index(item.default), format_func=_readable, **common)
    if isinstance(item.default, bool):
        return st.toggle(label, value=item.default, **common)
    if isinstance(item.default, int):
        return st.slider(label, int(low), int(high), item.default, **common)
    step = 0.005 if low < 0.01 else 0.01
    return st.slider(label, float(low), float(high), item.default, step, format="%.3g", **common)


def _readable(choice: str) -> str:
    return choice.replace("_", " ").capitalize()
