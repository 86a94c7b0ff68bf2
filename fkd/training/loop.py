"""The training loop: one process, one device, exact to resume at any epoch."""

from __future__ import annotations

import contextlib
import copy
import io
import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import nn

from fkd.errors import FkdError
from fkd.models import KeypointNetwork, check_model, create_model
from fkd.training.batches import Batch, FaceBatches
from fkd.training.config import TrainConfig
from fkd.training.faces import RunFaces, load_faces
from fkd.training.group import Group, Stopped, is_of_others, joined
from fkd.training.objective import total_loss
from fkd.training.progress import Progress
from fkd.training.provenance import versions
from fkd.training.run import RunFolder
from fkd.training.start import start_from
from fkd.training.usage import peak_memory_mb
from fkd.training.validation import Validation
from fkd.weights import Card, save_weights

_SEE_LOG = "; see log.txt"
_GIVING_UP_S = 25.0  # after 30 torchrun kills


def train(
    config: TrainConfig, run: RunFolder, device: str = "cpu", resume: bool = False, group: Group | None = None
) -> None:
    """Train to the end of the schedule, or until asked to stop (SIGINT, SIGTERM).

    Args:
        config: what to train; written to the run's config.json by the caller.
        run: the folder that takes everything.
        device: torch device name.
        resume: go on from the run's checkpoint where there is one.
        group: the processes that train together, of which the first writes; this one alone without it.

    Raises:
        FkdError: data missing or changed, the loss no longer a number, or memory or disk full; the run says why.
    """
    group = group or Group()
    with _stop_on_signals(group, run):
        try:
            with joined(group, torch.device(device)):
                trainer = Trainer(config, run, torch.device(device), group)
                trainer.begin(resume)
                trainer.run_epochs()
        except Stopped:
            if group.leads:
                run.write_end("stopped", "stopped; the run can be resumed from its last complete epoch")
        except Exception as error:
            group.stop_asked = True  # torchrun stops the others of a group as soon as one has ended
            _end_as_failed(error, config, run, group)


def _end_as_failed(error: Exception, config: TrainConfig, run: RunFolder, group: Group) -> NoReturn:
    """Write down why the run ends, or have the first process do so, and raise that."""
    reason = _in_one_sentence(error, config, run, group)
    if group.leads:
        run.write_failure(reason, traceback.format_exc() if reason.endswith(_SEE_LOG) else reason)
    else:
        group.tell_failure(reason)
    if isinstance(error, FkdError) or reason.endswith(_SEE_LOG):
        raise error
    raise FkdError(reason) from error


