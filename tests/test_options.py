"""Settings that are declared once: their ranges hold for code and command line alike."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from fkd.options import add_flags, check, from_flags, option, readable


@dataclass(frozen=True)
class Oven:
    """Settings with one field of each kind."""

    degrees: float = option(180.0, "How hot.", low=50, high=250)
    trays: int = option(1, "How many.", low=1, high=3)
    heat: str = option("top", "From where.", choices=("top", "bottom"))
    fan: bool = option(False, "With the fan on.")

    def __post_init__(self) -> None:
        check(self)


def parse(*flags: str) -> Oven:
    parser = argparse.ArgumentParser()
    add_flags(parser, Oven, "baking")
    return from_flags(parser.parse_args(flags), Oven)


def test_flags_make_the_dataclass() -> None:
    assert parse() == Oven()
    assert parse("--degrees", "200", "--trays", "2", "--heat", "bottom", "--fan") == Oven(200.0, 2, "bottom", True)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--degrees", "300"], "expected 50 to 250, received 300"),
        (["--degrees", "nan"], "expected 50 to 250, received nan"),
        (["--degrees", "hot"], "expected a number, received 'hot'"),
        (["--trays", "1.5"], "expected a whole number, received '1.5'"),
        (["--heat", "side"], "invalid choice"),
    ],
)
def test_a_wrong_flag_is_wrong_use(flags: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        parse(*flags)
    assert exit_info.value.code == 2
    assert told in capsys.readouterr().err


def test_code_meets_the_same_ranges() -> None:
    with pytest.raises(ValueError, match="trays: expected 1 to 3, received 4"):
        Oven(trays=4)
    with pytest.raises(ValueError, match="heat: expected one of top, bottom, received 'side'"):
        Oven(heat="side")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("min_cutoff_hz", "Minimum cutoff (Hz)"),
        ("search_every_s", "Search every (s)"),
        ("rotation_deg", "Rotation (°)"),
        ("max_faces", "Max faces"),
        ("ema", "Ema"),
        ("s", "S"),
    ],
)
def test_names_are_read_with_their_units_in_brackets(name: str, told: str) -> None:
    assert readable(name) == told
