"""The Feature maps page in a real browser: layers by their rows, channels by their tiles, and true files."""

from __future__ import annotations

import io
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from playwright.sync_api import Page, expect

from fkd.crop import CropFrame
from fkd.inspect import activations, filters, layer_table
from fkd.models import create_model
from fkd.mosaic import MosaicOptions, mosaic
from fkd.paths import PROJECT_ROOT
from fkd.schema import KAGGLE15
from fkd.weights import Card, load_torch_model, save_weights
from tests.browser.conftest import resting_box

pytestmark = pytest.mark.browser

ROW_PX = 35
WEIGHTS = PROJECT_ROOT / "weights"


@pytest.fixture(scope="module", autouse=True)
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The shipped weights, a network with 512 channels in a layer, and a damaged file."""
    folder = tmp_path_factory.mktemp("weights")
    for path in WEIGHTS.iterdir():
        shutil.copy(path, folder)
    wide = create_model("cnn", 15, 96, widths=(32, 512), dense=16)
    arguments = {"widths": [32, 512], "dense": 16}
    save_weights(folder / "wide.safetensors", wide, Card("wide", KAGGLE15, "cnn", 96, CropFrame(1.3), arguments))
    (folder / "broken.safetensors").write_bytes(b"nothing")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FKD_WEIGHTS", str(folder))
        yield folder


def open_page(page: Page, app_url: str, address: str = "") -> None:
    page.goto(f"{app_url}/feature_maps{address}")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()


def click_row(page: Page, row: int) -> None:
    """A click into the first cell of a row of the table, away from its mark."""
    box = resting_box(page.get_by_test_id("stDataFrame"))
    page.mouse.click(box["x"] + 120, box["y"] + ROW_PX * (row + 1.5))


def click_tile(page: Page, place: int, columns: int, rows: int) -> None:
    board = page.locator(".board")
    box = resting_box(board)
    row, column = divmod(place, columns)
    board.click(position={"x": box["width"] * (column + 0.5) / columns, "y": box["height"] * (row + 0.5) / rows})


def download(page: Page, label: str) -> bytes:
    # A button of the run before would offer a file that is gone.
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
    button = page.get_by_role("button", name=label, exact=True)
    with page.expect_download() as started:
        button.first.click()
    return Path(started.value.path()).read_bytes()


def test_a_layer_by_its_row_a_channel_by_its_tile_and_both_as_files(page: Page, app_url: str) -> None:
    open_page(page, app_url)
    model = load_torch_model("ibug68")
    layer = layer_table(model, np.zeros((128, 128), np.uint8), repeats=1)[2]
    click_row(page, 2)
    expect(page.get_by_text(f"48 channels of {layer.name} for astronaut.png")).to_be_visible()
    expect(page).to_have_url(re.compile(r"layer=stage\+1%2C\+block\+1"))

    found = np.load(io.BytesIO(download(page, "Raw values as NPZ")))
    expected = activations(model, found["crop_gray_u8"], layer.name)
    np.testing.assert_array_equal(found["activations"], expected)
    picture = mosaic(expected, MosaicOptions())
    stored = cv2.imdecode(np.frombuffer(download(page, "Grid as PNG"), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    np.testing.assert_array_equal(stored, picture.rgb_u8)

    rows = -(-48 // picture.columns)
    click_tile(page, 17, picture.columns, rows)
    expect(page.get_by_text("Channel 17", exact=True)).to_be_visible()
    expect(page.get_by_role("img", name="Channel 17 over the face")).to_be_visible()
    page.locator(".board").press("ArrowRight")
    expect(page.get_by_text("Channel 18", exact=True)).to_be_visible()
    page.get_by_text("Magma", exact=True).click()  # other colours leave the choice alone
    expect(page.get_by_text("Channel 18", exact=True)).to_be_visible()


def test_filters_and_their_effect_on_the_face(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?view=Filters&weights=cnn5-68")
    expect(page.get_by_text("their weights.")).to_be_visible()
    page.get_by_text("Effect on the face", exact=True).click()
    expect(page.get_by_text("the face through each filter.")).to_be_visible()
    found = np.load(io.BytesIO(download(page, "Raw values as NPZ")))
    model = load_torch_model("cnn5-68")
    (expected,) = filters(model, "convolution 1").values()
    np.testing.assert_array_equal(found["weights"], expected)
    assert found["effects"].shape == (len(expected), model.card.input_size, model.card.input_size)


def test_what_moves_a_keypoint_is_answered_in_a_sentence_and_has_an_address(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?view=Keypoint")
    expect(
        page.get_by_role("heading", name=re.compile(r"^Mouth left corner moves most, by [\d.]+ of 128 px"))
    ).to_be_visible()
    expect(page.get_by_text("Which part moves it")).to_be_visible()
    page.get_by_role("combobox", name="Keypoint").fill("mouth right corner")  # of 68 the list shows a few
    page.get_by_role("option", name="mouth right corner", exact=True).click()
    expect(page.get_by_role("heading", name=re.compile("^Mouth right corner moves most"))).to_be_visible()
    expect(page).to_have_url(re.compile(r"keypoint=mouth\+right\+corner"))
    shift = np.load(io.BytesIO(download(page, "NPZ")))  # of the heatmap, which comes first
    assert shift["map"].shape == (32, 32)
    assert shift["map"].sum() == pytest.approx(1, abs=1e-4)


def test_the_face_is_compared_with_itself_disturbed(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?view=Compare")
    apart = page.get_by_test_id("stMetric").filter(has_text="Points apart, mean").get_by_test_id("stMetricValue")
    expect(apart).to_be_visible()
    blurred = apart.inner_text()
    page.get_by_role("combobox", name="Disturbance").click()
    page.get_by_role("option", name="Darkness").click()
    expect(page.get_by_text("darkness 0.5")).to_be_visible()
    expect(apart).not_to_have_text(blurred)
    expect(page.get_by_role("img", name=re.compile("Channels of stem"))).to_have_count(2)


def test_a_layer_of_512_channels(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?weights=wide")
    expect(page.get_by_text("32 channels of convolution 1")).to_be_visible()
    started = time.perf_counter()
    click_row(page, 1)
    expect(page.get_by_text("512 channels of convolution 2")).to_be_visible()
    expect(page.get_by_label("512 channels of convolution 2")).to_be_visible()
    print(f"512 channels after {time.perf_counter() - started:.2f} s")  # the machine may be busy: not asserted


def test_photos_without_a_face_and_with_several(page: Page, app_url: str, tmp_path: Path) -> None:
    open_page(page, app_url)
    page.get_by_text("Upload", exact=True).click()
    expect(page.get_by_text("Choose a face in the sidebar")).to_be_visible()
    cv2.imwrite(str(tmp_path / "cup.png"), skimage.data.coffee()[..., ::-1])
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([skimage.data.astronaut()[..., ::-1]] * 2))
    page.locator("input[type=file]").set_input_files(tmp_path / "cup.png")
    expect(page.get_by_text("No face found in cup.png")).to_be_visible()
    page.get_by_role("button", name="Treat the whole photo as a face").click()
    expect(page.get_by_text("32 channels of stem for cup.png")).to_be_visible()
    page.locator("input[type=file]").set_input_files(tmp_path / "two.png")
    expect(page.get_by_role("combobox", name="Which face")).to_have_value("Face 1 of 2")
    expect(page.get_by_text("32 channels of stem for two.png")).to_be_visible()


def test_damaged_weights_are_told_and_others_can_be_chosen(page: Page, app_url: str) -> None:
    page.goto(f"{app_url}/feature_maps?weights=broken")
    expect(page.get_by_text("broken.safetensors are damaged")).to_be_visible()
    page.get_by_role("combobox", name="Weights").click()
    page.get_by_role("option", name="kaggle15", exact=True).click()
    expect(page.get_by_text("32 channels of stem")).to_be_visible()


def test_every_view_fits_a_phone(page: Page, app_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    for view in ("Activations", "Filters", "Keypoint", "Compare"):
        open_page(page, app_url, f"?view={view}")
        expect(page.get_by_role("radio", name=view)).to_be_checked()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
