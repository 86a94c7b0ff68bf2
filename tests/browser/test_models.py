"""The Models page in a real browser: figures without any face, from stored results and soon, and the worst faces."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

pytestmark = pytest.mark.browser

PATIENCE_MS = 240_000


@pytest.fixture(scope="module", autouse=True)
def no_data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No dataset where the server of this module looks."""
    root = tmp_path_factory.mktemp("models")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FKD_DATA", str(root / "data"))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture
def page(page: Page) -> Page:
    return patient(page)


def patient(page: Page) -> Page:
    """A window that is waited for as long as a first visit may take."""
    page.context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return page


def open_page(page: Page, app_url: str, address: str = "") -> float:
    """Open the page and return the seconds until all of it stands there."""
    start = time.monotonic()
    page.goto(f"{app_url}/models{address}")
    expect(page.get_by_role("button", name="Find the worst faces")).to_be_visible()
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
    expect(page.get_by_test_id("stPlotlyChart")).to_have_count(4)
    return time.monotonic() - start


def test_every_figure_stands_there_without_any_data(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?weights=kaggle15")  # the first visit imports torch
    seconds = open_page(page, app_url, "?weights=kaggle15")
    print(f"The Models page took {seconds:.2f} s")
    for heading in ("Cumulative error", "Error of each keypoint", "Disturbed faces", "Scores", "Worst faces"):
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    expect(page.get_by_test_id("stDataFrame")).to_have_count(2)
    expect(page.get_by_text("The faces that these figures are of are not here: kaggle.")).to_be_visible()


def test_the_address_names_the_weights(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?weights=kaggle15")
    expect(page.get_by_text("Measured on", exact=True)).to_have_count(0)  # they know one dataset
    page.get_by_role("combobox", name="Weights").click()
    page.get_by_role("option", name="ibug68", exact=True).click()
    # The first ones of the list are what the page shows without being asked, and need no address.
    expect(page.get_by_text("Measured on", exact=True)).to_be_visible()
    expect(page).not_to_have_url(re.compile("weights=kaggle15"))


def test_the_worst_faces_are_found_on_synthetic_ones(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?weights=kaggle15")
    page.get_by_role("button", name="Find the worst faces").click()
    expect(page.get_by_text("truth green, prediction magenta")).to_be_visible()
    pictures = page.get_by_role("img", name="with true and predicted points")
    expect(pictures).to_have_count(12)
    captions = page.get_by_text(re.compile(r"^NME [\d.]+ %$")).all_inner_texts()
    errors = [float(text.split()[1]) for text in captions]
    assert len(errors) == 12 and errors == sorted(errors, reverse=True)


def test_the_card_opens_with_its_picture(page: Page, app_url: str) -> None:
    open_page(page, app_url, "?weights=kaggle15")
    page.get_by_text("Card of these weights").click()
    expect(page.get_by_role("heading", name="What for, and what not")).to_be_visible()
    expect(page.get_by_text("Known failures, on synthetic faces")).to_be_visible()


def test_on_a_phone_nothing_lies_over_buttons_and_legends(chromium: Browser, app_url: str) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page = patient(context.new_page())
    open_page(page, app_url)
    page.get_by_role("radio", name="kaggle", exact=True).tap()  # which waits until a tap on its middle reaches it
    expect(page).to_have_url(re.compile("board=kaggle"))
    for corner in page.locator(".modebar-container").all():
        expect(corner).to_be_hidden()
    context.close()
