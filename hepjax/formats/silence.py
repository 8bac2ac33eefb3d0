"""Libraries that talk: TensorFlow Datasets prints on standard output, which holds our results."""

import contextlib
import io
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Without the prints and warnings of a library; errors are raised as they are."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
