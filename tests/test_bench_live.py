"""`python -m fkd bench live`: what it reports of a clip, and what it says without one."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import cv2
import pytest

from fkd.bench.live import measure
from fkd.errors import FkdError
from tests.scenes import actor, scene


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one short clip of one synthetic person, and a file that is no clip."""
    folder, person = tmp_path_factory.mktemp("clips"), actor(1)
    with av.open(str(folder / "walk.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.height, stream.width, stream.bit_rate = 360, 480, 4_000_000
        for i in range(6):
            frame = av.VideoFrame.from_ndarray(scene((person, 200 + 4.0 * i, 180)), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (folder / "notes.txt").write_text("no clip", encoding="utf-8")
    return folder


def test_a_clip_is_measured(clips: Path) -> None:
    threads = cv2.getNumThreads()
    result = measure(clips)
    row = result["clips"]["walk.mp4"]
    assert list(result["clips"]) == ["walk.mp4"]
    assert (row["frames"], row["frames_with_face"], row["identities"]) == (6, 1.0, 1)
    assert set(row["steps"]) == {"gray", "search", "crop", "predict", "match", "smooth", "expression"}
    assert all(0 < step["p50_ms"] <= step["p95_ms"] <= step["p99_ms"] for step in row["steps"].values())
    assert row["whole"]["p50_ms"] > row["points"]["p50_ms"] > 0
    assert result["fkd_with_heads_and_blinks"]["cpu_p50_ms"] > 0
    assert row["trembling_percent"]["filter_on"]["mean"] < row["trembling_percent"]["filter_off"]["mean"]
    assert 0 < row["lag_frames"]["filter_on"] < 2
    assert abs(row["lag_frames"]["filter_off"]) < 0.5
    assert result["ratio"] > 0
    assert "detecting in every frame" in result["headline"]
    assert cv2.getNumThreads() == threads


def test_a_folder_without_clips_is_told(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FkdError, match="--clips DIR"):
            measure(folder)


def test_a_python_without_mediapipe_is_told(clips: Path) -> None:
    with pytest.raises(FkdError, match=r"No module named 'mediapipe'.*requirements-bench.txt"):
        measure(clips, mediapipe=Path(sys.executable))
