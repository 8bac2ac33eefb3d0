"""Where the YAML files that come with hepjax lie."""

from pathlib import Path


def configs() -> Path:
    """The folder ``configs``: inside the package in a wheel, beside it in a source checkout."""
    here = Path(__file__).resolve().parents[1]
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"
