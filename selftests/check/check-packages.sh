#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-packages.sh: builds the Debian packages and looks into them.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"
umask 022

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
staged=$work/staged unpacked=$work/unpacked
multiarch=$(dpkg-architecture -qDEB_HOST_MULTIARCH)
places=("DESTDIR=$staged" PREFIX=/usr "LIBDIR=/usr/lib/$multiarch")

# expect TITLE COMMAND...: what it prints is shown if it fails.
expect() {
    local title=$1 status=0
    shift
    "$@" >"$work/out" 2>&1 || status=$?
    report "$status" "$title"
    ((status == 0)) || head -n 40 "$work/out" | sed 's/^/# /'
}

unpack() {
    local deb
    for deb in "$SNAP_BUILD"/deb/*.deb; do
        dpkg-deb -x "$deb" "$unpacked" || return
    done
    # What packages have beside it, and how they have it.
    rm -f "$unpacked"/usr/share/doc/*/{copyright,changelog.gz}
    find "$unpacked/usr/share" -name '*.gz' -exec gunzip {} +
    find "$unpacked/usr/share/doc" -type d -empty -delete
}

# Of all but the list that only `make install` has.
listing() {
    (cd "$1" && find . -mindepth 1 ! -path '*/share/snapnet*' \
        -printf '%y %m %P %l\n' | sort -k 3)
}

is_stripped() {
    [[ $1 == *.a ]] || [[ $(head -c 4 "$1") == $'\x7fELF' ]]
}

same_contents() {
    local file differ=0
    while IFS= read -r file; do
        is_stripped "$unpacked/$file" 2>/dev/null ||
            cmp "$staged/$file" "$unpacked/$file" || differ=1
    done < <(cd "$unpacked" && find . -type f)
    return "$differ"
}

in_one_package() {
    local deb twice
    twice=$(for deb in "$SNAP_BUILD"/deb/*.deb; do
        dpkg-deb --fsys-tarfile "$deb" | tar -t
    done | grep -v '/$' | sort | uniq -d)
    echo "$twice"
    [[ -z $twice ]]
}

# Of each package, and of what is in them.
one_version() {
    local deb version
    version=$(make -s -C "$SNAP_TOP/tools" version)
    for deb in "$SNAP_BUILD"/deb/*.deb; do
        echo "$deb $(dpkg-deb -f "$deb" Version)"
        [[ $(dpkg-deb -f "$deb" Version) == "$version" ]] || return
    done
    grep -x "PACKAGE_VERSION=\"$version\"" \
        "$unpacked/usr/src/snap-$version/dkms.conf" &&
        grep "^MODULE_VERSION(\"$version\")" \
            "$unpacked/usr/src/snap-$version/kmod/main.c" &&
        grep -x "Version: $version" \
            "$unpacked/usr/lib/$multiarch/pkgconfig/libsnap.pc" &&
        LD_LIBRARY_PATH=$unpacked/usr/lib/$multiarch \
            "$unpacked/usr/sbin/snapctl" --version | grep -x "snapctl $version"
}

# Debian 12 has the QEMU below the cache, where it does not find its files.
plugin_fits() {
    local key value
    local -A qemu=()
    while IFS='=' read -r key value; do
        qemu[$key]=$value
    done < <("$SNAP_TOP/tools/setup/fetch-qemu")
    dpkg-deb -f "$SNAP_BUILD"/deb/qemu-system-snap_*.deb Depends |
        grep -F "qemu-system-x86 (= ${qemu[package]})" || return
    LD_PRELOAD=$unpacked/usr/lib/$multiarch/snap-qemu/snap-qemu.so \
        QEMU_MODULE_DIR=${qemu[root]}/usr/lib/$multiarch/qemu \
        "${qemu[root]}/usr/bin/qemu-system-x86_64" -device help |
        grep '^name "snap"'
}

# uninstall VARIABLE=VALUE...: by a checkout that has built nothing, and cannot.
uninstall() {
    mkdir -p "$work/bare/tools"
    cp "$SNAP_TOP/Makefile" "$work/bare/"
    cp -r "$SNAP_TOP/tools/setup" "$work/bare/tools/"
    make -s -C "$work/bare" uninstall "$@"
}

uninstalled() {
    local left
    touch "$staged/usr/bin/other"
    uninstall "${places[@]}" || return
    left=$(find "$staged" ! -type d -o -path '*/usr/*snap*')
    echo "$left"
    [[ $left == "$staged/usr/bin/other" ]]
}

# Below a folder that has others' things, some of which look like ours.
prefix=$work/opt/opt/snapnet
install_below() {
    make -s -C "$SNAP_TOP" install "DESTDIR=$work/opt" PREFIX=/opt/snapnet \
        LIBDIR=/opt/snapnet/lib64
}

uninstalled_below() {
    mkdir -p "$prefix"/{lib,var,snapshots,bin/__pycache__}
    touch "$prefix/bin/__pycache__/other.pyc"
    chmod 2775 "$prefix/lib"
    ln -s lib "$prefix/lib64"
    listing "$work/opt" >"$work/before"
    install_below || return
    /usr/bin/python3 -m compileall -q "$prefix"/lib/python3*/ || return
    [[ -e $prefix/lib/libsnap.so.0 && $(stat -c %a "$prefix/lib") == 2775 ]] &&
        uninstall "DESTDIR=$work/opt" PREFIX=/opt/snapnet || return
    diff "$work/before" <(listing "$work/opt")
}

# What another version has left, by the list of its own.
takes_its_place() {
    local manifest=$prefix/share/snapnet/manifest
    install_below || return
    listing "$work/opt" >"$work/before"
    mkdir -p "$prefix/src/snap-0.1/kmod"
    touch "$prefix/src/snap-0.1/kmod/main.c"
    (cd "$work/opt" && find opt/snapnet/src/snap-0.1 -type d -printf '/%p/\n' \
        -o -printf '/%p\n') >>"$manifest"
    install_below && diff "$work/before" <(listing "$work/opt")
}

nothing_to_uninstall() {
    local said
    ! said=$(uninstall "DESTDIR=$work/nowhere" 2>&1) || return
    echo "$said"
    [[ $said == *"nothing is installed there"* ]]
}

expect "packages are built" "$SNAP_TOP/tools/setup/build-deb"
expect "lintian has neither error nor warning" lintian --allow-root \
    --fail-on error,warning "$SNAP_BUILD"/deb/*.changes
expect "they can be unpacked" unpack
expect "make install" make -s -C "$SNAP_TOP" install "${places[@]}"
expect "it puts the same files to the same places" \
    diff <(listing "$staged") <(listing "$unpacked")
expect "with the same contents" same_contents
expect "no file is in two packages" in_one_package
expect "one version is in all of them" one_version
expect "the plug-in fits the QEMU that its package depends on" plugin_fits
expect "make uninstall leaves only what others put there" uninstalled
expect "and all that was there, below a PREFIX of its own" uninstalled_below
expect "make install takes the place of another version" takes_its_place
expect "make uninstall says that there is nothing" nothing_to_uninstall
finish
