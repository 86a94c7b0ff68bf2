"""The one exception that users see as a sentence, and words for such sentences."""

from __future__ import annotations

from collections.abc import Sequence


class FkdError(Exception):
    """Something a user can mend; the message is one sentence that says what to do."""


class UnwritableError(FkdError):
    """A place that results cannot be written to: going on with other inputs would help nobody."""


class WrongUse(FkdError):
    """Options of a command that do not go together; the command line shows its usage too."""


def counted(count: int, thing: str) -> str:
    """A number of things in words, as in `1 row` and `2,154 rows`."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def listed(things: Sequence[str]) -> str:
    """Up to two things by name, or the first and how many others."""
    return " and ".join(things) if len(things) < 3 else f"{things[0]} and {len(things) - 1} others"
