#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# check-install.sh: installs the packages into a Debian 13, upgrades, removes and
# purges them there, and looks at what is left. The Debian is an overlay that
# goes away; nothing is installed in this machine. As root, after
# check-packages.sh.
set -euo pipefail
. "$(dirname "$0")/guest-lib.sh"

root=$("$SNAP_TOP/tools/setup/fetch-debian")
work=$SNAP_BUILD/install

# What dpkg, apt and others keep of everything that ever happened, and links to the
# newest kernel, which kernels' packages set.
journals='^(tmp|run|proc|dev|sys|packages)(/|$)|^var/(log|cache)/|^root/'
journals+='|^var/lib/(dpkg|apt)/|^etc/(ld\.so\.cache|\.pwd\.lock)$'
journals+='|^etc/(group|gshadow|passwd|shadow)-$|^(vmlinuz|initrd\.img)(\.old)?$'

# Files of the overlay that the Debian did not have, or had otherwise; and those of
# the Debian that are gone.
left() {
    (cd "$work/upper" && find . -mindepth 1 ! -type d -printf '%P\n') | sort |
        grep -Ev "$journals" | while IFS= read -r file; do
        cmp -s "$work/upper/$file" "$root/$file" || echo "$file"
    done
}

# Folders that the Debian did not have.
left_folders() {
    (cd "$work/upper" && find . -mindepth 1 -type d -printf '%P\n') | sort |
        grep -Ev "$journals" | while IFS= read -r folder; do
        [[ -d $root/$folder ]] || echo "$folder"
    done
}

# inside COMMAND...: in the Debian, with our packages.
inside() {
    # shellcheck disable=SC2016 # for the shell in there
    unshare --mount --fork --pid --kill-child sh -ec '
        work=$1 root=$2 build=$3 scripts=$4 debian=$1/debian
        shift 4
        mount -t overlay overlay "$debian" \
            -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work"
        mount -t proc proc "$debian/proc"
        for folder in run sys tmp; do
            mount -t tmpfs tmpfs "$debian/$folder"
        done
        mount --rbind /dev "$debian/dev"
        mkdir "$debian/run/packages" "$debian/run/newer" "$debian/run/check"
        mount --bind "$build/deb" "$debian/run/packages"
        mount --bind "$build/deb+1" "$debian/run/newer"
        mount --bind "$scripts" "$debian/run/check"
        exec chroot "$debian" "$@"' sh "$work" "$root" "$SNAP_BUILD" \
        "$SNAP_TOP/selftests/install" "$@"
}

# The same sources, in another place, all compiled there: with a cache that has what
# was fetched, and nothing that was built.
built_alike() {
    local deb part differ=0
    rsync -a --delete --exclude=/build "$SNAP_TOP/" "$work/elsewhere/"
    for part in "$SNAP_CACHE"/{src,meson,apt,download,qemu/root-*}; do
        [[ ! -e $part ]] || ln -s "$part" "$cache/${part#"$SNAP_CACHE/"}"
    done
    CCACHE_DISABLE=1 SNAP_CACHE=$cache "$work/elsewhere/tools/setup/build-deb" \
        >"$work/elsewhere.log" 2>&1 || return
    for deb in "$SNAP_BUILD"/deb/*.deb; do
        cmp "$deb" "$work/elsewhere/build/deb/${deb##*/}" || differ=1
    done
    return "$differ"
}

# Of a newer version over an older one; then by the checkout of the older one.
newer_over_older() {
    local staged=$work/staged left
    local -a places=("DESTDIR=$staged" PREFIX=/usr)
    make -s -C "$SNAP_TOP" install "${places[@]}" &&
        make -s -C "$SNAP_BUILD/deb+1/snapnet" install "${places[@]}" || return
    left=$(ls "$staged/usr/src")
    echo "$left"
    [[ $left == "snap-$(make -s -C "$SNAP_TOP/tools" version)+1" ]] &&
        make -s -C "$SNAP_TOP" uninstall "${places[@]}" || return
    left=$(find "$staged" -mindepth 1)
    echo "$left"
    [[ -z $left ]]
}

# QEMU's source is linked into it, which does not leave a file system.
cache=$(mktemp -d "$SNAP_CACHE/elsewhere.XXXXXX")
trap 'rm -rf "$cache"' EXIT
mkdir "$cache/qemu"
rm -rf "${work:?}"/{upper,work,debian,staged}
mkdir -p "$work"/{upper,work,debian,elsewhere}
"$SNAP_TOP/tools/setup/build-deb"
"$SNAP_TOP/tools/setup/build-deb" --suffix +1

status=0
inside /run/check/inside.sh | tee "$work/log" || status=$?
passed=$(grep -c '^ok ' "$work/log") || true
failed=$(grep -c '^not ok ' "$work/log") || true
report "$status" "the script in the Debian has come to its end"
files=$(left) folders=$(left_folders)
report $((${#files} > 0)) "no file is left or gone"
report $((${#folders} > 0)) "no folder is left"
printf '%s\n' "$files" "$folders" | awk 'NF && ++n <= 40 { print "# " $0 }'
status=0
newer_over_older >"$work/newer.log" 2>&1 || status=$?
report "$status" "make install and uninstall of another version"
((status == 0)) || sed 's/^/# /' "$work/newer.log"
status=0
built_alike || status=$?
report "$status" "built elsewhere, the packages are the same"
((failed > 0)) || rm -rf "${work:?}"/{upper,work,debian,staged,elsewhere}
finish
