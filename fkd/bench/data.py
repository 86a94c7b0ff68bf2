"""Reading Kaggle's layout: fkd against pandas and `np.fromstring` row by row, on a generated file.

    python -m fkd bench data --json data.json

Each side runs in a process of its own, so that peak memory is its own too. What is read is exactly
the same; fkd's first opening includes finding near-duplicates and writing the cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from fkd.data.kaggle import COORDINATES, SIDE

HEADLINE = "textbook reading / fkd's first opening"
_ROWS = 7049

# Row by row with `np.fromstring`, as the published notebooks do it: without a dtype it reads floats.
_TEXTBOOK = """
frame = pd.read_csv(folder / "training.csv")
images = np.stack([np.fromstring(text, sep=" ") for text in frame.pop("Image")]).astype(np.uint8)
points = frame.to_numpy(np.float32)
check = int(images.sum(dtype=np.int64)), len(points)
"""
# The same with the dtype that few give it, which reads integers and is quicker.
_TEXTBOOK_UINT8 = _TEXTBOOK.replace('sep=" ")', 'sep=" ", dtype=np.uint8)').replace(".astype(np.uint8)", "")
_FKD = """
dataset = load_kaggle(folder)
check = int(dataset.images_u8.sum(dtype=np.int64)), len(dataset)
"""
_HARNESS = """
import json, resource, sys, time, warnings
from pathlib import Path
import numpy as np, pandas as pd
from fkd.data.kaggle import load_kaggle
warnings.simplefilter("ignore")
folder = Path(sys.argv[1])
started, cpu = time.perf_counter(), time.process_time()
{body}
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps(dict(seconds=seconds, cpu_seconds=cpu, peak_mb=peak / 2**20, check=check)))
"""


def measure(rows: int = _ROWS) -> dict[str, Any]:
    """Seconds and peak memory of each side.

    `ratio` is the headline: how much quicker fkd's first opening is than the textbook's reading;
    `ratio_uint8`, than the textbook's with a dtype, which is the harder to beat.
    """
    with tempfile.TemporaryDirectory(prefix="fkd-bench-") as folder:
        write_table(Path(folder) / "training.csv", rows)
        environment = {**os.environ, "FKD_CACHE": str(Path(folder) / "cache")}
        textbook, uint8 = (_run(body, folder, environment) for body in (_TEXTBOOK, _TEXTBOOK_UINT8))
        first = _run(_FKD, folder, environment)
        second = _run(_FKD, folder, environment)
    if len({tuple(side.pop("check")) for side in (textbook, uint8, first, second)}) > 1:
        raise AssertionError("the sides read different faces")
    return {
        "bench": "data",
        "rows": rows,
        "ratio": round(textbook["seconds"] / first["seconds"], 2),
        "headline": HEADLINE,
        "ratio_uint8": round(uint8["seconds"] / first["seconds"], 2),
        "textbook": _rounded(textbook),
        "textbook_uint8": _rounded(uint8),
        "first_opening": _rounded(first),
        "second_opening": _rounded(second),
    }


def write_table(path: Path, rows: int, seed: int = 0) -> None:
    """A `training.csv` of smooth random pictures; a third of the rows have all points, as in Kaggle's."""
    import cv2

    rng = np.random.default_rng(seed)
    with path.open("w", encoding="ascii") as file:
        file.write(",".join((*COORDINATES, "Image")) + "\n")
        for row in range(rows):
            coarse = rng.integers(0, 256, (12, 12), dtype=np.uint8)
            image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            points = rng.uniform(10, 86, len(COORDINATES))
            texts = [f"{value:.4f}" if row % 3 == 0 or i % 7 == 0 else "" for i, value in enumerate(points)]
            file.write(",".join((*texts, " ".join(map(str, image.ravel().tolist())))) + "\n")


def _run(body: str, folder: str, environment: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-c", _HARNESS.format(body=body), folder]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _rounded(result: dict[str, Any]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in result.items()}
