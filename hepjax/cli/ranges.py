"""Ranges as users type them: ``low:high``, inclusive."""

from hepjax import InputError


def parse_range(name: str, text: str) -> tuple[float, float]:
    """The two numbers of ``low:high``.

    Raises:
      InputError: anything else, or a range whose end comes before its beginning.
    """
    low, colon, high = text.partition(":")
    try:
        values = float(low), float(high if colon else low)
    except ValueError:
        values = (1.0, 0.0)
    if not 0 < values[0] <= values[1] < float("inf"):
        raise InputError(f"{name}: expected LOW:HIGH with 0 < LOW <= HIGH, found {text!r}")
    return values
