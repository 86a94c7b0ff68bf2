"""The README's Python runs as it stands there."""

from __future__ import annotations

import re
from typing import Any

import skimage.data

from fkd.paths import PROJECT_ROOT


def test_the_python_of_the_readme_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT_ROOT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 2
    names: dict[str, Any] = {"image_rgb_u8": skimage.data.astronaut(), "time_s": 0.0}
    for block in blocks:
        exec(block, names)
    assert names["faces"][0].points_px.shape == (68, 2)
    assert names["crop"].shape == (128, 128)
