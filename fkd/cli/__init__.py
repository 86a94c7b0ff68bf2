"""`python -m fkd COMMAND`: exit 0 on success, 2 on wrong use, 1 on failure with one clear line.

Each module of this package is a command: `HELP`, `add_arguments(parser)` and `run(args)`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

from fkd.errors import FkdError

COMMANDS = ("predict", "train", "runs", "evaluate", "promote", "data", "bench", "doctor")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit status."""
    chosen = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser(prog="python -m fkd", description="Facial keypoint detection.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name in COMMANDS:
        module = importlib.import_module(f"fkd.cli.{name}")
        command = commands.add_parser(name, help=module.HELP, description=module.HELP)
        if name in chosen[:1]:  # the arguments of the others may need libraries that this one does without
            module.add_arguments(command)
            command.set_defaults(run_command=module.run)  # "run" is a flag of train
    args = parser.parse_args(chosen)
    try:
        return args.run_command(args)
    except FkdError as error:
        print(f"fkd: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fkd: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
