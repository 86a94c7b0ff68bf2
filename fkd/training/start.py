"""Starting from trained weights: a network keeps what another has learnt, with other faces or settings.

What a weight has seen goes with it. A run whose held-out faces were seen by the weights it starts from,
or by those that they started from, is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fkd.errors import FkdError
from fkd.models import KeypointNetwork
from fkd.runtime import TorchModel
from fkd.training.config import TrainConfig
from fkd.weights import find_weights, load_torch_model

_MOST = 0.5  # what takes less than this share of its numbers starts almost anew


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        weights: as `start_from` names them.
        digest: of the file, by which it is known again.
        taken: share of the network's numbers that come from it; the others are drawn anew.
        training: how those weights were trained.
    """

    weights: str
    digest: str
    taken: float
    training: dict[str, Any]

    @property
    def is_whole(self) -> bool:
        """Whether all of the network comes from it, which then is as good as those weights before the first step."""
        return self.taken == 1

    @property
    def sentence(self) -> str:
        """How much was taken, for who watches the training."""
        told = f"starts from {self.weights}, with {100 * self.taken:.3g} % of its numbers from there"
        return told if self.taken > _MOST else f"{told}: hardly a start, as the networks differ; see model_args"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for the card of what comes of it."""
        return dict(vars(self))


def start_from(network: KeypointNetwork, config: TrainConfig) -> Start | None:
    """Give a fresh network the numbers of `config.start_from` wherever name and shape are the same.

    Returns:
        What was taken; None where the configuration names no weights.

    Raises:
        FkdError: as `find_start`.
    """
    model = find_start(config)
    if model is None:
        return None
    own, given = network.state_dict(), model.network.state_dict()
    fitting = {key: value for key, value in given.items() if key in own and own[key].shape == value.shape}
    network.load_state_dict(own | fitting)
    share = sum(value.numel() for value in fitting.values()) / sum(value.numel() for value in own.values())
    digest = hashlib.sha256(find_weights(config.start_from).read_bytes()).hexdigest()[:16]
    return Start(config.start_from, digest, round(share, 4), model.card.training)


def find_start(config: TrainConfig) -> TorchModel | None:
    """The weights that a training with these settings starts from; None where they name none.

    Raises:
        FkdError: unknown or damaged weights, those of another kind of network, or of one that was trained on faces
            which this run holds out.
    """
    if not config.start_from:
        return None
    model = load_torch_model(config.start_from)
    for known in trained_with(model.card.training):
        _check_split(known, config)
    if model.card.model != config.model:
        raise FkdError(
            f"{config.start_from} is a {model.card.model!r} network, not {config.model!r}; start from others."
        )
    return model


def trained_with(training: dict[str, Any]) -> Iterator[TrainConfig]:
    """The settings of weights, of the weights that they started from, and so on; `training` is from a card."""
    while training:
        if training.get("config"):
            yield TrainConfig.from_dict(training["config"])
        training = training.get("start", {}).get("training", {})


def _check_split(known: TrainConfig, config: TrainConfig) -> None:
    shared = sorted(set(known.data.split("+")) & set(config.data.split("+")))
    wanted = {name: value for name, value in known.split_settings().items() if getattr(config, name) != value}
    if list(wanted) == ["fold"] and config.fold < 0:  # holds out nothing, and watches the faces that these watched too
        return
    if shared and wanted:
        same = " ".join(f"{name}={value}" for name, value in wanted.items())
        raise FkdError(
            f"{config.start_from} has learnt from faces of {', '.join(shared)} that this run would hold out; "
            f"take the same split (--set {same}), or start from other weights."
        )
