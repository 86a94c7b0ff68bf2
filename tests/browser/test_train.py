"""The Train page in a real browser: runs outlive the page, the browser and the server, and wait for each other."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser, Page, expect

from fkd.data.synthetic import render_face
from fkd.models import create_model, px_to_norm
from fkd.schema import KAGGLE15, kaggle15_from_ibug68
from fkd.training import launch
from fkd.training.recipes import get_recipe
from fkd.training.run import RunFolder
from fkd.training.waiting import read_waiting
from fkd.weights import Card, save_weights
from tests.browser.conftest import free_port, remove_runs, serve
from tests.drawn import write_noise_faces

pytestmark = pytest.mark.browser

PATIENCE_S = 180
PATIENCE_MS = 1000 * PATIENCE_S
GOES_ON = re.compile(r"Epoch [\d,]+ of 10000")
# So many epochs that no machine finishes them meanwhile.
SETTINGS = {"Epochs": "10000", "Batch size": "8", "Share for validation": "0.3"}


@pytest.fixture(scope="module", autouse=True)
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Thirty faces of noise and an empty folder of runs, where servers and workers find them too."""
    root = tmp_path_factory.mktemp("train")
    write_noise_faces(root / "data" / "few")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("runs", "data", "cache"):
            patch.setenv(f"FKD_{name.upper()}", str(root / name))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield root


@pytest.fixture(autouse=True)
def no_run_left(places: Path) -> Iterator[None]:
    """Each test begins without runs, also where it is run once more."""
    yield
    remove_runs()


@pytest.fixture
def page(page: Page) -> Page:
    """A window whose server may be busy: it shares the machine with the runs that are tested."""
    page.context.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return page


def wait_for(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, "it takes too long"
        time.sleep(0.2)


def epochs_of(name: str) -> int:
    return sum("validation_nme" in line for line in RunFolder.open(name).read_metrics())


def fill_the_form(page: Page, url: str, name: str) -> None:
    """Everything before Start, for a tiny dense network."""
    page.goto(f"{url}/train?recipe=mlp")
    page.get_by_test_id("stMultiSelect").locator("input").click()
    page.get_by_role("option", name="few").click()
    page.keyboard.press("Escape")
    remove = page.get_by_role("button", name="Remove synthetic15")
    remove.click()
    expect(remove).to_have_count(0)
    page.get_by_text("Advanced settings").click()
    for label, value in SETTINGS.items():
        box = page.get_by_role("spinbutton", name=label, exact=True)
        box.fill(value)
        box.press("Enter")
    page.get_by_role("textbox", name="Network's arguments").fill('{"widths": [4]}')
    page.get_by_role("textbox", name="Network's arguments").press("Enter")
    expect(page.get_by_text('model_args={"widths":[4]}', exact=True)).to_be_visible()
    page.get_by_role("textbox", name="Name of the run").fill(name)  # which Start takes, without a key or a wait


def start_from_the_form(page: Page, url: str, name: str) -> None:
    """Fill the form and press Start; the page goes on to the run."""
    fill_the_form(page, url, name)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.get_by_text("Curves", exact=True)).to_be_visible()


def test_a_run_outlives_a_refresh_the_browser_and_the_server(chromium: Browser, page: Page, tmp_path: Path) -> None:
    port = free_port()
    with serve(tmp_path / "first.txt", port) as url:
        start_from_the_form(page, url, "lasting")
        wait_for(lambda: epochs_of("lasting") > 0)
        page.reload()
        expect(page.get_by_text(GOES_ON)).to_be_visible()
        address = page.url
        page.goto("about:blank")
    done = epochs_of("lasting")
    wait_for(lambda: epochs_of("lasting") > done)  # nobody serves and nobody looks
    with serve(tmp_path / "second.txt", port):
        page.goto(address)
        expect(page.get_by_text(GOES_ON)).to_be_visible()
        other = chromium.new_context().new_page()
        other.goto(address)
        expect(other.get_by_text(GOES_ON)).to_be_visible()
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.get_by_role("button", name="Resume")).to_be_visible()
        expect(other.get_by_role("button", name="Resume")).to_be_visible()  # nobody touched it
        other.context.close()
    assert launch.view("lasting").state == "stopped"


