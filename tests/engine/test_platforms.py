"""Variables that keep jax or XLA from starting: named in one line, none of them a bug."""

import os

import pytest

from hepjax import InputError
from hepjax.engine import platforms


def test_flags_that_xla_knows_are_not_refused(monkeypatch):
    for flags in ("", " ", "--xla_force_host_platform_device_count=2"):
        monkeypatch.setenv("XLA_FLAGS", flags)
        platforms.require_flags()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--xla_nonsense=1", r"'--xla_nonsense=1' \(Unknown flag in XLA_FLAGS"),
        ("no-such-file", r"'no-such-file' \(Could not open file"),
        ("--xla_force_host_platform_device_count=x", "interpret value x for flag"),
    ],
)
def test_flags_that_xla_would_end_the_process_for(flags, said, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", flags)
    with pytest.raises(InputError, match=rf"^XLA_FLAGS: expected flags .* found .*{said}.* unset"):
        platforms.require_flags()


@pytest.mark.parametrize(
    ("variable", "value", "error"),
    [
        ("JAX_DEBUG_NANS", "maybe", "invalid truth value 'maybe' for environment 'JAX_DEBUG_NANS'"),
        ("JAX_NUM_CPU_DEVICES", "abc", 'Invalid value "abc" for JAX flag jax_num_cpu_devices'),
        ("JAX_TRACEBACK_IN_LOCATIONS_LIMIT", "q", "invalid literal for int() with base 10: 'q'"),
    ],
)
def test_values_that_jax_refuses(variable, value, error, monkeypatch):
    for name in platforms.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    said = f"{variable}: expected another value, found {value!r}; unset it"
    assert platforms.unusable(ValueError(error)) == said


def test_other_errors_are_none_of_jax(monkeypatch):
    for name in platforms.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert platforms.unusable(ValueError("invalid literal for int() with base 10: 'x'")) is None
    assert platforms.unusable(KeyError("energy")) is None


def test_a_level_of_logs_that_is_none_says_nothing(monkeypatch):
    for found, kept in (("a=b", "1"), ("", "1"), ("0", "0"), ("2", "2")):
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", found)
        platforms.require_flags()
        assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == kept
