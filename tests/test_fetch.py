"""Fetching from a local server that breaks off, sends wrong bytes, and is slow."""

import errno
import hashlib
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fkd.data import fetch
from fkd.errors import FkdError
from fkd.jobs import Stopped
from fkd.progress import listening
from tests.uploads import HEADER, kaggle_rows, points68_files, zipped

ARCHIVE = zipped({k.replace("pictures/", "faces/"): v for k, v in points68_files().items()})


class Server:
    """Serves `content`; `breaks_after` bytes of each answer it hangs up."""

    def __init__(self):
        self.content, self.breaks_after, self.pause_s, self.ranges = ARCHIVE, None, 0.0, []
        self.status = 200
        handler = type("Handler", (_Handler,), {"owner": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/archive.zip"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    owner: Server

    def do_GET(self):
        asked = self.headers.get("Range")
        self.owner.ranges.append(asked)
        tag = '"' + hashlib.md5(self.owner.content).hexdigest() + '"'
        begin = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.headers["If-Range"] == tag else 0
        body = self.owner.content[begin:]
        if begin and not body:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.owner.content)}")
            self.end_headers()
            return
        if self.owner.status != 200:
            self.send_error(self.owner.status)
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(self.owner.content) - 1}/{len(self.owner.content)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        threading.Event().wait(self.owner.pause_s)
        self.wfile.write(body[: self.owner.breaks_after])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.http.shutdown()
    server.http.server_close()


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("FKD_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(fetch, "_PAUSE_S", 0.0)
    return tmp_path / "data"


def left(root):
    return sorted(path.name for path in root.iterdir()) if root.exists() else []


def test_a_whole_archive_becomes_the_dataset(server, root):
    shares = []
    checksum = hashlib.sha256(ARCHIVE).hexdigest()
    with listening(lambda what, share: shares.append(share)):
        done = fetch.fetch_youtube_faces(server.url, checksum)
    assert (done.name, done.faces) == ("youtube_faces", 2)
    assert max(shares) == 1.0
    assert left(root) == ["youtube_faces"]


def test_a_connection_that_breaks_off_is_resumed(server, root):
    server.breaks_after = len(ARCHIVE) // 3
    assert fetch.fetch_youtube_faces(server.url).faces == 2
    assert server.ranges[0] is None
    assert server.ranges[1] == f"bytes={len(ARCHIVE) // 3}-"


def test_what_has_come_stays_for_the_next_attempt(server, root, monkeypatch):
    server.breaks_after = len(ARCHIVE) // 2
    monkeypatch.setattr(fetch, "_FRUITLESS_ATTEMPTS", 0)
    with pytest.raises(FkdError, match="cannot be fetched"):
        fetch.fetch_youtube_faces(server.url)
    monkeypatch.setattr(fetch, "_FRUITLESS_ATTEMPTS", 1)
    part = root / "part.zip"
    part.parent.mkdir(exist_ok=True)
    server.breaks_after, server.status = len(ARCHIVE) // 2, 200
    fetch._download_once(server.url, part)
    server.breaks_after = None
    fetch.download(server.url, part)
    assert part.read_bytes() == ARCHIVE
    assert server.ranges[-1] == f"bytes={len(ARCHIVE) // 2}-"


def test_a_stopped_download_goes_on_where_it_was(server, root, monkeypatch):
    monkeypatch.setattr(fetch, "_CHUNK", 1000)

    def stop_halfway(what, share):
        if what.startswith("downloading") and share > 0.5:
            raise Stopped

    with pytest.raises(Stopped), listening(stop_halfway):
        fetch.fetch_youtube_faces(server.url)
    assert left(root) == [".fetching"]
    assert fetch.fetch_youtube_faces(server.url).faces == 2
    begin = int(server.ranges[1].removeprefix("bytes=").rstrip("-"))
    assert len(ARCHIVE) / 2 < begin < len(ARCHIVE)
    assert left(root) == ["youtube_faces"]


@pytest.mark.parametrize("spare", [b"", b"more"])
def test_what_had_come_whole_is_not_fetched_twice_and_what_is_longer_is_fetched_anew(server, root, spare):
    part = root / "part.zip"
    part.parent.mkdir()
    assert fetch._download_once(server.url, part)
    part.write_bytes(ARCHIVE + spare)
    fetch.download(server.url, part)
    assert part.read_bytes() == ARCHIVE
    assert server.ranges[1:] == [f"bytes={len(ARCHIVE + spare)}-"] + [None] * bool(spare)


def test_a_file_that_changed_meanwhile_starts_anew(server, root):
    part = root / "part.zip"
    part.parent.mkdir()
    server.content, server.breaks_after = b"x" * 1000, 400
    fetch._download_once(server.url, part)
    server.content, server.breaks_after = ARCHIVE, None
    fetch.download(server.url, part)
    assert part.read_bytes() == ARCHIVE


def test_nothing_comes_any_more(server):
    server.breaks_after = 0
    with pytest.raises(FkdError, match=r"breaks off\); try again later, or download it by hand"):
        fetch.fetch_youtube_faces(server.url)
    assert len(server.ranges) == 3


@pytest.mark.parametrize(
    ("content", "checksum", "message"),
    [
        (b"<html>sign in</html>", None, "no complete zip"),
        (ARCHIVE[:-40], None, "no complete zip"),
        (ARCHIVE, "0" * 64, "has the checksum"),
        (zipped({"readme.txt": "moved"}), None, "No table of keypoints"),
    ],
)
def test_wrong_bytes_leave_nothing(server, root, content, checksum, message):
    server.content = content
    with pytest.raises(FkdError, match=message):
        fetch.fetch_youtube_faces(server.url, checksum)
    assert left(root) == []


def test_what_cannot_be_stored_is_not_fetched_twice(server, root, monkeypatch):
    def refuse(**settings):
        raise OSError(errno.ENOSPC, "No space left on device", str(root / "aside"))

    with monkeypatch.context() as patch:
        patch.setattr("fkd.data.importing.tempfile.TemporaryDirectory", refuse)
        with pytest.raises(FkdError, match="Nothing can be stored"):
            fetch.fetch_youtube_faces(server.url)
    assert left(root) == [".fetching"]
    assert fetch.fetch_youtube_faces(server.url).faces == 2
    assert server.ranges == [None, f"bytes={len(ARCHIVE)}-"]
    assert left(root) == ["youtube_faces"]


def test_a_slow_server_is_given_up(server, monkeypatch):
    server.pause_s = 2.0
    monkeypatch.setattr(fetch, "_TIMEOUT_S", 0.1)
    with pytest.raises(FkdError, match="timed out"):
        fetch.fetch_youtube_faces(server.url)


def test_a_refusal_is_not_repeated(server):
    server.status = 404
    with pytest.raises(FkdError, match="refused with 404"):
        fetch.fetch_youtube_faces(server.url)
    assert len(server.ranges) == 1


def test_without_a_network():
    with pytest.raises(FkdError, match=r"cannot be fetched.*by hand and run: python -m fkd data import"):
        fetch.fetch_youtube_faces("http://127.0.0.1:9/archive.zip")


def test_other_schemes_are_refused():
    with pytest.raises(FkdError, match="no http or https address"):
        fetch.fetch_youtube_faces("file:///etc/passwd")


class TestKaggle:
    def test_without_kagglehub(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "kagglehub", None)
        with pytest.raises(FkdError, match=r"pip install kagglehub, or put training\.zip"):
            fetch.fetch_kaggle()

    def test_refused(self, monkeypatch):
        def refuse(handle):
            raise RuntimeError("403 Client Error.\nYou don't have permission")

        monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(competition_download=refuse))
        with pytest.raises(FkdError, match=r"\(403 Client Error\): accept the terms at https://www\.kaggle\.com"):
            fetch.fetch_kaggle()

    def test_what_kagglehub_downloads_is_stored(self, monkeypatch, tmp_path, root):
        asked = []

        def give(handle):
            asked.append(handle)
            (tmp_path / "hub").mkdir()
            text = "\n".join([HEADER, *kaggle_rows()])
            (tmp_path / "hub" / "training.zip").write_bytes(zipped({"training.csv": text}))
            (tmp_path / "hub" / "SampleSubmission.csv").write_text("RowId,Location\n1,0\n")
            (tmp_path / "hub" / "IdLookupTable.csv").write_text("RowId,ImageId,FeatureName,Location\n")
            return str(tmp_path / "hub")

        monkeypatch.setitem(sys.modules, "kagglehub", types.SimpleNamespace(competition_download=give))
        assert fetch.fetch_kaggle().faces == 3
        assert asked == ["facial-keypoints-detection"]
        assert left(root) == ["kaggle"]
        assert left(root / "kaggle") == ["IdLookupTable.csv", "training.csv"]
