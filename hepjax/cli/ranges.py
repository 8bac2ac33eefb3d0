"""Numbers as users type them: seeds, and ranges ``low:high``, inclusive."""

from hepjax import InputError


def check_seed(seed: int | None) -> None:
    """The one rule for the ``--seed`` of all verbs, that of ``train.seed``.

    Raises:
      InputError: outside of it.
    """
    from hepjax.engine.bounds import require_seed

    if seed is not None:
        require_seed("--seed", seed)


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


def parse_list(name: str, text: str) -> tuple[float, ...]:
    """The positive numbers of ``a,b,...``.

    Raises:
      InputError: anything else.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = (0.0,)
    if not all(0 < value < float("inf") for value in values):
        raise InputError(f"{name}: expected LOW:HIGH or positive numbers A,B,..., found {text!r}")
    return values
