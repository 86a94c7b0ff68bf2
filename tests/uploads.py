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
