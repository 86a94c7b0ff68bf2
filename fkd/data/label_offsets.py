"""How far published labels lie beside what they name, so that mirroring does not hide it.

A network trained on mirrored pictures cannot learn a sideways offset of the labels: it sees it to
the right in one half and to the left in the other, and ends between them, off by the offset. So the
offset is taken back before a picture is mirrored and added after, and the network learns labels as
they are published. It shows in labels minus the mean of direct and mirrored-back predictions, which
has no side: `python -m fkd.calibrate`.
"""

from __future__ import annotations

import numpy as np

from fkd.data.dataset import Dataset

# To the right, in pixels of the source's pictures; sources that are not named have none. Measured on all folds but
# the first, with networks that were trained with 1.15, 0.7 and 0.2.
LABEL_OFFSETS_PX = {"youtube_faces": 1.27, "portraits68": 0.84, "kaggle": 0.32}


def label_offsets_px(dataset: Dataset) -> np.ndarray:
    """(n,) float32: the sideways offset of each row's labels in pixels of `images_u8`."""
    source_px = np.array([LABEL_OFFSETS_PX.get(source, 0.0) for source in dataset.sources])
    return (source_px / np.hypot(dataset.to_source[:, 0, 0], dataset.to_source[:, 1, 0])).astype(np.float32)
