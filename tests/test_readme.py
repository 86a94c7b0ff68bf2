"""README and docs: their Python runs as it stands, and what they name is there."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from fkd.cli import COMMANDS
from fkd.paths import PROJECT_ROOT
from tests.clips import moving_face, write_clip

TEXTS = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
REQUIREMENTS = sorted(PROJECT_ROOT.glob("requirements*.txt"))


def test_the_python_of_the_readme_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a folder that has what a reader has there: the portrait, and a video of their own."""
    (tmp_path / "docs").mkdir()
    shutil.copy(PROJECT_ROOT / "docs" / "portrait.jpg", tmp_path / "docs")
    write_clip(tmp_path / "clip.mp4", moving_face(3), [0.0, 0.04, 0.08])
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 3
    names: dict[str, Any] = {}
    for block in blocks:
        exec(block, names)
    assert names["faces"][0].points_px.shape == (68, 2)
    assert re.search(r"^0\.08 s: face \d+ is turned by -?\d+\.\d degrees$", capsys.readouterr().out, re.MULTILINE)
    assert names["crop"].shape == (128, 128)


def anchors(text: Path) -> set[str]:
    """What a link can name after `#`: the headings, as sites that show Markdown spell them."""
    headings = re.findall(r"^#+ (.+)$", text.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere_and_commands_exist(text: Path) -> None:
    content = text.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", content):
        file, _, anchor = target.partition("#")
        path = (text.parent / file).resolve() if file else text
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target
    commands = set(re.findall(r"python -m fkd ([a-z]+)", content))
    assert commands <= set(COMMANDS), commands - set(COMMANDS)


def test_every_dependency_is_pinned_and_listed_with_its_licence() -> None:
    text = (PROJECT_ROOT / "docs" / "dependencies.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| ([a-z-]+) \| (\d[\w.]+) \|", text, re.MULTILINE))
    lines = [line for path in REQUIREMENTS for line in path.read_text("utf-8").splitlines()]
    wanted = [line for line in lines if line and not line.startswith(("#", "-r "))]
    assert all("==" in line for line in wanted)
    assert listed == dict(line.split("==") for line in wanted)
