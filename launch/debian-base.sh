#!/usr/bin/env bash
# A base image for the recipes of this folder where no registry of images can be reached: Debian with
# its own Python, as root, by debootstrap and buildah (Debian has packages of both).
#
#   launch/debian-base.sh                                  makes the image hepjax-base
#   buildah build --build-arg BASE=localhost/hepjax-base -f launch/Dockerfile -t hepjax .
#   launch/debian-base.sh my-base trixie                   another name, another release of Debian
set -euo pipefail

name=${1:-hepjax-base} release=${2:-bookworm}
for tool in debootstrap buildah; do
  command -v "$tool" > /dev/null || { echo "debian-base.sh: error: expected $tool, found none; apt-get install $tool" >&2; exit 2; }
done
[ "$(id -u)" -eq 0 ] || { echo "debian-base.sh: error: expected root, found $(id -un)" >&2; exit 2; }
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$release" "$root"
# Debian's own Python takes packages from Debian only.
chroot "$root" python3 -m venv /opt/python
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/*
container=$(buildah from scratch)
buildah add --quiet "$container" "$root" /
buildah config --env PATH=/opt/python/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
buildah commit --quiet --rm "$container" "$name"
