"""Whether the platform that the environment asks jax for (cuda, tpu, ...) is here."""

import importlib.util
import os
import re

from hepjax import InputError

VARIABLES = ("JAX_PLATFORMS", "JAX_PLATFORM_NAME")
PLUGINS = {"cuda": ("jax_cuda13_plugin", "jax_cuda12_plugin"), "tpu": ("libtpu",)}
"""Packages that bring a platform."""
EXTRAS = {"cuda": "cuda", "gpu": "cuda", "tpu": "tpu"}


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
    flag = re.search(r'[Ii]nvalid value "(.*)" for JAX flag (\w+)', str(error))
    if flag:
        return f"{flag[2].upper()}: expected another value, found {flag[1]!r}; unset it"
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
