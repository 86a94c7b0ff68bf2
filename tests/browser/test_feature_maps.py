"""The Feature maps page in a real browser: layers by their rows, channels by their tiles, and true files."""

from __future__ import annotations

import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from fkd.inspect import activations, layer_table
from fkd.mosaic import MosaicOptions, mosaic
from fkd.weights import load_torch_model

pytestmark = pytest.mark.browser

ROW_PX = 35


def open_page(page: Page, app_url: str, address: str = "") -> None:
    page.goto(f"{app_url}/feature_maps{address}")
    expect(page.get_by_test_id("stDataFrame")).to_be_visible()


def click_row(page: Page, row: int) -> None:
    """A click into the first cell of a row of the table, away from its mark."""
    box = page.get_by_test_id("stDataFrame").bounding_box()
    assert box
    page.mouse.click(box["x"] + 120, box["y"] + ROW_PX * (row + 1.5))


def click_tile(page: Page, place: int, columns: int, rows: int) -> None:
    board = page.locator(".board")
    box = board.bounding_box()
    assert box
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
