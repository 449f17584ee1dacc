#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-mutations.sh [PATCH...]
# Each patch in mutations/ takes the protection behind one promise out, in a
# copy of the sources.  Each test that it names must then fail; they pass in
# check-guest, check-device.  The head of a patch says, in lines like mail:
#
#   Promise:  its number, and in words what is tested
#   Part:     kmod, qemu (a guest is booted), or qtest (none is)
#   Capture:  mode of the guest's device
#   Machine:  more options of snap-vm, if there are any
#   Test:     program and arguments; qtest: a path. One line for each test
#   Fails:    a word, or several with a |, of the lines that report the failure
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

copy=$SNAP_CACHE/mutations/$(echo "$SNAP_TOP" | hash_of)
mkdir -p "$copy" "$SNAP_LOGS/mutations"
exec 9>"$copy.lock"
flock -n 9 || die "another run is at work"

# By content and with a new time: what goes back to what it was is newer than
# the object that was made of the mutation.
sync_copy() {
    rsync -rlpc --delete --exclude=/build --exclude=/.git \
        "$SNAP_TOP/" "$copy/"
}

# The value of a line in the head of a patch.
field() {
    sed -n "/^---/q; s/^$2: *//p" "$1"
}

build() {
    case $1 in
    kmod) "$copy/tools/setup/build-kmod" stock ;;
    qemu | qtest) "$copy/tools/setup/build-plugin" ;;
    esac
}

# test_fails NAME PATCH TEST: ends with 0 if it fails as it should.
test_fails() {
    local name=$1 patch=$2 part words more options=()
    part=$(field "$patch" Part)
    read -ra words <<<"$3"
    if [[ $part == qtest ]]; then
        SNAP_JOBS=$SNAP_JOBS "$copy/qemu-device/qtest/check.sh" --plain \
            "${words[@]}" >"$SNAP_LOGS/$name.tap" 2>&1 || true
    else
        [[ $part != kmod ]] ||
            options=(--module "$(echo "$copy"/build/kmod/*-amd64/snap.ko)")
        [[ $part != qemu ]] || options=(--qemu "$copy/build/qemu/snap-qemu")
        read -ra more <<<"$(field "$patch" Machine)"
        machine "$name" --capture "$(field "$patch" Capture)" "${options[@]}" \
            "${more[@]}" --no-leaks --timeout 400 -- \
            "build/selftests/${words[0]}" "${words[@]:1}" || true
        rm -f "$SNAP_LOGS/$name/tap.pcap"
    fi
    grep -Eq "^not ok .*($(field "$patch" Fails))" "$SNAP_LOGS/$name.tap"
}

mutate() {
    local patch=$1 name text test status
    local -a tests
    name=mutations/$(basename "$patch" .patch)
    text="promise $(field "$patch" Promise)"
    say "$text"
    sync_copy
    if ! patch -s -d "$copy" -p1 <"$patch"; then
        report 1 "$text: the patch does not apply"
    elif ! build "$(field "$patch" Part)" >"$SNAP_LOGS/$name.build" 2>&1; then
        report 1 "$text: does not build, see $SNAP_LOGS/$name.build"
    else
        mapfile -t tests < <(field "$patch" Test)
        [[ -n ${tests[*]} && -n $(field "$patch" Fails) ]] ||
            report 1 "$text: names no test that fails"
        for test in "${tests[@]}"; do
            status=0
            test_fails "$name" "$patch" "$test" || status=1
            report "$status" "$text: $test"
        done
    fi
}

make -s -C "$selftests" -j "$SNAP_JOBS"
patches=("$@")
((${#patches[@]})) || patches=("$selftests"/mutations/*.patch)
for patch in "${patches[@]}"; do
    mutate "$patch"
done
finish
