"""`python -m fkd` itself: what a person sees who knows no command yet."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from fkd.cli import COMMANDS, main

TERMINAL_WIDTH = 80


def test_without_a_command_each_is_listed_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    told = capsys.readouterr().err.splitlines()
    for command in COMMANDS:
        (line,) = (line for line in told if line.split()[:1] == [command])
        assert len(line.split()) > 2 and len(line) < TERMINAL_WIDTH


def test_an_unknown_command_is_answered_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(["detect"])
    assert exit_info.value.code == 2
    told = capsys.readouterr().err
    assert "'detect'" in told and all(command in told for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    assert f"usage: python -m fkd {command}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["predict", "a.jpg", "--wieghts", "x"], ["runs", "list", "--wieghts"]])
def test_a_wrong_option_is_answered_with_the_usage_of_its_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(f"usage: python -m fkd {arguments[0]} ")
    assert f"python -m fkd {arguments[0]}: error: unrecognized arguments: --wieghts" in told


def test_options_of_another_benchmark_are_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "train", "--clips", "x", "--weights", "y"])
    assert "--clips, --weights: only of bench live" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["data", "info", "synthetic15", "--weights", "none"], "--weights goes with --quality"),
        (["leaderboard", "--markdown", "--json"], "not allowed with"),
    ],
)
def test_options_without_effect_are_wrong_use(
    arguments: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fkd.data.load_dataset", lambda name: pytest.fail("faces were read"))
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "told"), [(["leaderboard"], 0, "mean-shape"), (["card", "x"], 1, "'x'")]
)
def test_one_process_of_a_group_leaves_with_its_status_and_all_that_it_said(
    arguments: list[str], status: int, told: str
) -> None:
    command = [sys.executable, "-m", "fkd", *arguments]
    environment = {**os.environ, "LOCAL_RANK": "0", "PYTHONUNBUFFERED": ""}  # so that what is said waits in a buffer
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == status and told in ended.stdout + ended.stderr
