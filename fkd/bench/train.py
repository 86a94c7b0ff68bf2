"""Training: this engine against the textbook loop, on the same network, batch and augmentation.

    python -m fkd bench train --json train.json

The textbook loop is a `Dataset` that reads one picture at a time from a file and changes it with OpenCV,
a `DataLoader` with two workers, and fp32. The two sides take turns, so that whatever else the machine
does meanwhile slows both. What both reach of the fastest convolution that the device does in their precision
says how much is left to gain. Where there is a GPU, the share of time in which it computes is measured too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from fkd.augment import Augmentation
from fkd.bench.peak import peak_gflop_per_s, training_gflop
from fkd.crop import transform
from fkd.data.dataset import Dataset
from fkd.models import create_model, px_to_norm
from fkd.training.batches import Batch
from fkd.training.config import TrainConfig
from fkd.training.loop import compute_dtype
from fkd.training.objective import total_loss
from fkd.training.recipes import get_recipe
from fkd.training.rehearsal import Rehearsal, rehearsal

HEADLINE = "images a second of this engine / of the textbook loop"
_RECIPE, _DATA = "heatmap68", "synthetic68"
_BATCH_CPU, _BATCH_GPU = 32, 256
_TURNS, _TURN_S = 3, 12.0
_FIRST_STEPS = 2  # they set up what later ones reuse
_WORKERS = 2
_PROFILED_STEPS = 20


def measure(turns: int = _TURNS, turn_s: float = _TURN_S, settings: tuple[str, ...] = ()) -> dict[str, Any]:
    """Images a second of both sides; `ratio` is the headline.

    `ratio_at_peak` would be the ratio if the engine did nothing but convolutions, each at the fastest.

    Args:
        turns: how often each side has its turn.
        turn_s: seconds of a turn.
        settings: changes to the recipe, as `--set` takes them.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch_size = _BATCH_GPU if device.type == "cuda" else _BATCH_CPU
    # Crops beside the face are made of maps to whole batches; neither side makes any.
    config = get_recipe(_RECIPE).with_settings([f"data={_DATA}", f"batch_size={batch_size}", "negatives=0", *settings])
    with rehearsal(config, str(device)) as engine, tempfile.TemporaryDirectory(prefix="fkd-bench-") as folder:
        textbook = _textbook_steps(engine, Path(folder), device)
        sides: dict[str, Callable[[], object]] = {
            "textbook": lambda: next(textbook),
            "engine": lambda: engine.step_at(config.learning_rate),
        }
        rates: dict[str, list[dict[str, float]]] = {name: [] for name in sides}
        for step in sides.values():
            for _ in range(_FIRST_STEPS):
                step()
        for _ in range(turns):
            for name, step in sides.items():
                rates[name].append(_turn(step, config.batch_size, turn_s, device))
        found = {name: _median(turns_of_side) for name, turns_of_side in rates.items()}
        busy = {"gpu_busy_percent": _busy_percent(sides["engine"])} if device.type == "cuda" else {}
        dtype = compute_dtype(config.precision, device)
        peaks = {"textbook": peak_gflop_per_s(torch.float32, device), "engine": peak_gflop_per_s(dtype, device)}
        gflop = training_gflop(engine.network, device)
    for name, peak in peaks.items():
        found[name]["peak_gflop_per_s"] = round(peak, 1)
        found[name]["share_of_peak"] = round(gflop * found[name]["images_per_s"] / peak, 3)
    return {
        "bench": "train",
        "ratio": round(found["engine"]["images_per_s"] / found["textbook"]["images_per_s"], 2),
        "headline": HEADLINE,
        "ratio_at_peak": round(peaks["engine"] / gflop / found["textbook"]["images_per_s"], 2),
        "gflop_per_image": round(gflop, 5),
        "recipe": _RECIPE,
        "batch_size": config.batch_size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "precision": str(dtype).removeprefix("torch."),
        **found,
        **busy,
    }


def _turn(step: Callable[[], object], batch_size: int, seconds: float, device: torch.device) -> dict[str, float]:
    """Images a second, and a second of this process's processors, over some steps."""
    started, cpu = time.perf_counter(), time.process_time()
    steps = 0
    while time.perf_counter() - started < seconds or not steps:
        step()
        steps += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    images = steps * batch_size
    passed, busy = time.perf_counter() - started, time.process_time() - cpu
    return {"images_per_s": images / passed, "images_per_cpu_s": images / busy}


def _median(turns: list[dict[str, float]]) -> dict[str, float]:
    return {name: round(statistics.median(turn[name] for turn in turns), 2) for name in turns[0]}


