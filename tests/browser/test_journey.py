"""The whole app once, as a person would walk it: import faces, train on them, try the result, look inside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import skimage.data
from playwright.sync_api import Page, expect

from tests.browser.conftest import choose_files, remove_runs
from tests.drawn import write_noise_faces

pytestmark = pytest.mark.browser

PATIENCE_MS = 120_000  # a server's first visitor waits until synthetic faces are drawn, and training needs a worker
SETTINGS = {"Epochs": "2", "Batch size": "8", "Share for validation": "0.3"}


@pytest.fixture(scope="module", autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folders for data, runs and caches of this module's server and its workers."""
    root = tmp_path_factory.mktemp("journey")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("data", "cache", "runs", "notes"):
            patch.setenv(f"FKD_{name.upper()}", str(root / name))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield root


@pytest.fixture(autouse=True)
def nothing_left(places: Path) -> Iterator[None]:
    """The test begins without data and runs, also where it is run once more."""
    yield
    remove_runs()
    shutil.rmtree(places / "data")


def test_from_a_dataset_of_ones_own_to_the_feature_maps_of_what_was_trained_on_it(
    page: Page, app_url: str, tmp_path: Path
) -> None:
    page.context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    import_faces(page, app_url, tmp_path)
    look_at_them(page)
    train(page)
    detect(page, tmp_path)
    look_inside(page)


def import_faces(page: Page, app_url: str, folder: Path) -> None:
    """Add a dataset from a file on the Explore page, and open it."""
    write_noise_faces(folder / "own")
    page.goto(f"{app_url}/explore")
    page.get_by_role("button", name="Import your own").click()
    dialog = page.get_by_role("dialog")
    table = (folder / "own" / "training.csv").read_bytes()
    choose_files(
        dialog.locator("input[type=file]"), [{"name": "training.csv", "mimeType": "text/csv", "buffer": table}]
    )
    expect(dialog.get_by_label("Name")).to_have_value("training")
    dialog.get_by_label("Name").fill("few")
    dialog.get_by_role("button", name="Import").click()
    expect(dialog.get_by_text("few is stored: 30 faces.")).to_be_visible()
    dialog.get_by_role("button", name="Open few").click()
    expect(dialog).not_to_be_visible()
    expect(page.get_by_role("combobox", name="Dataset")).to_have_value("few")


def look_at_them(page: Page) -> None:
    """All faces, then one."""
    expect(page.get_by_text("30 faces", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Face 0", exact=True)).to_be_visible()
    page.get_by_role("button", name="0", exact=True).click()
    expect(page.get_by_text("1 of 30", exact=True)).to_be_visible()


def train(page: Page) -> None:
    """Train the dense network on them for two epochs."""
    page.get_by_role("button", name="Train on this").click()
    expect(page).to_have_url(re.compile("dataset=few"))
    page.get_by_test_id("stRadio").get_by_text("mlp", exact=True).click()
    name = page.get_by_role("textbox", name="Name of the run")
    expect(name).to_have_value("mlp-1")
    expect(page.get_by_role("group", name="Selected values").get_by_text("few · 15 points")).to_be_visible()
    page.get_by_text("Advanced settings").click()
    for label, value in SETTINGS.items():
        box = page.get_by_role("spinbutton", name=label, exact=True)
        box.fill(value)
        box.press("Enter")
    name.fill("mine")
    name.press("Enter")
    expect(page.get_by_text("16 to learn from, 10 to watch, 4 held out as test")).to_be_visible()
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Curves", exact=True)).to_be_visible()
    expect(page.get_by_text("Finished").locator("visible=true").first).to_be_visible()


def detect(page: Page, folder: Path) -> None:
    """Use what was trained on a photo of one's own; a network that has learned next to nothing may need the whole."""
    cv2.imwrite(str(folder / "portrait.jpg"), skimage.data.astronaut()[:220, 120:340, ::-1])
    page.get_by_role("button", name="Try on Detect").click()
    expect(page).to_have_url(re.compile("/detect.*weights=run(%3A|:)mine"))
    page.locator("input[type=file]").set_input_files(folder / "portrait.jpg")
    whole = page.get_by_role("button", name="Treat the whole photo as a face")
    look = page.get_by_role("button", name="Feature maps")
    expect(whole.or_(look)).to_be_visible()
    if whole.is_visible():
        whole.click()
    expect(page.get_by_role("img", name="portrait.jpg with its keypoints")).to_be_visible()
    expect(page.get_by_text("Face 1 of 1")).to_be_visible()


def look_inside(page: Page) -> None:
    """The layers of what was trained on the face of the photo, and what moves a keypoint."""
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
    page.get_by_role("button", name="Feature maps").click()
    expect(page).to_have_url(re.compile("/feature_maps.*weights=run(%3A|:)mine"))
    expect(page.get_by_text("256 outputs of dense 1 for portrait.jpg")).to_be_visible()
    page.get_by_text("Keypoint", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("^Mouth left corner moves most"))).to_be_visible()
