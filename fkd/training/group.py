"""Several processes that train one network together, each on its share of every batch.

What they compute is what one process would: all draw the same batch and take their rows of it, batch
normalisation and losses count the rows of all, and dropout is drawn for all. The first process alone
writes; on several machines, all see the folder of runs.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from fkd.training.torchrun import MEETING, Place

_LONGEST_WAIT = timedelta(days=30)  # a run may wait in its queue for long
_ASKED, _FAILED = "fkd/run", "fkd/failed"
_TELLING_S = 3.0  # within which a process that fails has said why


class Stopped(BaseException):
    """The run was asked to stop; its last checkpoint stands.

    A signal raises it anywhere, also inside code that takes every `Exception` for a damaged file.
    """


class Group:
    """The processes of one training; alone, where there is only this one.

    Args:
        rank: number of this process, 0 the one that writes.
        size: number of all.
        store: what they tell each other by before they compute together.
    """

    def __init__(self, rank: int = 0, size: int = 1, store: dist.Store | None = None) -> None:
        self.rank, self.size, self.store = rank, size, store
        self.stop_asked = False

    def __deepcopy__(self, memo: dict) -> Group:
        return self  # copies of a network belong to the same group

    @property
    def leads(self) -> bool:
        """Whether this process writes."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """The part of n rows that is for this process."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of what each process gives; gradients flow to all of them."""
        return _SumOverGroup.apply(values) if self.size > 1 else values

    def mean(self, total: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        """`total` over the `count` of all processes, such that the mean of all processes' is the mean of all rows."""
        return total * self.size / self.sum(count).clamp_min(1)

    def all_agree(self, answer: bool) -> bool:
        """Whether the answer of every process is yes; asked by all at the same point."""
        if self.size == 1:
            return answer
        agreed = torch.tensor(float(answer))
        dist.all_reduce(agreed, dist.ReduceOp.MIN)
        return bool(agreed)

    def check(self) -> None:
        """Called by all at the same point: raises `Stopped` in all when one has been asked to stop."""
        if self.size == 1:
            if self.stop_asked:  # and what the signal's handler raised was lost, as Python loses it in a finalizer
                raise Stopped
            return
        asked = torch.tensor(float(self.stop_asked))
        dist.all_reduce(asked)
        if asked:
            raise Stopped

    def tell_run(self, name: str) -> None:
        """The first process lets the others begin."""
        if self.store is not None:
            self.store.set(_ASKED, name)

    def wait_for_run(self) -> str:
        """The name of the run, as soon as the first process has its turn."""
        assert self.store is not None
        self.store.wait([_ASKED], _LONGEST_WAIT)
        return self.store.get(_ASKED).decode()

    def tell_failure(self, reason: str) -> None:
        """Say why this process ends, for the first to write down."""
        if self.store is not None:
            with contextlib.suppress(RuntimeError):  # nobody is left to be told
                self.store.set(_FAILED, reason)

    def failure_of_others(self) -> str | None:
        """Why another process has ended; None when it could not say, as when it was killed."""
        ends = time.monotonic() + _TELLING_S
        while self.store is not None and time.monotonic() < ends:
            with contextlib.suppress(RuntimeError):
                if self.store.check([_FAILED]):
                    return self.store.get(_FAILED).decode()
            time.sleep(0.1)
        return None

    def prepare(self, network: nn.Module, batch_size: int) -> None:
        """Let normalisation and dropout inside a network see the batch of all processes, of `batch_size` rows."""
        if self.size == 1:
            return
        for parent in list(network.modules()):
            for name, layer in parent.named_children():
                if isinstance(layer, _BatchNorm):
                    setattr(parent, name, _GroupBatchNorm.of(layer, self))
                elif isinstance(layer, nn.Dropout):
                    setattr(parent, name, _GroupDropout(layer.p, self, batch_size))

    def average_gradients(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as it is called in training: its gradients become the mean of all processes'."""
        if self.size == 1:
            return network
        devices = [device] if device.type == "cuda" else None
        # Losses that are switched off leave heads without a gradient, in every step the same.
        return nn.parallel.DistributedDataParallel(network, device_ids=devices, static_graph=True)


def meet() -> Group:
    """The group that torchrun has put this process in; it can compute together only in `joined`."""
    store: dist.Store
    place = Place.here()
    if place and MEETING in os.environ:
        rank, size = place.rank, place.size
        store = dist.FileStore(os.environ[MEETING])
    else:
        store, rank, size = next(iter(dist.rendezvous("env://", timeout=_LONGEST_WAIT)))
    return Group(rank, size, dist.PrefixStore("fkd", store))


@contextlib.contextmanager
def joined(group: Group, device: torch.device) -> Iterator[None]:
    """Compute together: everything between happens in all processes of the group."""
    if group.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=group.store, rank=group.rank, world_size=group.size)
    with contextlib.suppress(Stopped):
        yield
        dist.destroy_process_group()
        return
    dist.destroy_process_group()
    raise Stopped


def is_of_others(error: Exception) -> bool:
    """Whether an error says only that another process has ended."""
    return isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


class _SumOverGroup(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, values: torch.Tensor) -> torch.Tensor:
        total = values.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: object, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _GroupBatchNorm(nn.BatchNorm2d):
    """Batch normalisation over the rows of all processes (torch's own does so on GPUs only)."""

    group: Group

    @classmethod
    def of(cls, layer: _BatchNorm, group: Group) -> _GroupBatchNorm:
        """The same parameters and statistics, with their names."""
        made = cls(layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats)
        made.group = group
        made._parameters, made._buffers = layer._parameters, layer._buffers
        return made.train(layer.training)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        dims = [dim for dim in range(values.ndim) if dim != 1]
        rows = values.new_tensor([values.numel() / self.num_features])
        sums = self.group.sum(torch.cat([values.sum(dims), rows]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        shape = (1, -1, *[1] * (values.ndim - 2))
        centred = values - mean.view(shape)
        variance = self.group.sum(centred.square().sum(dims)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(shape) + self.bias.view(shape)).to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


class _GroupDropout(nn.Dropout):
    """Dropout that is drawn for the whole batch, so that each row loses what it would in one process."""

    def __init__(self, p: float, group: Group, batch_size: int) -> None:
        super().__init__(p)
        self.group, self.batch_size = group, batch_size

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return input
        kept = input.new_empty(self.batch_size, *input.shape[1:]).bernoulli_(1 - self.p)
        return input * kept[self.group.rows(self.batch_size)] / (1 - self.p)