def _in_one_sentence(error: Exception, config: TrainConfig, run: RunFolder, group: Group) -> str:
    """What happened and what to try, for the run's status."""
    if isinstance(error, FkdError):
        return str(error)
    if is_of_others(error):
        silent = f"One of the {group.size} processes has ended without a word, as if it was killed; resume the run."
        return (group.failure_of_others() if group.leads else None) or silent
    if isinstance(error, OSError):
        return _about_a_file(error, run)
    text = (str(error).strip() or "no message").splitlines()[0]
    # Torch's allocator for the CPU says so in words only.
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in text:
        smaller = max(config.batch_size // 2, 2)
        return f"Memory ran out with batches of {config.batch_size} faces; try batch_size={smaller}."
    if config.compile and type(error).__module__.startswith("torch._"):
        return f"The network cannot be compiled here ({text}); try compile=false."
    return f"{type(error).__name__}: {text}{_SEE_LOG}"


def _about_a_file(error: OSError, run: RunFolder) -> str:
    """A write that fails for want of space names no file, so what names none is taken for one of the run's own."""
    named = error.filename
    if isinstance(named, str | os.PathLike) and not Path(named).is_relative_to(run.path):
        return f"{named} cannot be read ({error.strerror}); see that it is there and readable, then resume."
    return f"The run's folder {run.path} cannot be written ({error.strerror}); free some space, then resume."


class Trainer:
    """All state of a training; `load_checkpoint` restores it exactly."""

    def __init__(self, config: TrainConfig, run: RunFolder, device: torch.device, group: Group | None = None) -> None:
        self.config, self.run, self.device, self.group = config, run, device, group or Group()
        torch.manual_seed(config.seed)
        faces = load_faces(config, run)
        self.schema = faces.train.schema
        check_model(config.model, len(self.schema), config.input_size, **config.model_args)
        network = create_model(config.model, len(self.schema), config.input_size, **config.model_args)
        self.start = start_from(network, config)
        if self.start:
            faces.made_with["start"] = self.start.as_dict()
        self._record(faces)
        self.faces = faces
        self.train_faces = FaceBatches(faces.train, config, device)
        self.validation = Validation(faces.validation, config, device, self.group)
        self.batch_size = min(config.batch_size, len(faces.train))
        if self.batch_size < self.group.size:
            raise FkdError(f"{self.group.size} processes cannot share batches of {self.batch_size} faces; take fewer.")
        self.group.prepare(network, self.batch_size)
        self.network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        called: Any = torch.compile(self.network) if config.compile else self.network
        self.forward = self.group.average_gradients(called, device)
        self.average = RunningMean(self.network, config.ema) if config.ema else None
        self.optimizer = _make_optimizer(self.network, config)
        self.steps = config.epochs * len(self.train_faces)
        self.dtype = compute_dtype(config.precision, device, self.group)
        # Small gradients would vanish in fp16, so the loss is scaled up and they are scaled back.
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.epoch, self.best, self.best_epoch = 0, math.inf, 0
        self.seconds = 0.0

    def _record(self, faces: RunFaces) -> None:
        """Keep what the run is made with; a resumed one must have the faces it was started with."""
        before = self.run.read_made_with()
        if before and before["data_hash"] != faces.made_with["data_hash"]:
            raise FkdError(f"The faces of {self.config.data} have changed since the run was started; start a new run.")
        if before and before.get("start", {}).get("digest") != faces.made_with.get("start", {}).get("digest"):
            raise FkdError(f"{self.config.start_from} has changed since the run was started; start a new run.")
        if self.group.leads:
            faces.write(self.run)
            self.run.write_config(self.config.as_dict(), faces.made_with)

    def begin(self, resume: bool) -> None:
        """Go on from the checkpoint where that is asked for and there is one, else start anew."""
        anew = not (resume and self.run.checkpoint.exists())
        if not anew:
            self.load_checkpoint()
        elif self.group.leads:
            self.run.cut_metrics(0)  # a run killed before its first checkpoint may have left a line
            if self.start:
                self.run.log(self.start.sentence)
                print(f"{self.run.name} {self.start.sentence}", flush=True)
        self.group.check()  # nobody writes before all have read
        if anew and self.start and self.start.is_whole:
            self._measure_start()

    def _measure_start(self) -> None:
        """Epoch 0: what the weights can that it starts from, so that they are kept where training makes them worse."""
        measured = self.validation.measure(self.averaged_network)
        record = {"epoch": 0, "step": 0, "learning_rate": self._learning_rate(0), **measured.figures(), "seconds": 0.0}
        self.best = record["validation_nme"]
        if self.group.leads:
            self.validation.write_samples(self.run.samples, 0, measured)
            self._finish_epoch(record)

    def run_epochs(self) -> None:
        """Train from the current epoch to the last, or until the validation faces show no more progress."""
        with Progress(
            self.run,
            self.device,
            batch_size=self.batch_size,
            epoch_steps=len(self.train_faces),
            epochs=self.config.epochs,
            done=self.epoch,
            seconds=self.seconds,
            silent=not self.group.leads,
        ) as progress:
            while self.epoch < self.config.epochs and not self._out_of_patience():
                self._run_epoch(progress)
        if self.group.leads:
            self.run.write_status("finished", **self._so_far())

    def _so_far(self) -> dict[str, Any]:
        best = self.best if math.isfinite(self.best) else None
        return {"epoch": self.epoch, "epochs": self.config.epochs, "validation_nme": best}

    def _out_of_patience(self) -> bool:
        return 0 < self.config.patience <= self.epoch - self.best_epoch

    def _run_epoch(self, progress: Progress) -> None:
        progress.start_epoch(self._so_far())
        losses = self._train_one_epoch(progress)
        images_per_s = progress.end_steps()
        self.seconds = progress.seconds
        measured = self.validation.measure(self.averaged_network)
        record: dict[str, Any] = {
            "epoch": self.epoch + 1,
            "step": progress.step,
            "learning_rate": self._learning_rate(progress.step),
            "train_loss": float(np.mean(losses)),
            **measured.figures(),
            "images_per_s": round(images_per_s, 1),
            "seconds": round(self.seconds, 1),
            "memory_mb": peak_memory_mb(self.device),
        }
        self.epoch += 1
        if record["validation_nme"] < self.best:
            self.best, self.best_epoch = record["validation_nme"], self.epoch
        if self.group.leads:
            self.validation.write_samples(self.run.samples, self.epoch, measured)
            self._finish_epoch(record)
        progress.end_epoch(record, self._so_far())

    def _train_one_epoch(self, progress: Progress) -> list[float]:
        # Seeded anew each epoch, so that a resumed run draws what an uninterrupted one would.
        seed = self.config.seed * 100_003 + self.epoch
        torch.manual_seed(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        self.network.train()
        losses: list[float] = []
        unread: list[torch.Tensor] = []
        for batch in self.train_faces.epoch(generator, self.epoch):
            self.group.check()
            unread.append(self._step(batch.part(self.group.rows(len(batch))), progress.step))
            progress.count()
            # A GPU is not waited for in each step.
            if self.device.type != "cuda" or progress.is_due:
                losses += self._read(unread, progress.step)
            if progress.is_due:
                progress.tell(losses, self._learning_rate(progress.step))
        return losses + self._read(unread, progress.step)

    @staticmethod
    def _read(unread: list[torch.Tensor], step: int) -> list[float]:
        """The losses of the last steps, which are taken off the list; `FkdError` for one that is no number."""
        values = torch.stack(unread).tolist() if unread else []
        unread.clear()
        for i, value in enumerate(values):
            if not math.isfinite(value):
                at = step - len(values) + i
                raise FkdError(f"The loss is {value} at step {at}; try a lower learning rate or precision=fp32.")
        return values

    def _step(self, batch: Batch, step: int) -> torch.Tensor:
        """Learn from this process's part of a batch; the loss is that of the whole."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(step)
        images, *styles = batch.inputs
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output = self.forward(images, *styles)
        loss = total_loss(output, batch, self.config, self.schema, self.group.mean)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if self.config.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average:
            self.average.update(self.network, step)
        return self.group.sum(loss.detach()) / self.group.size

    def _learning_rate(self, step: int) -> float:
        highest, warm_up = self.config.learning_rate, self.config.warm_up * self.steps
        if self.config.schedule == "constant":
            return highest
        if step < warm_up:
            return highest * (0.05 + 0.95 * step / warm_up)
        return highest * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(self.steps - warm_up, 1)))

    @property
    def averaged_network(self) -> KeypointNetwork:
        """The network that is measured and kept."""
        return self.average.network if self.average else self.network

    def _finish_epoch(self, record: dict[str, Any]) -> None:
        """Weights, then metrics, then the checkpoint that knows how long the metrics are."""
        if record["epoch"] == self.best_epoch:
            save_weights(self.run.weights, self.averaged_network, self._card())
        if self.config.keep_every and record["epoch"] % self.config.keep_every == 0:
            save_weights(self.run.snapshot(record["epoch"]), self.averaged_network, self._card())
        metrics_length = self.run.append_metrics(record)
        self.run.log(" ".join(f"{key}={value:.5g}" for key, value in record.items() if value is not None))
        state = {
            "epoch": self.epoch,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "metrics_length": metrics_length,
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        self.run.write_checkpoint(_as_bytes(state))

    def load_checkpoint(self) -> None:
        """Restore the state at the end of the last complete epoch."""
        try:
            state = torch.load(self.run.checkpoint, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            if self.average:
                self.average.network.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            if scaler := state.get("scaler"):  # empty where the run has not scaled its loss so far
                self.scaler.load_state_dict(scaler)
        except Exception as error:  # damaged files raise many kinds
            best = f", from its best weights with start_from=run:{self.run.name}" if self.run.weights.exists() else ""
            raise FkdError(f"{self.run.checkpoint} is damaged ({error}); start a new run{best}.") from None
        self.epoch, self.best, self.seconds = state["epoch"], state["best"], state["seconds"]
        self.best_epoch = state.get("best_epoch", self.epoch)
        if self.group.leads:
            self.run.cut_metrics(state["metrics_length"])
            self.run.log(f"resumed after epoch {self.epoch}")

    def _card(self) -> Card:
        config = self.config
        return Card(
            name=self.run.name,
            schema=self.schema,
            model=config.model,
            model_args=config.model_args,
            input_size=config.input_size,
            crop=config.crop,
            training={
                "recipe": config.recipe,
                "config": config.as_dict(),
                "epoch": self.epoch,
                "minutes": round(self.seconds / 60, 1),
                "date": time.strftime("%Y-%m-%d"),
                "versions": versions(),
                **({"start": self.start.as_dict()} if self.start else {}),
            },
        )


def _as_bytes(state: dict[str, Any]) -> memoryview:
    """What `torch.save` makes; written to a file by itself it would not say that a disk is full."""
    file = io.BytesIO()
    torch.save(state, file)
    return file.getbuffer()


class RunningMean:
    """Exponential moving average of a network's parameters and statistics (Polyak averaging)."""

    def __init__(self, network: KeypointNetwork, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: KeypointNetwork, step: int) -> None:
        """Move towards `network`; faster in the first steps, when the mean is still of noise."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for mean, current in zip(self.network.state_dict().values(), network.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(current, weight)
            else:
                mean.copy_(current)


def _make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    if config.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), config.learning_rate)
    # Norms and biases are not decayed.
    decayed = [p for p in network.parameters() if p.ndim > 1]
    free = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, config.learning_rate)


def compute_dtype(precision: str, device: torch.device, group: Group | None = None) -> torch.dtype:
    """The number format asked for; `auto` takes bf16 where there are instructions for it, else fp16 on a GPU.

    Processes of a group take the same: scaled gradients and unscaled ones have no common mean.
    """
    if precision == "auto":
        half = torch.float16 if device.type == "cuda" else torch.float32
        return torch.bfloat16 if (group or Group()).all_agree(computes_bf16(device)) else half
    return {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}[precision]


def computes_bf16(device: torch.device) -> bool:
    """Whether the device has instructions for bf16, so that it is faster than fp32."""
    if device.type == "cuda":
        with torch.cuda.device(device):  # torch answers for the current one
            return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(getattr(torch.cpu, check, lambda: False)() for check in checks)
    return False


@contextlib.contextmanager
def _stop_on_signals(group: Group, run: RunFolder) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into `Stopped`, in a group at the next point where all agree; handlers are put back."""

    def stop(signum: int, frame: object) -> None:
        if group.stop_asked:
            return
        group.stop_asked = True
        if group.size == 1:
            raise Stopped
        last_resort.start()

    def give_up() -> None:
        """Torchrun kills what does not end; a GPU that waits for a dead process never would."""
        if group.leads:
            reason = "Another process of the run does not answer; resume the run."
            run.write_failure(group.failure_of_others() or reason, reason)
        os._exit(1)

    last_resort = threading.Timer(_GIVING_UP_S, give_up)
    last_resort.daemon = True
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        last_resort.cancel()
        for number, handler in before.items():
            signal.signal(number, handler)
