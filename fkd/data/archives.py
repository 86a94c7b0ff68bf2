"""Zip files from anywhere, checked by their headers before a byte of them is unpacked."""

from __future__ import annotations

import contextlib
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fkd.errors import FkdError, counted
from fkd.progress import report

# Text of grey values shrinks by 3 or 4, pictures hardly; only what was made to burst exceeds this.
_HIGHEST_RATIO = 100
_HARMLESS_BYTES = 50 << 20  # below this no ratio does harm
_MOST_BYTES = 20 << 30
_MOST_FILES = 200_000
_CHUNK = 1 << 20


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """A zip whose headers have been checked; every way in which reading it fails is an `FkdError`."""
    try:
        with zipfile.ZipFile(path) as archive:
            check_headers(archive, path)
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError):
        raise FkdError(f"{path.name} is no complete zip; fetch it again.") from None
    except NotImplementedError:
        raise FkdError(f"{path.name} is compressed in an unusual way; pack it as a plain zip.") from None


def check_headers(archive: zipfile.ZipFile, path: Path) -> None:
    """`FkdError` for a zip that would burst, or whose names lead out of it, repeat, or are links."""
    entries = archive.infolist()
    total = sum(entry.file_size for entry in entries)
    ratio = total / max(path.stat().st_size, 1)
    if len(entries) > _MOST_FILES or total > _MOST_BYTES or (total > _HARMLESS_BYTES and ratio > _HIGHEST_RATIO):
        raise FkdError(
            f"{path.name} would unpack to {total / 1e6:,.0f} MB in {counted(len(entries), 'file')}, {ratio:,.0f} "
            "times its size, and was not opened; pack only a table and its pictures."
        )
    seen = set()
    for entry in entries:
        _check_name(entry, path)
        if entry.filename in seen:
            raise FkdError(f"{path.name} holds {entry.filename!r} twice; pack it anew.")
        seen.add(entry.filename)


def _check_name(entry: zipfile.ZipInfo, path: Path) -> None:
    # orig_filename, as zipfile turns backslashes round on some systems
    name = entry.orig_filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if ".." in parts or name.startswith(("/", "\\")) or ":" in name or "\0" in name:
        raise FkdError(f"{path.name} holds {name!r}, which leads out of its folder; pack it anew without such names.")
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise FkdError(f"{path.name} holds the link {name!r}; pack the files themselves.")
    if entry.flag_bits & 1:
        raise FkdError(f"{path.name} asks for a password; pack it without one.")


def unpack(path: Path, target: Path) -> None:
    """Unpack a checked zip into a new folder; nothing larger than its headers say is ever written."""
    with open_archive(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir() and not is_clutter(entry.filename)]
        total, done = max(sum(entry.file_size for entry in entries), 1), 0
        for entry in entries:
            place = target / entry.filename
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as source, place.open("xb") as file:
                left = entry.file_size
                while chunk := source.read(min(_CHUNK, left + 1)):
                    report(f"unpacking {path.name}", done / total)
                    left -= len(chunk)
                    if left < 0:
                        raise FkdError(f"{path.name}: {entry.filename!r} is larger than it says; this is no dataset.")
                    file.write(chunk)
                    done += len(chunk)


def is_clutter(name: str) -> bool:
    """Whether a file is what systems leave behind in folders and zips."""
    parts = PurePosixPath(name).parts
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)
