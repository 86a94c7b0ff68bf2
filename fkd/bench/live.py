"""The live view on video clips: faces followed, milliseconds, trembling and lag; beside it the usual ways.

    python -m fkd bench live --clips DIR --json live.json
    python -m fkd bench live --clips DIR --mediapipe .venv-bench/bin/python

Every clip's frames are decoded once and given to each side in turn, all on one processor core. The usual
way is to detect and predict in every frame. Where a Python with MediaPipe is named (see
`requirements-bench.txt`; it cannot share an environment with fkd), its face mesh runs in a process of its
own. `ratio` says how many times as much of the processor the other side needs for a frame: MediaPipe where
it was measured, else detection in every frame. Processor time is what wall-clock time would be on a machine
that does nothing else; both are reported.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from fkd.errors import FkdError
from fkd.pipeline.detect import HaarOptions
from fkd.pipeline.expression import ExpressionReader
from fkd.pipeline.predict import Pipeline
from fkd.pipeline.smooth import Smoother, SmoothOptions
from fkd.pipeline.track import Tracker, TrackOptions
from fkd.schema import IBUG68
from fkd.video import SUFFIXES, Frame, read_frames
from fkd.weights import LoadedModel, live_weights, load_model

_MOST_FRAMES = 300  # of one clip, which are held in memory
_DETECTED_FRAMES = 15  # of one clip, for the usual way
_STILL_FRAMES, _NOISE = 60, 3.0
_FPS = 30.0
_Spent = tuple[float, float]  # milliseconds by the clock on the wall, and of the processor

_MEDIAPIPE = """
import json, sys, time
import numpy as np
import mediapipe
frames = np.load(sys.argv[1], mmap_mode="r")
mesh = mediapipe.solutions.face_mesh.FaceMesh(max_num_faces=1)
milliseconds, found = [], 0
for frame in frames:
    frame = np.ascontiguousarray(frame)
    start, start_cpu = time.perf_counter(), time.process_time()
    answer = mesh.process(frame)
    milliseconds.append([1000 * (time.perf_counter() - start), 1000 * (time.process_time() - start_cpu)])
    found += answer.multi_face_landmarks is not None
