"""Settings as frozen dataclasses that flags and form fields are made from.

A field declared with `option` carries its help text, range and choices in its metadata; the
command line and the pages read them from there, so that each is written once.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import Field, field, fields
from typing import Any

_UNITS = {"hz": "Hz", "s": "s", "deg": "°", "px": "px"}
_WHOLE_WORDS = {"min": "minimum"}


def option(
    default: Any,
    help: str,
    *,
    choices: tuple[str, ...] | None = None,
    low: float | None = None,
    high: float | None = None,
    label: str | None = None,
    only: tuple[str, tuple[Any, ...]] | None = None,
) -> Any:
    """A dataclass field with its help text and, for a number, its range or, for a name, its choices.

    Args:
        default: its value.
        help: what it decides.
        choices: of a name.
        low: least number.
        high: greatest number.
        label: what a form calls it; `readable` of its name without.
        only: the name of another field, and the values of that one with which this one has any effect.
    """
    metadata = {"help": help, "choices": choices, "low": low, "high": high, "label": label, "only": only}
    return field(default=default, metadata=metadata)


def label_of(item: Field) -> str:
    """What people call a field declared with `option`."""
    return item.metadata["label"] or readable(item.name)


def readable(name: str) -> str:
    """A field's name as people read it, its unit in brackets: `min_cutoff_hz` as `Minimum cutoff (Hz)`."""
    *words, last = name.split("_")
    unit = f" ({_UNITS[last]})" if words and last in _UNITS else ""
    told = " ".join(_WHOLE_WORDS.get(word, word) for word in (words if unit else [*words, last]))
    return told[:1].upper() + told[1:] + unit


def check(options: Any) -> None:
    """`ValueError` naming the first field of a dataclass that lies outside its range or choices."""
    for item in fields(options):
        checked(item, getattr(options, item.name))


def add_flags(parser: argparse.ArgumentParser, options_class: type, title: str, prefix: str = "") -> None:
    """Add one `--flag`, or `--prefix-flag`, for each field of a dataclass, in a group of its own in the help text."""
    group = parser.add_argument_group(title)
    for item in fields(options_class):
        flag = "--" + (prefix + item.name).replace("_", "-")
        text = item.metadata["help"].replace("%", "%%") + " (default: %(default)s)"
        if isinstance(item.default, bool):
            group.add_argument(flag, default=item.default, help=text, action=argparse.BooleanOptionalAction)
        else:
            choices = item.metadata["choices"]
            group.add_argument(flag, default=item.default, help=text, choices=choices, type=_parser_of(item))


def from_flags(args: argparse.Namespace, options_class: type, prefix: str = "") -> Any:
    """The dataclass with the values that `add_flags` had parsed."""
    return options_class(**{item.name: getattr(args, prefix + item.name) for item in fields(options_class)})


def _parser_of(item: Field) -> Callable[[str], Any]:
    kind: Any = type(item.default)

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError as error:
            number = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"expected a {number}, received {text!r}") from error
        try:
            return value if item.metadata["choices"] else checked(item, value)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse


def checked(item: Field, value: Any, called: str | None = None) -> Any:
    """The value itself; `ValueError` where it lies outside the field's range or choices.

    Args:
        item: a field declared with `option`.
        value: what it is to hold.
        called: what the message calls the field; its name without.
    """
    called = called or item.name
    choices, low, high = (item.metadata[key] for key in ("choices", "low", "high"))
    if choices is not None and value not in choices:
        raise ValueError(f"{called}: expected one of {', '.join(choices)}, received {value!r}")
    # "not (>=)" instead of "<", so that NaN is out of range too
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        raise ValueError(f"{called}: expected {low} to {high}, received {value}")
    return value
