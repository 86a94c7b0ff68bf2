"""What several test modules share: the real faces, where there are any, and which tests need what."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from fkd import paths
from fkd.data import SOURCES
from tests.drawn import drawn_faces

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_BROWSERS = (
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

# A server, its workers, a browser and a camera compete for the few cores that CI has, so that a click can be lost
# there. A failed browser test is run once more, and the summary tells how it failed, also where it then passes.
TWICE = pytest.mark.flaky(reruns=1)
# Parts of the fetched files, as the tests know them; the whole files hold more faces.
REAL_FACES = ("kaggle/original_rows.csv", "youtube_faces", "portraits68", "photos", "videos")


def find_chromium() -> str | None:
    """Path of an installed Chromium or Chrome."""
    candidates = (*map(shutil.which, BROWSERS), *(path for path in MAC_BROWSERS if Path(path).exists()))
    return next(filter(None, candidates), None)


@pytest.fixture(scope="session", autouse=True)
def nobodys_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No runs and no notes but the tests' own, also for the servers and workers that they start."""
    root = tmp_path_factory.mktemp("empty")
    with pytest.MonkeyPatch.context() as patch:
        for place in ("runs", "notes"):
            patch.setenv(f"FKD_{place.upper()}", str(root / place))
        yield


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine lacks the means for; with FKD_REQUIRE_BROWSER set, lacking them is an error."""
    if os.environ.get("FKD_REQUIRE_BROWSER"):
        if not any(item.get_closest_marker("browser") for item in items):
            raise pytest.UsageError("FKD_REQUIRE_BROWSER is set, but no browser test was collected.")
        if find_chromium() is None:
            raise pytest.UsageError("FKD_REQUIRE_BROWSER is set, but there is no Chromium.")
    if os.environ.get("CI"):
        _mark(items, "browser", TWICE)
    if find_chromium() is None:
        _skip(items, "browser", "needs Chromium or Chrome; none is installed")
    if absent := [file for file in REAL_FACES if not (paths.data_root() / file).exists()]:
        told = f"needs the faces that the published figures are of; FKD_DATA ({paths.data_root()}) lacks {absent[0]}"
        _skip(items, "data", told)


def _skip(items: list[pytest.Item], marker: str, reason: str) -> None:
    _mark(items, marker, pytest.mark.skip(reason=reason))


def _mark(items: list[pytest.Item], marker: str, other: pytest.MarkDecorator) -> None:
    for item in items:
        if item.get_closest_marker(marker):
            item.add_marker(other)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Folder of the real faces; a test that uses it is marked `data`."""
    return paths.data_root().resolve()


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with empty ones for runs, results and weights, which are the ones in use; and the dataset `drawn`."""
    for place in ("FKD_RUNS", "FKD_RESULTS", "FKD_WEIGHTS"):
        monkeypatch.setenv(place, str(tmp_path / place))
    (tmp_path / "FKD_WEIGHTS").mkdir()
    monkeypatch.setitem(SOURCES, "drawn", drawn_faces)
    return tmp_path
