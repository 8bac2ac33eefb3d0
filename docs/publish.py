"""Put the site that ``make site`` made beside those of other versions.

    python -m docs.publish SITE

The folder SITE gets one of the name of the version, ``stable`` with a copy of the newest,
``versions.json``, from which every page offers the others, and a first page that leads to
``stable``. It is what a web server shows as it is.
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from hepjax import __version__

BUILT = Path(__file__).parents[1] / "build" / "site"
VERSION = re.compile(r"\d+\.\d+\.\d+")
FIRST = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>hepjax</title>
<meta http-equiv="refresh" content="0; url=stable/">
<p><a href="stable/">hepjax</a></p>
</html>
"""


def publish(built: Path, site: Path, version: str) -> list[str]:
    """Add a built site, in place of one of the same version; all versions, newest first.

    Raises:
      ValueError: nothing was built, or no version of a release.
    """
    if not (built / "index.html").is_file():
        raise ValueError(f"{built}: expected a site, found none; make site")
    if not VERSION.fullmatch(version):
        raise ValueError(f"version: expected MAJOR.MINOR.PATCH, found {version}")
    site.mkdir(parents=True, exist_ok=True)
    _copy(built, site / version)
    versions = [path.name for path in site.iterdir() if VERSION.fullmatch(path.name)]
    versions.sort(key=lambda name: [int(part) for part in name.split(".")], reverse=True)
    _copy(site / versions[0], site / "stable")
    (site / "versions.json").write_text(json.dumps(versions) + "\n")
    (site / "index.html").write_text(FIRST)
    return versions


def _copy(source: Path, place: Path) -> None:
    """Copy a folder beside its place first, so that it is there whole."""
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, ignore=shutil.ignore_patterns(".doctrees", ".buildinfo*"))
    if place.exists():
        shutil.rmtree(place)
    partial.rename(place)


def main() -> int:
    """Publish; print the versions."""
    parser = argparse.ArgumentParser(prog="python -m docs.publish", description=__doc__)
    parser.add_argument("site", metavar="SITE", type=Path, help="folder of all versions")
    args = parser.parse_args()
    try:
        versions = publish(BUILT, args.site, __version__)
    except ValueError as error:
        print(f"docs.publish: error: {error}", file=sys.stderr)
        return 2
    print(f"{args.site}: {', '.join(versions)}; stable is {versions[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
