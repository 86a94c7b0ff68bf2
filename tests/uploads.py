"""Small files in both layouts, as somebody would upload them."""

import io
import zipfile

import cv2
import numpy as np

from fkd.data.kaggle import COORDINATES

HEADER = ",".join((*COORDINATES, "Image"))


def kaggle_rows(n=3, pixels=("7",) * 9216):
    return [",".join([f"{10 + row + i:.1f}" for i in range(30)] + [" ".join(pixels)]) for row in range(n)]


def zipped(files, **extra):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, **extra) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def points68_files(names=("ann_01.png", "bob_01.png"), delimiter=",", mark=""):
    rng = np.random.default_rng(0)
    lines = [delimiter.join(["", *map(str, range(136))])]
    lines += [delimiter.join([name, *map(str, rng.integers(20, 90, 136))]) for name in names]
    picture = cv2.imencode(".png", rng.integers(0, 256, (120, 110, 3), dtype=np.uint8))[1].tobytes()
    files = {"faces.csv": (mark + "\n".join(lines)).encode()}
    return files | {f"pictures/{name}": picture for name in names}


def pts_files(*pictures):
    """The faces of `points68_files` as 300-W has them: a file of points beside each picture, pixels counted from 1."""
    files, found = points68_files(pictures), {}
    for row, picture in enumerate(pictures):
        numbers = np.array(files["faces.csv"].decode().splitlines()[1 + row].split(",")[1:], float).reshape(-1, 2) + 1
        lines = ["version: 1", "n_points: 68", "{", *(f"{x:.3f} {y:.3f}" for x, y in numbers), "}"]
        found[picture.rsplit(".", 1)[0] + ".pts"] = "\n".join(lines).encode()
        found[picture] = files[f"pictures/{picture}"]
    return found
