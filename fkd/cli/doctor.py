"""`python -m fkd doctor`: what fkd has here, what is missing, and how to get it."""

from __future__ import annotations

import argparse
import platform
from collections.abc import Iterator
from importlib import metadata

from fkd.errors import FkdError

HELP = "check libraries, cascades, devices, data and weights"

# A finding: whether it is well, whether the app needs it, what it is about, and what was found.
Finding = tuple[bool, bool, str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """There are no flags."""


def run(args: argparse.Namespace) -> int:
    """Print the findings; 0 if the app can run, 1 if something it needs is missing."""
    import fkd

    print(f"fkd {fkd.__version__}, Python {platform.python_version()}, {platform.platform()}")
    able = True
    for well, needed, subject, found in findings():
        able &= well or not needed
        print(f"{'ok' if well else 'MISSING' if needed else 'absent':8} {subject:10} {found}")
    print("The app can run: make app" if able else "The app cannot run yet; see what is MISSING above.")
    return 0 if able else 1


def findings() -> Iterator[Finding]:
    """Everything that is checked, in the order in which it would be mended."""
    checks = {"library": _libraries, "cascade": _cascades, "device": _devices, "weights": _weights, "data": _data}
    for subject, check in checks.items():
        try:
            yield from check()
        except (FkdError, ImportError) as error:
            yield False, True, subject, str(error)


def _libraries() -> Iterator[Finding]:
    from fkd.paths import PROJECT_ROOT

    wanted = [line.split("==") for line in (PROJECT_ROOT / "requirements.txt").read_text().split() if "==" in line]
    remedy = "pip install -r requirements.txt"
    for name, pinned in wanted:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            yield False, True, "library", f"{name} is not installed: {remedy}"
            continue
        same = version.split("+")[0] == pinned  # 2.13.0+cpu is a build of 2.13.0
        yield True, True, "library", f"{name} {version}" + ("" if same else f"; tried with {pinned}: {remedy}")


def _cascades() -> Iterator[Finding]:
    from fkd.pipeline.detect import CASCADES, load_cascade

    for name in CASCADES:
        load_cascade(name)
    yield True, True, "cascade", ", ".join(CASCADES)


def _devices() -> Iterator[Finding]:
    import torch

    threads = torch.get_num_threads()
    yield True, True, "device", f"cpu with {threads} {'thread' if threads == 1 else 'threads'}"
    for index in range(torch.cuda.device_count()):
        memory_gib = torch.cuda.get_device_properties(index).total_memory / 2**30
        yield True, False, "device", f"cuda:{index}, {torch.cuda.get_device_name(index)}, {memory_gib:.0f} GiB"
    if not torch.cuda.is_available():
        yield False, False, "device", "no CUDA GPU; one makes training faster and is not needed otherwise"


def _weights() -> Iterator[Finding]:
    from fkd.weights import list_weights, onnx_hindrance, read_card, weights_root

    names = list_weights()
    if not names:
        remedy = "fetch the project's weights/, or train: python -m fkd train --help"
        yield False, True, "weights", f"none in {weights_root()}: {remedy}"
    for name in names:
        try:
            card = read_card(name)
            yield True, True, "weights", f"{name}: {card.schema.name}, {card.input_size} px, {card.model}"
            if hindrance := onnx_hindrance(name):
                yield False, False, "weights", hindrance
        except FkdError as error:
            yield False, True, "weights", str(error)


def _data() -> Iterator[Finding]:
    from fkd.data import check_names, dataset_names, is_drawn, layout_of
    from fkd.paths import data_root

    for name in dataset_names():
        folder = data_root() / name
        try:
            check_names(name)
            place = "made on demand" if is_drawn(name) else f"{layout_of(folder)}, {folder}"
            yield True, False, "data", f"{name}: {place}"
        except FkdError as error:
            yield False, False, "data", f"{name}: {error}"
