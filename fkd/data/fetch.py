"""Fetch the published datasets: resumable, checked, and stored under `FKD_DATA` like any import.

python -m fkd data fetch youtube-faces
python -m fkd data fetch kaggle
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import importlib.util
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from fkd.data.importing import Imported, import_dataset, storage_error
from fkd.errors import FkdError, UnwritableError
from fkd.paths import data_root
from fkd.progress import report

YOUTUBE_FACES_URL = (
    "https://s3.amazonaws.com/video.udacity-data.com/topher/2018/May/5aea1b91_train-test-data/train-test-data.zip"
)
KAGGLE_TERMS_URL = "https://www.kaggle.com/c/facial-keypoints-detection/rules"
YOUTUBE_FACES_TERMS_URL = "https://www.cs.tau.ac.il/~wolf/ytfaces/"
_COMPETITION = "facial-keypoints-detection"
_TIMEOUT_S = 30.0
_FRUITLESS_ATTEMPTS = 3  # in a row, each without a byte received, before giving up
_PAUSE_S = 1.0
_CHUNK = 1 << 18


def fetch_youtube_faces(url: str = YOUTUBE_FACES_URL, sha256: str | None = None) -> Imported:
    """Download Udacity's archive of YouTube Faces frames and store it as `youtube_faces`.

    Args:
        url: another place that has it.
        sha256: of the archive, checked where given.

    Raises:
        FkdError: no network, a broken or wrong file; the sentence says where to put it by hand.
    """
    place = data_root() / "youtube_faces"
    by_hand = f"or download it by hand and run: python -m fkd data import FILE --name {place.name}"
    _refuse_existing(place)
    part = data_root() / ".fetching" / hashlib.sha256(url.encode()).hexdigest()[:16] / "youtube_faces.zip"
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        download(url, part)
    except FkdError as error:
        raise FkdError(f"{str(error).rstrip('.')}; try again later, {by_hand}") from None
    except OSError as error:
        raise storage_error(error) from None
    try:
        _check_sha256(part, sha256)
        imported = import_dataset(part, place.name, layout="points68")
    except UnwritableError:  # no fault of what was fetched, which stays for the next time
        raise
    except FkdError:
        _forget(part)
        raise
    _forget(part)
    return imported


def has_kagglehub() -> bool:
    """Whether the optional library is installed that Kaggle's files come by."""
    return importlib.util.find_spec("kagglehub") is not None


def fetch_kaggle() -> Imported:
    """Download the competition's files by kagglehub, with the user's own token, and store them as `kaggle`.

    Raises:
        FkdError: kagglehub is missing, or Kaggle refuses; the sentence says what to do.
    """
    place = data_root() / "kaggle"
    _refuse_existing(place)
    by_hand = f"or put training.zip from the competition into {place} yourself"
    try:
        kagglehub = importlib.import_module("kagglehub")
    except ImportError:
        raise FkdError(f"Fetching from Kaggle needs kagglehub: pip install kagglehub, {by_hand}.") from None
    report("asking Kaggle", 0.0)
    try:
        folder = Path(kagglehub.competition_download(_COMPETITION))
    except Exception as error:  # kagglehub raises many kinds; the first line of each says enough
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise FkdError(
            f"Kaggle gave no files ({reason}): accept the terms at {KAGGLE_TERMS_URL} and set up a token, {by_hand}."
        ) from None
    return import_dataset(folder, place.name, layout="kaggle")


def download(url: str, target: Path) -> None:
    """Download to `target`, going on from what is there of an earlier attempt (HTTP Range).

    Raises:
        FkdError: not reachable, refused, or broken off again and again; what has come stays for the next time.
    """
    if not url.startswith(("http://", "https://")):
        raise FkdError(f"{url!r} is no http or https address.")
    fruitless, reason = 0, ""
    while fruitless < _FRUITLESS_ATTEMPTS:
        before = _size(target)
        try:
            if _download_once(url, target):
                return
            reason = "the connection breaks off"
        except urllib.error.HTTPError as error:
            if error.code < 500:
                raise FkdError(f"{url} is refused with {error.code} {error.reason}.") from None
            reason = f"{error.code} {error.reason}"
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            cause = getattr(error, "reason", error)
            reason = getattr(cause, "strerror", None) or str(cause)
        fruitless = 0 if _size(target) > before else fruitless + 1
        if fruitless < _FRUITLESS_ATTEMPTS:
            time.sleep(_PAUSE_S)
    raise FkdError(f"{url} cannot be fetched ({reason}).")


def _download_once(url: str, target: Path) -> bool:
    """Whether the file is whole after one request."""
    note, have = _note_of(target), _size(target)
    headers = {"User-Agent": "fkd"}
    version = _known_version(note)
    if have and version:  # If-Range: a changed file is sent from its beginning
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing lies behind what is there: it is whole, or of another file
            whole = error.headers.get("Content-Range", "") == f"bytes */{have}"
            if not whole:
                _delete(target)
            return whole
        raise
    with response:
        resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {have}-")
        have = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        what = f"downloading {total / 1e6:,.0f} MB" if total else "downloading"
        _write_note(note, response.headers)
        with target.open("ab" if resumed else "wb") as file:
            while chunk := response.read1(_CHUNK):
                file.write(chunk)
                have += len(chunk)
                report(what, have / total if total else 0.0)
    return total is None or have == total


def _note_of(target: Path) -> Path:
    return target.with_name(target.name + ".json")


def _known_version(note: Path) -> str:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        return str(json.loads(note.read_text(encoding="utf-8")).get("version") or "")
    return ""


def _write_note(note: Path, headers: http.client.HTTPMessage) -> None:
    etag = headers.get("ETag") or ""
    version = headers.get("Last-Modified") if not etag or etag.startswith("W/") else etag
    note.write_text(json.dumps({"version": version}), encoding="utf-8")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _delete(part: Path) -> None:
    for path in (part, _note_of(part)):
        path.unlink(missing_ok=True)


def _forget(part: Path) -> None:
    """Delete what has come, and its folder."""
    _delete(part)
    with contextlib.suppress(OSError):  # another download may be under way
        part.parent.rmdir()
        part.parent.parent.rmdir()


def _check_sha256(path: Path, wanted: str | None) -> None:
    if wanted is None:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != wanted.lower().strip():
        raise FkdError(
            f"What was fetched has the checksum {found[:12]}... instead of {wanted[:12]}...; it was deleted."
        )


def _refuse_existing(place: Path) -> None:
    if place.exists():
        raise FkdError(f"{place.name} is there already: {place}.")
