#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# check-own-machine.sh [--cloud] [--kvm]
# Follows Documentation/your-own-machine.rst word by word, as root, on the network of
# this machine: a stock guest, its packages, data by reference; a reboot, a newer
# kernel, and nothing left. --cloud: with Debian's kernel for clouds. Packages and
# plug-in are those of this checkout.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/setup/lib.sh"
. "$SNAP_TOP/tools/setup/private-apt.sh"

flavour=amd64 accel=tcg cpu=max,-erms,-fsrm
for word; do
    case $word in
    --cloud) flavour=cloud-amd64 ;;
    --kvm) accel=kvm cpu=max ;;
    *) die "unknown option $word" ;;
    esac
done
[[ $(id -u) == 0 ]] || die "debootstrap needs root"

codename=$(debian_release)
mirror=$(mirror_of "${codename#debian:}")
[[ -n $mirror ]] || die "apt has no mirror for ${codename#debian:}"

folder=$SNAP_BUILD/own-machine
rm -rf --one-file-system "$folder"
mkdir -p "$folder/bin" "$SNAP_LOGS"
cp "$SNAP_BUILD"/deb/*.deb "$folder/"
# In place of the packages of the host.
ln -s "$SNAP_BUILD/qemu/snap-qemu" "$SNAP_BUILD/tools/snapctl" "$folder/bin/"

status=0
PATH=$folder/bin:$PATH FLAVOUR=$flavour ACCEL=$accel CPU=$cpu MIRROR=$mirror \
    "$SNAP_TOP/selftests/own-machine/follow" \
    "$SNAP_TOP/Documentation/your-own-machine.rst" "$folder" || status=$?
cp "$folder/console.log" "$SNAP_LOGS/own-machine.log" 2>/dev/null || true
# Some gigabytes, with which nobody can go on.
rm -rf --one-file-system "$folder"
exit "$status"
