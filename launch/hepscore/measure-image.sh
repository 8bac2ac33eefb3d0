#!/usr/bin/env bash
# Records what an image of this folder contains, without a container engine: does what its recipe
# does in a scratch folder, and writes sizes and checksums of every package and file set as JSON.
#
#   launch/hepscore/measure-image.sh OUT.json [WORKLOAD] [EVENTS] [EXTRA]      default mlpf 1100 plot
#   PYTHON=.venv/bin/python launch/hepscore/measure-image.sh OUT.json          an environment at hand
#
# The base image (Python and the compiler) is not in it: its size is that of the registry's.
set -euo pipefail

if [ $# -lt 1 ]; then
  sed -n 's/^# \{0,1\}//; 5,6p' "$0" >&2
  exit 2
fi
out=$1 workload=${2:-mlpf} events=${3:-1100} extra=${4:-plot}
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$scratch/venv"
  PYTHON=$scratch/venv/bin/python
  "$PYTHON" -m pip install --quiet --no-cache-dir --constraint "$root/constraints.txt" "$root[$extra]"
fi
"$PYTHON" -m hepjax.bench.data "$workload" "$events" "$scratch/data" >&2
"$PYTHON" - "$out" "$extra" "$scratch/data/$workload-$events" "$root" << 'EOF'
import hashlib
import importlib.metadata as metadata
import json
import os
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

out, extra, data, root = sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4])


def measure(files):
    """Number, bytes and SHA-256 of files given as (name, path)."""
    total, size, count = hashlib.sha256(), 0, 0
    for name, path in sorted(files):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        with path.open("rb") as file:
            total.update(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
        size, count = size + path.stat().st_size, count + 1
    return {"files": count, "bytes": size, "sha256": total.hexdigest()}


def inside(folder):
    return [(str(p.relative_to(folder)), p) for p in folder.rglob("*")]


packages, waiting = {}, [("hepjax", frozenset({extra}))]
seen = set()
while waiting:
    name, extras = waiting.pop()
    if (name, extras) in seen:
        continue
    seen.add((name, extras))
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        sys.exit(f"measure-image.sh: {name}: expected it to be installed, found no such package")
    if name != "hepjax" and name not in packages:
        files = [(str(f), Path(found.locate_file(f))) for f in found.files or []]
        packages[name] = {"version": found.version} | measure(files)
    for text in found.requires or []:
        needed = Requirement(text)
        marks = [{"extra": e} for e in extras | {""}]
        if needed.marker is None or any(needed.marker.evaluate(mark) for mark in marks):
            waiting.append((canonicalize_name(needed.name), frozenset(needed.extras)))
parts = {
    "hepjax": measure(inside(root / "hepjax") + inside(root / "configs")),
    "driver": measure([("hepjax-bmk.sh", root / "launch/hepscore/hepjax-bmk.sh")]),
    "events": measure(inside(data)),
}
report = {
    "set": data.name,
    "python": sys.version.split()[0],
    "bytes": sum(p["bytes"] for p in [*packages.values(), *parts.values()]),
    "parts": parts,
    "packages": dict(sorted(packages.items(), key=lambda item: -item[1]["bytes"])),
}
partial = Path(out + ".tmp")
partial.write_text(json.dumps(report, indent=1) + "\n")
os.replace(partial, out)
largest = ", ".join(f"{n} {p['bytes'] / 1e6:.0f} MB" for n, p in list(report["packages"].items())[:4])
print(f"{out}: {report['bytes'] / 1e6:.0f} MB in {len(packages)} packages ({largest}), "
      f"events {parts['events']['bytes'] / 1e6:.1f} MB, without the base image")
EOF
