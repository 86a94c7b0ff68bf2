"""Files that take the place of others."""

from pathlib import Path

import pytest

from fkd import paths
from fkd.errors import UnwritableError


def test_a_file_is_whole_or_as_before(tmp_path: Path) -> None:
    path = tmp_path / "new" / "told.txt"
    with paths.written_aside(path) as aside:
        aside.write_text("first")
    with pytest.raises(ZeroDivisionError), paths.written_aside(path) as aside:
        aside.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("readers_hinder", [True, False])
def test_a_reader_that_hinders_for_a_moment_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readers_hinder: bool
) -> None:
    rename, refused = Path.replace, []

    def replace(aside: Path, path: Path) -> Path:
        if len(refused) < 3:
            refused.append(path)
            raise PermissionError
        return rename(aside, path)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(paths, "_READERS_HINDER", readers_hinder)
    monkeypatch.setattr(paths, "_BETWEEN_S", 0)
    path = tmp_path / "told.txt"
    if readers_hinder:
        with paths.written_aside(path) as aside:
            aside.write_text("told")
        assert path.read_text() == "told"
    else:
        with pytest.raises(UnwritableError), paths.written_aside(path) as aside:
            aside.write_text("told")
        assert len(refused) == 1
