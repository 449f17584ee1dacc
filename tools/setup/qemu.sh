# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared by build-plugin and check-series: how a source tree of QEMU is configured,
# and what may be said of the result.

# What both want; each adds its own.
flags=(--python=/usr/bin/python3 --target-list=x86_64-softmmu
    --without-default-features --enable-system --enable-tcg --enable-kvm
    --enable-plugins --enable-stack-protector --disable-docs
    --disable-install-blobs)
if command -v ccache >/dev/null; then
    flags+=("--cc=ccache cc" "--cxx=ccache c++")
    export CCACHE_DIR=$SNAP_CACHE/ccache CCACHE_NOHASHDIR=1
fi

# configure_qemu TREE MESON: TREE/src with the flags, into TREE/build.
configure_qemu() {
    local tree=$1 meson=$2 site
    cd "$tree/build" || return
    PYTHONPATH=$meson "$tree/src/configure" "${flags[@]}" || return
    # Lets ninja run meson again without our environment.
    for site in pyvenv/lib/python3*/site-packages; do
        [[ -z $meson ]] || echo "$meson" >"$site/meson.pth" || return
    done
}

# hardened OBJECT: the C++ engine in the link has not cost it QEMU's hardening.
hardened() {
    # No grep -q: it would end readelf early, which pipefail takes for failure.
    readelf -d "$1" | grep -E 'BIND_NOW|FLAGS_1.*NOW' >/dev/null &&
        readelf -Wl "$1" | grep GNU_RELRO >/dev/null &&
        readelf -Ws --dyn-syms "$1" | grep __stack_chk_fail >/dev/null
}
