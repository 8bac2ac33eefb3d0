"""Reports whose figures are not looked at."""

import base64
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hepjax.report import layout

BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
)
"""A picture of one pixel."""


@contextmanager
def undrawn() -> Iterator[None]:
    """Figures are made and a blank picture is written in their place.

    Rendering takes most of the time of a report. For tests of something else, where another test
    has the same figures rendered.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layout, "png", lambda figure, dpi=None: BLANK)
        yield
