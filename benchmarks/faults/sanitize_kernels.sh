#!/bin/sh
# Runs the convolution kernels of every instruction set here under AddressSanitizer and UBSan:
#   benchmarks/faults/sanitize_kernels.sh [shapes]
# Prints the worst error of each kernel set against a plain loop; any bad access ends it.
set -eu
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$python" - "$folder" "$(dirname "$0")/sanitize_kernels.cc" <<'PYTHON'
import subprocess
import sys

from hepjax.ops import native_build as build

_, folder, main = sys.argv
compiler = build.find_compiler() or sys.exit("no C++ compiler")
checks = ["-g", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined"]
checks += ["-fno-sanitize-recover=all"]
objects = []
for name in build.KERNEL_SETS:
    objects.append(f"{folder}/{name}.o")
    flags = [*build.kernel_flags(name), *checks]
    subprocess.run([*compiler, *flags, "-c", "-o", objects[-1]], check=True)
link = [f"-I{build.SOURCES}", main, *objects, "-o", f"{folder}/check"]
subprocess.run([*compiler, *build.COMMON, *checks, *link], check=True)
PYTHON
"$folder/check" "${1:-100}"
