"""What a run was made with: recorded in its config.json, so that it can be told apart and repeated."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from typing import Any

import numpy as np
import torch

import fkd
from fkd.data.dataset import Dataset
from fkd.paths import PROJECT_ROOT


def provenance(dataset: Dataset, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    """Versions, commit, a fingerprint of the faces, and how many of them are in each part of the split."""
    return {
        "versions": versions(),
        "commit": _commit(),
        "data_hash": fingerprint(dataset),
        "split": {part: int(mask.sum()) for part, mask in masks.items()},
    }


def versions() -> dict[str, str]:
    """Of what figures may depend on."""
    found = {"fkd": fkd.__version__, "python": platform.python_version()}
    found |= {"torch": torch.__version__, "numpy": np.__version__}
    return found | ({"cuda": torch.version.cuda} if torch.version.cuda else {})


def fingerprint(dataset: Dataset) -> str:
    """The same text for the same pictures, points and groups in the same order."""
    digest = hashlib.blake2b(digest_size=16)
    for array in (dataset.images_u8, dataset.points_px):
        digest.update(f"{array.shape} {array.dtype} ".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update("\0".join(map(str, dataset.groups)).encode())
    return digest.hexdigest()


def _commit() -> str | None:
    """The commit of the source, with `+` where files differ from it; None outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(PROJECT_ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None
