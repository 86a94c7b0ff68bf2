"""What the Feature maps page computes, kept for as long as the same face and weights are looked at.

Results are kept by the weights' name and file time and by the crop's digest: arrays themselves are not hashed.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import Any

import numpy as np
import streamlit as st

from fkd import inspect
from fkd.runtime import Prediction
from fkd.ui.photos import shared_model, written_ns
from fkd.weights import TorchModel, load_torch_model

_KEPT: dict[str, Any] = {"show_spinner": False, "scope": "session"}


def torch_model(weights: str) -> TorchModel:
    """The network itself, shared by all sessions, which never change it."""
    return _torch_model(weights, written_ns(weights))


@st.cache_resource(show_spinner="Loading the network …", max_entries=8)
def _torch_model(weights: str, written_ns: int) -> TorchModel:
    return load_torch_model(weights)


class Look:
    """One face in one network.

    Args:
        weights: their name.
        crop_gray_u8: (s, s) uint8, as the network takes it.
    """

    def __init__(self, weights: str, crop_gray_u8: np.ndarray) -> None:
        self.weights, self.crop_gray_u8 = weights, crop_gray_u8
        self.model = torch_model(weights)
        self.key = (weights, written_ns(weights), hashlib.sha256(crop_gray_u8.tobytes()).hexdigest()[:16])

    @property
    def layers(self) -> list[inspect.Layer]:
        """The network's table; its times are of the first look at these weights."""
        return _layers(self.key[:2], self)

    def activations(self, layer: str) -> np.ndarray:
        """(c, h, w) or (c,) of a layer."""
        return _activations((*self.key, layer), self, layer)

    @property
    def points_px(self) -> np.ndarray:
        """(k, 2) predicted points in pixels of the crop."""
        return self._prediction.points_px[0]

    @property
    def point_scores(self) -> np.ndarray:
        """(k,) how sure the network is of each."""
        return self._prediction.point_scores[0]

    def grad_cam(self, keypoint: int) -> np.ndarray:
        """(s, s, 2) push along x and y from the last of the coarsest maps."""
        return _grad_cam((*self.key, keypoint), self, keypoint)

    @cached_property
    def _prediction(self) -> Prediction:
        return shared_model(self.weights).predict(self.crop_gray_u8[None])


@st.cache_data(max_entries=32, **_KEPT)
def _layers(key: tuple, _look: Look) -> list[inspect.Layer]:
    return inspect.layer_table(_look.model, _look.crop_gray_u8)


@st.cache_data(max_size="50MB", **_KEPT)
def _activations(key: tuple, _look: Look, layer: str) -> np.ndarray:
    return inspect.activations(_look.model, _look.crop_gray_u8, layer)


@st.cache_data(max_entries=32, **_KEPT)
def _grad_cam(key: tuple, _look: Look, keypoint: int) -> np.ndarray:
    return inspect.grad_cam(_look.model, _look.crop_gray_u8, keypoint)