def _busy_percent(step: Callable[[], object]) -> float:
    """Share of time in which the GPU computes, in percent."""
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        started = time.perf_counter()
        for _ in range(_PROFILED_STEPS):
            step()
        torch.cuda.synchronize()
        passed = time.perf_counter() - started
    computed = sum(event.self_device_time_total for event in profile.key_averages()) / 1e6
    return round(100 * min(computed / passed, 1.0), 1)


def _textbook_steps(engine: Rehearsal, folder: Path, device: torch.device) -> Iterator[float]:
    """Steps of the textbook loop, without end; each gives its loss."""
    config, faces = engine.config, engine.faces.train
    network = create_model(config.model, len(faces.schema), config.input_size, **config.model_args).to(device)
    optimizer = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    files = FaceFiles(faces, engine.train_faces.maps.cpu().numpy(), config, folder)
    loader = DataLoader(files, config.batch_size, shuffle=True, num_workers=_WORKERS, drop_last=True)
    while True:
        for parts in loader:
            batch = Batch(*(part.to(device) for part in parts))
            loss = total_loss(network(*batch.inputs), batch, config, faces.schema)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
            optimizer.step()
            yield loss.item()


class FaceFiles(TorchDataset):
    """Faces as files, read and changed one at a time: what the engine does to a batch, in OpenCV.

    Args:
        faces: written to `folder` as PNG files.
        maps: (n, 2, 3) from a network's crop to the faces' pictures.
        config: augmentation and input size.
        folder: where the files go.
    """

    def __init__(self, faces: Dataset, maps: np.ndarray, config: TrainConfig, folder: Path) -> None:
        self.points_px, self.maps, self.schema = faces.points_px, maps, faces.schema
        self.size, self.augmentation = config.input_size, config.augmentation
        self.paths = [folder / f"{i}.png" for i in range(len(faces))]
        for path, image in zip(self.paths, faces.images_u8, strict=True):
            cv2.imwrite(str(path), image)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, ...]:
        """One row of a `Batch`."""
        cv2.setNumThreads(1)  # the workers are as many as the cores
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        image_u8 = cv2.imread(str(self.paths[index]), cv2.IMREAD_GRAYSCALE)
        assert image_u8 is not None
        crop_to_image, mirrored = _draw_map(self.maps[index], self.size, self.augmentation, rng)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        side = (self.size, self.size)
        crop = cv2.warpAffine(image_u8, crop_to_image, side, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        points = transform(self.points_px[index], cv2.invertAffineTransform(crop_to_image))
        points = points[list(self.schema.mirror_partners)] if mirrored else points
        crop, hidden = _change(crop.astype(np.float32) / 255, points, self.augmentation, rng)
        points_norm = px_to_norm(torch.from_numpy(points.astype(np.float32)), self.size)
        return torch.from_numpy(crop)[None], points_norm, torch.from_numpy(hidden), torch.tensor(True)


def _draw_map(
    crop_to_image: np.ndarray, size: int, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, bool]:
    """A changed map from crop to picture, and whether it mirrors."""
    angle = np.radians(rng.uniform(-1, 1) * settings.rotation_deg)
    factor = np.exp(rng.uniform(-1, 1) * np.log1p(settings.scale))
    mirrored = bool(settings.mirror and rng.random() < 0.5)
    linear = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear[:, 0] *= -1 if mirrored else 1
    middle = np.full(2, (size - 1) / 2)
    offset = middle + rng.uniform(-settings.shift, settings.shift, 2) * size - linear @ middle
    outer = np.vstack([crop_to_image, [0, 0, 1]])
    inner = np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])
    return (outer @ inner)[:2], mirrored


def _change(
    crop: np.ndarray, points: np.ndarray, settings: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Light, lost resolution, noise and a covering box on one (s, s) crop; (k,) bool, true under the box."""
    size = len(crop)
    gamma, gain = 2 ** rng.uniform(-settings.light, settings.light, 2)
    crop = np.clip(np.maximum(crop, 1e-4) ** gamma * gain + rng.uniform(-0.2, 0.2) * settings.light, 0, 1)
    if rng.random() < settings.blur:
        small = max(int(size * rng.uniform(0.25, 0.75)), 8)
        crop = cv2.resize(cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA), (size, size))
    noise = rng.standard_normal(crop.shape, np.float32) * (rng.random() ** 2 * settings.noise)
    crop = np.clip(crop + noise, 0, 1).astype(np.float32)
    hidden: Any = np.zeros(len(points), bool)
    if rng.random() < settings.cover:
        half, centre = rng.uniform(0.05, 0.22, 2) * size, rng.uniform(0.1, 0.9, 2) * size
        low, high = np.maximum(centre - half, 0), centre + half
        hidden = ((points >= low) & (points <= high)).all(axis=1)
        (left, top), (right, bottom) = low.astype(int), high.astype(int) + 1
        crop[top:bottom, left:right] = rng.random()
    return crop, hidden
