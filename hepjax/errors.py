"""The errors hepjax raises on purpose; every other exception that reaches a user is a bug.

The command line turns each into one line on standard error and its exit code. The text reads
``<file, key or setting>: expected ..., found ...; <the way out>``.
"""


class HepjaxError(Exception):
    """Base class: one line for the user and the exit code of the command."""

    exit_code = 1


class InputError(HepjaxError, ValueError):
    """The user's input or configuration cannot be used as it is."""

    exit_code = 2


class MissingExtraError(InputError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature}: needs an optional package; pip install 'hepjax[{extra}]'")


class TrainingError(HepjaxError):
    """Training went wrong (non-finite loss, dead generator); the last good checkpoint is kept."""

    exit_code = 3
