"""`python -m fkd COMMAND`."""

import os
import sys

from fkd.cli import main

status = main()
if "LOCAL_RANK" in os.environ:  # one of several processes that train together
    # The threads by which they talk may let go of tensors while the interpreter is taken down, which would abort it.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
sys.exit(status)
