"""Whether the environment lets jax start: the platform it asks for (cuda, tpu, ...), and flags."""

import importlib.util
import os
import re
import subprocess
import sys

from hepjax import InputError

VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
PLUGINS = {"cuda": ("jax_cuda13_plugin", "jax_cuda12_plugin"), "tpu": ("libtpu",)}
"""Packages that bring a platform."""
EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}


LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""How much XLA says; jax asks for 1, warnings, where nobody says otherwise."""
PARSE = "from jaxlib import xla_client; xla_client.CompileOptions()"
"""The least that makes XLA read its flags."""
SAID = re.compile(r"^[EF]\d{4} .*?\] (.*)$", re.MULTILINE)
"""Errors of XLA."""


def require_flags() -> None:
    """Refuse ``XLA_FLAGS`` that XLA cannot parse: it would end this process on the spot.

    A process of its own tries, and only where the variable is set.

    Raises:
      InputError: it ended.
    """
    if not os.environ.get(LOG_LEVEL, "1").strip().isdigit():
        os.environ[LOG_LEVEL] = "1"  # what XLA takes for 0: its log between our lines
    flags = os.environ.get("XLA_FLAGS", "").strip()
    if not flags:
        return
    command = [sys.executable, "-c", PARSE]
    tried = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    if tried.returncode and (said := SAID.search(tried.stderr)):
        raise InputError(
            f"XLA_FLAGS: expected flags that XLA knows, found {flags[:100]!r} ({said[1][:200]}); "
            "correct or unset it"
        )


def require_platform() -> None:
    """Start jax on the platform that was asked for.

    Raises:
      InputError: it is not here, or a variable of jax has no usable value.
    """
    try:
        import jax

        jax.devices()
    except Exception as error:
        if (said := unusable(error)) is not None:
            raise InputError(said) from error
        raise


def unusable(error: BaseException) -> str | None:
    """What to say of an error of jax that comes from its variables; None for other errors."""
    if refused := _refused(str(error)) or _refused_number(str(error)):
        found = os.environ.get(refused, "")[:100]
        return f"{refused}: expected another value, found {found!r}; unset it"
    variable = next((name for name in VARIABLES if os.environ.get(name)), None)
    if variable is None or not _not_here():
        return None
    asked = os.environ[variable]
    extras = [EXTRAS[name] for name in asked.lower().split(",") if name in EXTRAS]
    way_out = "unset it"
    if extras and _installed(extras[0]):
        way_out = "its package is installed, but no such device can be used; unset it"
    elif extras:
        way_out = f"pip install 'hepjax[{extras[0]}]', or unset it"
    here = ["cpu", *(name for name in PLUGINS if _installed(name) and name not in asked)]
    return (
        f"{variable}: expected a platform that is here ({', '.join(here)}), found {asked!r}; "
        f"{way_out}"
    )


def _refused(text: str) -> str | None:
    """The variable that an error of jax names."""
    found = re.search(r"for JAX flag (\w+)|for environment '(\w+)'", text)
    return found and (found[1] or found[2]).upper()


def _refused_number(text: str) -> str | None:
    """The variable of jax that has the value of which an error says that it is no number."""
    found = re.search(r"invalid literal for int\(\) with base 10: (.*)", text, re.DOTALL)
    variables = (name for name in os.environ if name.startswith("JAX_"))
    return next((n for n in variables if found and repr(os.environ[n]) == found[1]), None)


def platform_or_cpu() -> str | None:
    """Start jax on the platform that was asked for, or else on the CPU, for verbs that look only.

    Returns:
      what is wrong with the platform that was asked for; None if it is here.
    Raises:
      InputError: a variable of jax has no usable value.
    """
    try:
        require_platform()
    except InputError as error:
        if not str(error).startswith(VARIABLES):
            raise
        import jax

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_platform_name", "cpu")
        return str(error)
    return None


def _not_here() -> bool:
    """Whether jax cannot start as it was asked to."""
    import jax

    try:
        jax.devices()
    except Exception:
        return True
    return False


def _installed(platform: str) -> bool:
    return any(importlib.util.find_spec(name) is not None for name in PLUGINS[platform])
