#!/usr/bin/env bash
# Everything that is to be measured on a GPU lent for minutes: bash benchmarks/gpu.sh OUT --minutes 9
#
# See benchmarks/gpu/loan.py. PYTHON names another Python than python3.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
exec "${PYTHON:-python3}" -m benchmarks.gpu.loan "$@"
