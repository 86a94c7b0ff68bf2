"""The app in a server of its own, and Chromium to look at it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, FloatRect, Locator, Page, Response, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from fkd.paths import PROJECT_ROOT, runs_root
from fkd.training import launch
from fkd.training.waiting import read_waiting
from tests.conftest import find_chromium

# Without a screen and without calls home, and with a camera that shows a test pattern.
FLAGS = (
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
REST_MS = 1000  # what has not moved for so long stands where it will
PATIENCE_S = 60  # a fresh server imports torch, and the machine may be busy


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _is_up(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/_stcore/health", timeout=1).status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def serve(log_file: Path, port: int) -> Iterator[str]:
    """The app in a server of its own that nobody has visited yet; its address."""
    server_options = ("--server.headless=true", f"--server.port={port}")
    command = [sys.executable, "-X", "faulthandler", "-m", "streamlit", "run", "app.py", *server_options]
    with log_file.open("w") as log:
        server = subprocess.Popen(command, cwd=PROJECT_ROOT, stdout=log, stderr=subprocess.STDOUT)
    url = f"http://localhost:{port}"
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _is_up(url):
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"The app did not start:\n{log_file.read_text()}")
            time.sleep(0.1)
        yield url
        assert server.poll() is None, f"The app ended with {server.poll()}:\n{log_file.read_text()}"
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def app_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a fresh server; one for each test module."""
    with serve(tmp_path_factory.mktemp("server") / "log.txt", free_port()) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        yield browser
        browser.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Generator[None, pytest.TestReport]:
    """Add to a failure what stood on every open page, as nobody can look at it any more."""
    report = yield
    if report.when == "call" and report.failed:
        browsers = [browser for browser in item.funcargs.values() if isinstance(browser, Browser)]
        pages = [page for browser in browsers for context in browser.contexts for page in context.pages]
        report.sections += [(f"page {number}", _told(page)) for number, page in enumerate(pages)]
    return report


def _told(page: Page) -> str:
    """A page's address, its connection to the server, and all text on it."""
    try:
        app = page.get_by_test_id("stApp")
        states = [app.get_attribute(f"data-test-{state}-state", timeout=1000) for state in ("connection", "script")]
        return f"{page.url}, {', '.join(map(str, states))}:\n{app.inner_text(timeout=1000)}"
    except PlaywrightError as error:
        return f"{page.url}: {error}"


def resting_box(element: Locator) -> FloatRect:
    """Where an element stands on the screen, once the script has run and fonts and figures have moved it.

    For what the mouse does at a place that the page has no element for, as on a canvas.
    """
    page = element.page
    expect(page.locator("[data-testid=stApp][data-test-script-state=notRunning]")).to_be_visible()
    before = None
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        element.scroll_into_view_if_needed()
        box = element.bounding_box()
        if box is not None and box == before:
            return box
        before = box
        page.wait_for_timeout(REST_MS)
    raise AssertionError(f"{element} is still moved after {PATIENCE_S} s, now at {before}.")


def choose_files(field: Locator, files: Sequence[FilePayload]) -> None:
    """Choose files to upload, and wait until the server has them."""
    arrived: list[Response] = []
    field.page.on("response", lambda response: arrived.append(response) if _is_upload(response) else None)
    field.set_input_files(files)
    deadline = time.monotonic() + PATIENCE_S
    while len(arrived) < len(files):
        assert time.monotonic() < deadline, f"{len(arrived)} of {len(files)} files arrived in {PATIENCE_S} s"
        field.page.wait_for_timeout(100)


def _is_upload(response: Response) -> bool:
    return "/_stcore/upload_file/" in response.url and response.request.method == "PUT"


def remove_runs() -> None:
    """Stop whatever trains or waits to, and remove every run."""
    for name, _ in read_waiting():
        launch.stop(name)
    for view in launch.view_all():
        if view.state == "running":
            launch.stop(view.name)
    shutil.rmtree(runs_root())


def assert_nothing_failed(page: Page) -> None:
    """No traceback stands on a page, nor the sentence that the pages tell in place of one."""
    assert page.get_by_test_id("stException").count() == 0
    assert page.get_by_text("fkd cannot tell why").count() == 0


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """A new window; whatever the test did in it, no traceback may stand there, and nothing else was asked."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000}, permissions=["camera"])
    context.set_default_timeout(PATIENCE_S * 1000)
    expect.set_options(timeout=PATIENCE_S * 1000)
    page = context.new_page()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    yield page
    assert_nothing_failed(page)
    assert [url for url in asked if not url.startswith(("http://localhost:", "data:", "blob:"))] == []
    context.close()
