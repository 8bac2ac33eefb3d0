"""``python -m hepjax`` is the same as ``hepjax``: this module is the start of both.

From here on a signal ends the process without a traceback: before the command line, which hears of
them itself, is imported.
"""

import sys

from hepjax.engine import signals


def main() -> int:
    """Run the command of this process; its exit code."""
    signals.at_start()
    from hepjax import cli

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
