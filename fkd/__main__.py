"""`python -m fkd COMMAND`."""

import sys

from fkd.cli import main

sys.exit(main())
