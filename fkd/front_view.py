"""What is measured on the 68 points of a face seen from the front: how far eyes and mouth are open.

Synthetic faces state these values as truth, and the live view tells them of the faces that it follows.
"""

from __future__ import annotations

import numpy as np


def measure_eyes(front_mm: np.ndarray) -> tuple[float, float]:
    """Opening of the subject's right and left eye, from the front view (68, 2), in any unit.

    Opening is the mean height between the two pairs of lid points (37 and 41, 38 and 40 on the
    right) over the width between the corners (36 and 39), heights along y and widths along x.
    """
    x, y = front_mm[:, 0], front_mm[:, 1]
    right = (y[41] - y[37] + y[40] - y[38]) / 2 / (x[39] - x[36])
    left = (y[47] - y[43] + y[46] - y[44]) / 2 / (x[45] - x[42])
    return float(right), float(left)


def measure_mouth(front_mm: np.ndarray) -> tuple[float, float]:
    """Mouth opening and mouth width, from the front view (68, 2), in any unit.

    Opening is the height between the inner lips (62 to 66) over the width of the mouth (48 to
    54); width is that width over the distance of the outer eye corners (36 to 45).
    """
    x, y = front_mm[:, 0], front_mm[:, 1]
    width = x[54] - x[48]
    return float((y[66] - y[62]) / width), float(width / (x[45] - x[36]))
