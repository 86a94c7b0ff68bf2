"""Single steps of a training that leaves nothing behind, for trials of its speed and of learning rates."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from fkd.progress import report
from fkd.training.batches import Batch
from fkd.training.config import TrainConfig
from fkd.training.loop import Trainer
from fkd.training.run import RunFolder


class Rehearsal(Trainer):
    """A trainer whose steps are asked for one by one, each at a learning rate of its own."""

    def __init__(self, config: TrainConfig, run: RunFolder, device: torch.device) -> None:
        super().__init__(config, run, device)
        self._rate = config.learning_rate
        self._batches = self._endless_batches()

    def step_at(self, rate: float) -> float:
        """Take one step; the loss before it, which may be no number."""
        self._rate = rate
        return self._step(next(self._batches), 0).item()

    def _learning_rate(self, step: int) -> float:
        return self._rate

    def _endless_batches(self) -> Iterator[Batch]:
        generator = torch.Generator(self.device).manual_seed(self.config.seed)
        self.network.train()
        while True:
            yield from self.train_faces.epoch(generator)


@contextmanager
def rehearsal(config: TrainConfig, device: str) -> Iterator[Rehearsal]:
    """A rehearsal of a training, in a folder that is deleted at the end."""
    report("reading the faces", 0.0)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        run.write_config(config.as_dict())
        yield Rehearsal(config, run, torch.device(device))
