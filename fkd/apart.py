"""Work in a process of its own, for pages: they stay responsive, and what the work held goes with its process.

result = run_apart(run_trial, config=config.as_dict(), device="cpu")

What the function reports through `fkd.progress` is reported here; a listener that raises, as a
`fkd.jobs.Job` that is stopped does, ends the process at once. Arguments and result travel as JSON
through its pipes, and a process that nobody listens to any more ends by itself.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from typing import IO, Any

from fkd.errors import FkdError
from fkd.paths import PROJECT_ROOT
from fkd.progress import listening, report

_PATIENCE_S = 0.2  # between two looks at whether the work shall stop
_ENDED = None


def run_apart(function: Callable[..., Any], **arguments: Any) -> Any:
    """What a function of some module returns for these arguments, computed in a process of its own.

    Raises:
        FkdError: the function raised it, or its process was ended from outside.
    """
    command = [sys.executable, "-m", "fkd.apart", f"{function.__module__}:{function.__qualname__}"]
    path = os.pathsep.join([str(PROJECT_ROOT), os.environ.get("PYTHONPATH", "")])
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, **pipes) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps(arguments))
            process.stdin.close()
            return _listen(process.stdout)
        finally:
            process.kill()


def _listen(stdout: IO[str]) -> Any:
    """Report what is said on the way, and return what is said at the end."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read_into, args=(lines, stdout), daemon=True).start()
    what, share = "starting", 0.0
    while True:
        report(what, share)
        try:
            line = lines.get(timeout=_PATIENCE_S)
        except queue.Empty:
            continue
        if line is _ENDED:
            raise FkdError("The work was ended before it was done; memory may have run out.")
        said = json.loads(line)
        if "error" in said:
            raise FkdError(said["error"])
        if "result" in said:
            return said["result"]
        what, share = said["what"], said["share"]


def _read_into(lines: queue.Queue[str | None], stdout: IO[str]) -> None:
    for line in stdout:
        lines.put(line)
    lines.put(_ENDED)


def main(target: str) -> None:
    """Call `module:function` with the arguments on standard input; reports and result go to standard output."""
    stdout = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no report

    def say(**said: Any) -> None:
        try:
            print(json.dumps(said), file=stdout, flush=True)
        except BrokenPipeError:  # nobody listens any more
            os._exit(1)

    module, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
        with listening(lambda what, share: say(what=what, share=share)):
            say(result=function(**json.load(sys.stdin)))
    except FkdError as error:
        say(error=str(error))
    except Exception as error:
        traceback.print_exc()
        say(error=f"This did not work, because of a {type(error).__name__}; the terminal of fkd says more.")


if __name__ == "__main__":
    main(sys.argv[1])