print(json.dumps([milliseconds, found]))
"""


def measure(clips: Path | None = None, weights: str | None = None, mediapipe: Path | None = None) -> dict[str, Any]:
    """Every clip of a folder; `ratio` is the headline.

    Args:
        clips: folder of video files.
        weights: which network follows; that of the live view if not given.
        mediapipe: the Python of an environment that has MediaPipe.

    Raises:
        FkdError: no clips, a clip that cannot be read, or an environment without MediaPipe.
    """
    inside = clips.iterdir() if clips and clips.is_dir() else ()
    paths = sorted(path for path in inside if path.suffix.lower() in SUFFIXES)
    if not paths:
        raise FkdError("There are no clips to measure; name a folder of video files with --clips DIR.")
    weights = weights or live_weights()
    with _one_core():
        model = load_model(weights, threads=1)
        rows, ours, whole, detected, theirs = {}, [], [], [], []
        for path in paths:
            frames = list(islice(read_frames(path), _MOST_FRAMES))
            rows[path.name], points_ms, whole_ms = _follow(model, frames)
            rows[path.name] |= _steadiness(model, frames)
            ours += points_ms
            whole += whole_ms
            detected += _detect(model, frames)
            if mediapipe:
                their_ms, found = _mediapipe(mediapipe, frames)
                rows[path.name]["mediapipe"] = {"frames_with_face": found / len(frames), **_both_clocks(their_ms)}
                theirs += their_ms
    others = {"detecting in every frame": detected} | ({"MediaPipe": theirs} if theirs else {})
    name, other = list(others.items())[-1]
    return {
        "bench": "live",
        "weights": weights,
        "runtime": model.runtime,
        "ratio": round(_cpu_p50(other) / _cpu_p50(ours), 2),
        "headline": f"processor time of {name} / of fkd following, p50 from frame to points on one core",
        "fkd": _both_clocks(ours),
        "fkd_with_heads_and_blinks": _both_clocks(whole),
        **{other_name.replace(" ", "_").lower(): _both_clocks(ms) for other_name, ms in others.items()},
        "clips": rows,
    }


def _follow(model: LoadedModel, frames: Sequence[Frame]) -> tuple[dict[str, Any], list[_Spent], list[_Spent]]:
    """How a clip was followed, and what each frame took until its steady points, and until heads were read too."""
    tracker, smoother, reader = Tracker(model), Smoother(), ExpressionReader()
    steps: dict[str, list[float]] = {}
    points_ms, whole_ms, counts, numbers = [], [], [], set()
    for time_s, image in frames:
        start, start_cpu = time.perf_counter(), time.process_time()
        seen = tracker(image, time_s)
        tracked = time.perf_counter()
        faces = smoother(time_s, seen.faces)
        smoothed, smoothed_cpu = time.perf_counter(), time.process_time()
        if model.card.schema is IBUG68:
            reader(time_s, seen.faces, image.shape[:2])
        read, read_cpu = time.perf_counter(), time.process_time()
        points_ms.append((1000 * (smoothed - start), 1000 * (smoothed_cpu - start_cpu)))
        whole_ms.append((1000 * (read - start), 1000 * (read_cpu - start_cpu)))
        taken = {"smooth": 1000 * (smoothed - tracked), "expression": 1000 * (read - smoothed)}
        for step, milliseconds in {**seen.milliseconds, **taken}.items():
            steps.setdefault(step, []).append(milliseconds)
        counts.append(len(faces))
        numbers |= {face.id for face in faces}
    return (
        {
            "frames": len(frames),
            "frames_with_face": float(np.mean(np.array(counts) > 0)),
            "most_faces": max(counts),
            "identities": len(numbers),
            "points": _both_clocks(points_ms),
            "whole": _both_clocks(whole_ms),
            "steps": {step: _percentiles(milliseconds) for step, milliseconds in steps.items()},
        },
        points_ms,
        whole_ms,
    )


def _steadiness(model: LoadedModel, frames: Sequence[Frame]) -> dict[str, Any]:
    """Trembling in % of the eye distance and lag in frames, with the filter on and off.

    Trembling is the standard deviation of each point over noisy copies of one frame. Lag is how far the
    face is behind when the whole frame moves sideways by one eye distance a second.
    """
    image = next((image for _, image in frames if Tracker(model)(image, 0.0).faces), None)
    if image is None:
        return {"trembling_percent": None, "lag_frames": None}
    rng = np.random.default_rng(0)
    noise = (rng.normal(0, _NOISE, (*image.shape[:2], 1)) for _ in range(_STILL_FRAMES))
    copies = (np.clip(np.round(image + grey), 0, 255).astype(np.uint8) for grey in noise)
    still = _points_of_one(model, copies)
    left, right = model.card.schema.normalising_pair
    eyes_px = float(np.linalg.norm(still[False][:, left] - still[False][:, right], axis=1).mean())

    step_px = eyes_px / _FPS
    places = step_px * (np.arange(_STILL_FRAMES) - _STILL_FRAMES / 2)
    moved = _points_of_one(model, (_moved_sideways(image, place) for place in places))
    settled = slice(_STILL_FRAMES // 3, None)
    behind = {on: still[False].mean(axis=0)[:, 0] + places[:, None] - points[..., 0] for on, points in moved.items()}
    deviations = {on: 100 * np.sqrt(points.var(axis=0).mean(axis=1)) / eyes_px for on, points in still.items()}
    names = {True: "filter_on", False: "filter_off"}
    return {
        "trembling_percent": {
            names[on]: {"mean": round(float(each.mean()), 3), "worst_point": round(float(each.max()), 3)}
            for on, each in deviations.items()
        },
        "lag_frames": {names[on]: round(float(each[settled].mean() / step_px), 2) for on, each in behind.items()},
    }


def _points_of_one(model: LoadedModel, images: Iterator[np.ndarray]) -> dict[bool, np.ndarray]:
    """(frames, k, 2) points of the first face of a video at 30 frames a second, filter on and off."""
    tracker, smoother = Tracker(model, TrackOptions(max_faces=1)), Smoother(SmoothOptions())
    points: dict[bool, list[np.ndarray]] = {True: [], False: []}
    for index, image in enumerate(images):
        faces = tracker(image, index / _FPS).faces
        if faces:
            points[False].append(faces[0].points_px)
            points[True].append(smoother(index / _FPS, faces)[0].points_px)
    if len(points[True]) < _STILL_FRAMES:
        raise FkdError(f"A still face was followed in only {len(points[True])} of {_STILL_FRAMES} copies of its frame.")
    return {on: np.array(each) for on, each in points.items()}


def _moved_sideways(image_rgb_u8: np.ndarray, pixels: float) -> np.ndarray:
    height, width = image_rgb_u8.shape[:2]
    shift = np.array([[1, 0, pixels], [0, 1, 0]])
    return cv2.warpAffine(image_rgb_u8, shift, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _detect(model: LoadedModel, frames: Sequence[Frame]) -> list[_Spent]:
    """What the usual way takes for some frames: detect, cut out, predict once."""
    pipeline, milliseconds = Pipeline(model, HaarOptions(closer=False), refinements=0), []
    for _, image in frames[:: max(1, len(frames) // _DETECTED_FRAMES)]:
        start, start_cpu = time.perf_counter(), time.process_time()
        pipeline(image)
        milliseconds.append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - start_cpu)))
    return milliseconds


def _mediapipe(python: Path, frames: Sequence[Frame]) -> tuple[list[_Spent], int]:
    """What MediaPipe's face mesh takes for each frame, and in how many it found a face."""
    with tempfile.TemporaryDirectory(prefix="fkd-bench-") as folder:
        stored = Path(folder) / "frames.npy"
        np.save(stored, np.stack([image for _, image in frames]))
        command = [str(python), "-c", _MEDIAPIPE, str(stored)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()[-1]
            raise FkdError(
                f"MediaPipe did not run with {python} ({said}); make an environment from requirements-bench.txt."
            ) from error
    milliseconds, found = json.loads(done.stdout.splitlines()[-1])
    return milliseconds, found


@contextmanager
def _one_core() -> Iterator[None]:
    """One thread for OpenCV and, where the system can, one core for this process and those it starts."""
    threads, cores = cv2.getNumThreads(), os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    cv2.setNumThreads(1)
    if cores:
        os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        if cores:
            os.sched_setaffinity(0, cores)


def _both_clocks(spent: Sequence[_Spent]) -> dict[str, float]:
    return {**_percentiles([wall for wall, _ in spent]), "cpu_p50_ms": round(_cpu_p50(spent), 2)}


def _cpu_p50(spent: Sequence[_Spent]) -> float:
    return float(np.median([cpu for _, cpu in spent]))


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    return {f"p{rank}_ms": round(float(np.percentile(milliseconds, rank)), 2) for rank in (50, 95, 99)}
