"""Form fields made from a dataclass of options, with the help and ranges that its fields carry."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, TypeVar

import streamlit as st

from fkd.errors import FkdError
from fkd.options import readable

T = TypeVar("T")
_SHORT = 20  # letters in all choices that still fit side by side in the sidebar
_FINEST = 4  # decimals of the step that a field's buttons take


def options_form(options_class: type[T], key: str, skip: tuple[str, ...] = ()) -> T:
    """One widget below the other for each field of a dataclass; the dataclass with what was chosen.

    Args:
        options_class: a frozen dataclass whose fields are declared with `fkd.options.option`.
        key: prefix of the widgets' keys; the field `size` is kept in the session as `key.size`.
        skip: fields that keep their default and get no widget.
    """
    shown: list[Field] = [item for item in fields(options_class) if item.name not in skip]  # type: ignore[arg-type]
    return options_class(**{item.name: _widget(item, item.default, f"{key}.{item.name}") for item in shown})


def reset(options_class: type, key: str) -> None:
    """Put every widget of `options_form` back to its field's default; for a button's `on_click`."""
    for item in fields(options_class):
        st.session_state.pop(f"{key}.{item.name}", None)


def fields_grid(defaults: Any, key: str, names: Sequence[str], columns: int = 3) -> dict[str, Any]:
    """Fields side by side, numbers to be typed and choices written as the command line takes them.

    Args:
        defaults: an instance of the dataclass; the widgets begin with its values.
        key: prefix of the widgets' keys. Another key makes fresh widgets, which begin with `defaults` again.
        names: the fields to show, in this order.
        columns: how many stand side by side where there is room.

    Raises:
        FkdError: a text is not what its field takes; raised once all widgets are drawn.
    """
    known = {item.name: item for item in fields(defaults)}
    values, problems = {}, []
    for start in range(0, len(names), columns):
        row = st.columns(columns, vertical_alignment="bottom")
        for name, column in zip(names[start : start + columns], row, strict=False):
            with column:
                try:
                    values[name] = _typed(known[name], getattr(defaults, name), f"{key}.{name}")
                except FkdError as error:
                    problems.append(error)
    if problems:
        raise problems[0]
    return values


def _common(item: Field, key: str) -> dict[str, Any]:
    label = item.metadata["label"] or readable(item.name)
    return {"label": label, "key": key, "help": item.metadata["help"], "persist_state": "session"}


def _widget(item: Field, default: Any, key: str) -> Any:
    """A field for the sidebar: sliders, and short choices side by side."""
    common = _common(item, key)
    choices, low, high = (item.metadata[name] for name in ("choices", "low", "high"))
    if choices is not None and sum(map(len, choices)) < _SHORT:
        return st.segmented_control(
            options=choices, default=default, required=True, format_func=readable, width="stretch", **common
        )
    if choices is not None:
        return st.selectbox(options=choices, index=choices.index(default), format_func=readable, **common)
    if isinstance(default, bool):
        return st.toggle(value=default, **common)
    if isinstance(default, int):
        return st.slider(min_value=int(low), max_value=int(high), value=default, **common)
    step = 0.005 if low < 0.01 else 0.01
    limits: dict[str, Any] = {"min_value": float(low), "max_value": float(high)}
    return st.slider(value=default, step=step, format="%.3g", **limits, **common)


def _typed(item: Field, default: Any, key: str) -> Any:
    """A field for a grid: numbers of any range, one of many choices, a text, or JSON."""
    common = _common(item, key)
    choices, low, high = (item.metadata[name] for name in ("choices", "low", "high"))
    if choices is not None:
        return st.selectbox(options=choices, index=choices.index(default), **common)
    if isinstance(default, bool):
        return st.toggle(value=default, **common)
    if isinstance(default, int):
        limits: dict[str, Any] = {"min_value": int(low), "max_value": int(high), "step": 1}
        return st.number_input(value=default, **limits, **common)
    if isinstance(default, float):
        limits = {"min_value": float(low), "max_value": float(high), "step": _step(default)}
        return st.number_input(value=default, format="%.6g", **limits, **common)
    if isinstance(default, dict):
        return _json_object(st.text_input(value=json.dumps(default), **common), common["label"])
    return st.text_input(value=str(default), **common)


def _step(value: float) -> float:
    """One unit of the last decimal that a value is written with, and at most a tenth of the value's own size."""
    if not value:
        return 0.01
    decimals = len(f"{value:.{_FINEST}f}".rstrip("0").partition(".")[2])
    return 10.0 ** min(-decimals, math.floor(math.log10(abs(value))) - 1)


def _json_object(text: str, label: str) -> dict[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise FkdError(f'{label} takes an object as JSON, such as {{"widths": [32, 64]}}, not {text!r}.')
    return value