def test_two_runs_started_at_once_train_one_after_the_other(chromium: Browser, page: Page, app_url: str) -> None:
    second = chromium.new_context().new_page()
    second.set_default_timeout(PATIENCE_MS)
    for window, name in ((page, "a"), (second, "b")):
        fill_the_form(window, app_url, name)
    for window in (page, second):
        window.get_by_role("button", name="Start", exact=True).click()
    wait_for(lambda: sorted(view.state for view in launch.view_all() if view.name in "ab") == ["running", "waiting"])
    (waits,) = (name for name, _ in read_waiting())
    (trains,) = {"a", "b"} - {waits}
    expect(page.get_by_text(f"{waits} · number 1 for cpu")).to_be_visible()
    expect(second.get_by_text(f"{waits} · number 1 for cpu")).to_be_visible()
    second.locator(f".st-key-queue-open-{waits} button").click()
    expect(second.get_by_role("heading", name=waits, exact=True)).to_be_visible()
    expect(second).to_have_url(re.compile(f"run={waits}"))
    second.context.close()
    launch.stop(trains)
    wait_for(lambda: launch.view(waits).state == "running")  # the worker that ended has started it
    assert read_waiting() == []
    launch.stop(waits)


def test_a_run_is_tried_on_the_detect_page_at_once(page: Page, app_url: str, places: Path) -> None:
    folder = RunFolder.create("tried")
    folder.write_config(get_recipe("mlp").with_settings(["data=few"]).as_dict())
    folder.write_status("finished", device="cpu")
    shape_px = _write_weights_that_see_one_shape(folder.weights)
    page.goto(f"{app_url}/train?view=Runs&run=tried")
    page.get_by_role("button", name="Try on Detect").click()
    expect(page).to_have_url(re.compile("/detect.*weights=run(%3A|:)tried"))
    page.get_by_role("button", name="Try the sample photo").click()
    expect(page.get_by_role("img", name="astronaut.png with its keypoints")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Points as JSON").click()
    faces = json.loads(download.value.path().read_text("utf-8"))["faces"]
    assert faces and all(len(face["points"]) == 15 for face in faces)
    for face in faces:  # whatever the picture, which other weights look at
        np.testing.assert_allclose(_placed(np.array(face["points"])), _placed(shape_px), atol=0.01)


def _placed(points_px: np.ndarray) -> np.ndarray:
    """Points by their place in their own box, in its heights."""
    return (points_px - points_px.mean(axis=0)) / np.ptp(points_px[:, 1])


def _write_weights_that_see_one_shape(path: Path) -> np.ndarray:
    """Weights that answer every crop with the same (15, 2) points, which are returned."""
    config = get_recipe("mlp").with_settings(['model_args={"widths": [4]}'])
    size = config.input_size
    face = render_face(seed=3, size=size, yaw_deg=0, roll_deg=0, face_fraction=0.8)
    seen_px = kaggle15_from_ibug68(face.points68_px.astype(np.float64))
    shape_px = (seen_px + KAGGLE15.mirror(seen_px, size)) / 2  # both looks see it alike
    network = create_model(config.model, len(KAGGLE15), size, **config.model_args)
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    network.regressor.bias.data = px_to_norm(torch.from_numpy(shape_px).float(), size).ravel()
    training = {"recipe": "mlp", "config": config.as_dict()}
    save_weights(path, network, Card("tried", KAGGLE15, "mlp", size, config.crop, config.model_args, training))
    return shape_px


def test_five_hundred_runs_open_quickly_and_fit_a_phone(page: Page, app_url: str) -> None:
    config = get_recipe("mlp").with_settings(["data=few"]).as_dict()
    for number in range(500):
        folder = RunFolder.create(f"many-{number}")
        folder.write_config(config)
        folder.write_status("finished", device="cpu", epoch=3, epochs=3)
    page.goto(f"{app_url}/train")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_visible()
    started = time.perf_counter()
    page.goto(f"{app_url}/train?view=Runs")
    expect(page.get_by_text("500 runs")).to_be_visible()
    print(f"500 runs after {time.perf_counter() - started:.2f} s")  # the machine may be busy: not asserted
    page.set_viewport_size({"width": 390, "height": 844})
    for view in ("New+run", "Runs"):
        page.goto(f"{app_url}/train?view={view}")
        expect(page.get_by_role("heading", name="Train a network")).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
