#!/usr/bin/env bash
# Run one hepjax training on all workers of a Cloud TPU VM slice, again after each preemption.
#
#   launch/tpu_vm.sh NAME ZONE train gan3d/published --run gs://... or a shared disk
#
# The run directory must be on storage that every worker sees (a mounted bucket or Filestore).
# Needs gcloud on this machine. HEPJAX_SETUP is run on each worker first, in a folder with the package;
# by default it installs it with its tpu extra. HEPJAX_RETRIES limits the attempts (default 20).
set -euo pipefail

if [ $# -lt 3 ]; then
  echo "usage: $0 NAME ZONE train CONFIG [key.path=value ...] --run DIR" >&2
  exit 2
fi
name=$1 zone=$2
shift 2
# shellcheck disable=SC2016  # the workers expand HOME
setup=${HEPJAX_SETUP:-'python3 -m venv $HOME/hepjax-venv && $HOME/hepjax-venv/bin/pip install --quiet ".[tpu]"'}
retries=${HEPJAX_RETRIES:-20}
root=$(cd "$(dirname "$0")/.." && pwd)
tpu=(gcloud compute tpus tpu-vm)
on_all() { "${tpu[@]}" ssh "$name" --zone="$zone" --worker=all --command="$1"; }

command=$(printf ' %q' "$@")
package=$(mktemp --suffix=.tar.gz)
trap 'rm -f "$package"' EXIT
tar -czf "$package" -C "$root" --exclude=__pycache__ pyproject.toml README.md LICENSE hepjax configs
# A new folder each time: an older copy may hold files that are gone by now.
unpack='rm -rf $HOME/hepjax-package && mkdir $HOME/hepjax-package && cd $HOME/hepjax-package && tar -xzf $HOME/hepjax-package.tar.gz'
for attempt in $(seq 1 "$retries"); do
  code=0
  if [ "$("${tpu[@]}" describe "$name" --zone="$zone" --format='value(state)')" = READY ]; then
    "${tpu[@]}" scp "$package" "$name:~/hepjax-package.tar.gz" --zone="$zone" --worker=all \
      && on_all "$unpack && $setup" \
      && on_all "\$HOME/hepjax-venv/bin/hepjax$command --cluster tpu" || code=$?
    # 2 is the user's input and 3 a training that went wrong: trying again does not help.
    case $code in 0 | 2 | 3) exit "$code" ;; esac
  else
    code=75
  fi
  echo "attempt $attempt of $retries ended with code $code; next in 60 s" >&2
  sleep 60
done
exit "$code"
