"""Adding a dataset on the Explore page: from the empty state to its faces, past what is wrong with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import choose_files
from tests.uploads import HEADER, kaggle_rows, points68_files

pytestmark = pytest.mark.browser

PATIENCE_MS = 240_000  # the first visitor of a server waits until the synthetic faces are drawn
NOBODY = "http://127.0.0.1:9"  # a proxy that refuses: nothing is ever asked outside this machine


@pytest.fixture(scope="module", autouse=True)
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of datasets of this module's server, with nothing in it."""
    root = tmp_path_factory.mktemp("adding")
    places = {"FKD_DATA": root / "data", "FKD_CACHE": root / "cache", "FKD_WEIGHTS": root / "none"}
    changed = {name: str(place) for name, place in places.items()} | {"HTTPS_PROXY": NOBODY, "https_proxy": NOBODY}
    with mock.patch.dict(os.environ, changed):
        yield root / "data"


@pytest.fixture(autouse=True)
def nothing_left(empty: Path) -> Iterator[None]:
    """Each test begins without datasets, also where it is run once more."""
    yield
    shutil.rmtree(empty, ignore_errors=True)


@pytest.fixture
def explore(page: Page, app_url: str) -> str:
    """The page's address; it is open, though the synthetic faces on it may still be under way."""
    page.context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    page.goto(f"{app_url}/explore?section=Table")
    expect(page.get_by_role("button", name="Add a dataset")).to_be_visible()
    return f"{app_url}/explore"


def open_dialog(page: Page, button: str) -> Locator:
    page.get_by_role("button", name=button).click()
    return page.get_by_role("dialog")


def choose(page: Page, **files: bytes) -> None:
    kinds = {"csv": "text/csv", "png": "image/png", "zip": "application/zip"}
    choose_files(
        page.get_by_role("dialog").locator("input[type=file]"),
        [
            {"name": name.replace("__", "."), "mimeType": kinds[name.split("__")[1]], "buffer": content}
            for name, content in files.items()
        ],
    )
    for name in files:
        expect(page.get_by_role("button", name=f"Remove {name.replace('__', '.')}")).to_be_visible()
    expect(page.get_by_role("dialog").get_by_label("Name")).not_to_have_value("")


def left(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def test_reading_is_stopped_and_begun_again(page: Page, explore: str) -> None:
    """First of all, as the synthetic faces are drawn only once."""
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_text("Reading synthetic15 was stopped.")).to_be_visible()
    expect(page.get_by_text("rows, 30 coordinate columns")).not_to_be_visible()
    page.get_by_role("button", name="Read synthetic15").click()
    expect(page.get_by_text("rows, 30 coordinate columns")).to_be_visible()


def test_the_empty_page_says_what_it_shows_and_leads_on(page: Page, explore: str) -> None:
    expect(page.get_by_text("These are synthetic faces")).to_be_visible()
    dialog = open_dialog(page, "Fetch a published one")
    terms = dialog.get_by_role("link", name="Facial Keypoints Detection")
    expect(terms).to_have_attribute("href", "https://www.kaggle.com/c/facial-keypoints-detection/rules")
    expect(dialog.get_by_text("By hand: put training.zip into")).to_be_visible()


def test_without_a_network_fetching_says_what_to_do(page: Page, explore: str, empty: Path) -> None:
    dialog = open_dialog(page, "Fetch a published one")
    dialog.get_by_text("YouTube Faces", exact=True).click()
    dialog.get_by_role("button", name="Fetch YouTube Faces").click()
    expect(dialog.get_by_text("download it by hand and run: python -m fkd data import")).to_be_visible()
    assert not (empty / "youtube_faces").exists()


def test_a_table_with_a_bad_row_is_imported_without_it(page: Page, explore: str, empty: Path) -> None:
    rows = [row.replace(" 7", f" {30 * i}", 4000 + 100 * i) for i, row in enumerate(kaggle_rows(6))]
    rows[2] = rows[2].replace(" 7 ", " abc ", 1)
    dialog = open_dialog(page, "Add a dataset")
    choose(page, faces__csv="\n".join([HEADER, *rows]).encode())
    dialog.get_by_label("Name").fill("mine")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("faces.csv, line 4: pixel value 'abc' is not 0 to 255; mend it")).to_be_visible()
    assert left(empty) in ([], [".fetching"])

    dialog.get_by_text("Leave them out", exact=True).click()
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("mine is stored: 5 faces. 1 row was left out.")).to_be_visible()
    dialog.get_by_role("button", name="Open mine").click()
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text("5 rows, 30 coordinate columns")).to_be_visible()
    expect(page.get_by_text("These are synthetic faces")).not_to_be_visible()
    assert "mine" in left(empty)


def test_pictures_beside_their_table(page: Page, explore: str) -> None:
    picture = cv2.imencode(".png", np.random.default_rng(1).integers(0, 256, (120, 110, 3), np.uint8))[1].tobytes()
    dialog = open_dialog(page, "Add a dataset")
    choose(page, faces__csv=points68_files()["faces.csv"], ann_01__png=picture)
    dialog.get_by_label("Name").fill("people")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("line 3: names the picture 'bob_01.png', which is not there")).to_be_visible()
    choose(page, bob_01__png=picture)
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("people is stored: 2 faces.")).to_be_visible()


def test_a_name_that_leads_elsewhere_is_refused(page: Page, explore: str) -> None:
    dialog = open_dialog(page, "Add a dataset")
    choose(page, faces__csv="\n".join([HEADER, *kaggle_rows(2)]).encode())
    dialog.get_by_label("Name").fill("../elsewhere")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("'../elsewhere' cannot name a dataset")).to_be_visible()


def test_what_the_dialog_has_told_is_not_told_again_on_the_page(page: Page, explore: str) -> None:
    dialog = open_dialog(page, "Add a dataset")
    choose(page, faces__csv="\n".join([HEADER, *kaggle_rows(2, ["7"])]).encode())
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("Importing faces.csv as faces did not work")).to_be_visible()
    dialog.get_by_label("Name").fill("")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("has no name")).to_be_visible()
    expect(dialog.get_by_text("did not work")).not_to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text("rows, 30 coordinate columns")).to_be_visible()
    expect(page.get_by_text("did not work")).not_to_be_visible()


def test_the_dialog_fits_a_phone(page: Page, explore: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    dialog = open_dialog(page, "Add a dataset")
    expect(dialog.get_by_role("button", name="Import")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
