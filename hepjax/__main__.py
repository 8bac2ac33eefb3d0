"""``python -m hepjax`` is the same as ``hepjax``."""

import sys

from hepjax.cli import main

if __name__ == "__main__":
    sys.exit(main())
