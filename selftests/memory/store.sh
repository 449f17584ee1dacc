#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A store of the guest's own kernel into the pool changes nothing: the test
# module tries it while loading, and fails to load if a byte changed.
#
# Machines: copy-1
set -uo pipefail

module=$(dirname "$(sed -n "s/^VM_MODULE='\?\([^']*\)'\?$/\1/p" \
    /run/snap-vm/settings)")/snap_test.ko
echo "TAP version 13"
echo "1..1"
if [[ ! -e $module ]]; then
    echo "ok 1 store # SKIP $module is not built"
    exit 4
fi
if insmod "$module" run=store && rmmod snap_test; then
    echo "ok 1 a store into the pool is discarded"
else
    dmesg | tail -n 3 | sed 's/^/# /'
    echo "not ok 1 a store into the pool is discarded"
    exit 1
fi
