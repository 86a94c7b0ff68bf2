"""Faces small enough to train on in a second, and weights without training."""

from pathlib import Path

import numpy as np

from fkd.data.dataset import Dataset
from fkd.data.kaggle import COORDINATES
from fkd.schema import KAGGLE15

# Three epochs of a dense network on 32x32 pixels.
TINY_SETTINGS = ["data=drawn", "input_size=32", "epochs=3", "batch_size=16", "precision=fp32", "validation_share=0.2"]
TINY_SETTINGS += ['model_args={"widths": [16]}']


def drawn_faces(n=80, side=32, name="drawn"):
    """One shape, shifted, with a bright spot at each point; one label in seven rows is missing."""
    rng = np.random.default_rng(0)
    shape = rng.uniform(8, side - 8, (15, 2))
    shape[3], shape[5] = (side - 8, 12), (8, 12)
    points = (shape + rng.uniform(-5, 5, (n, 1, 2))).astype(np.float32)
    images = rng.integers(0, 60, (n, side, side)).astype(np.uint8)
    for image, face in zip(images, points, strict=True):
        for x, y in face.astype(int):
            image[y - 1 : y + 2, x - 1 : x + 2] = 220
    points[::7, 6] = np.nan
    rows = np.array([f"face {i}" for i in range(n)])
    published = np.where(np.arange(n) % 10 == 0, "test", "training")
    return Dataset(name, KAGGLE15, images, points, rows, np.full(n, name), rows, published)


def write_noise_faces(folder: Path, n=30):
    """Faces of noise in Kaggle's layout, for processes that cannot be handed a dataset."""
    rng = np.random.default_rng(0)
    lines = [",".join([*COORDINATES, "Image"])]
    for _ in range(n):
        numbers = [f"{value:.2f}" for value in np.linspace(20, 70, len(COORDINATES)) + rng.uniform(-5, 5, 30)]
        lines.append(",".join(numbers) + "," + " ".join(map(str, rng.integers(0, 256, 96 * 96))))
    folder.mkdir(parents=True)
    (folder / "training.csv").write_text("\n".join(lines))
