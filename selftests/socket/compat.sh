#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the 32-bit program, where the kernel does.
#
# Machines: auto-1 debug
"$(dirname "$(readlink -f "$0")")/compat32"
status=$?
if [[ $status == 126 ]]; then
    echo "TAP version 13"
    echo "1..0 # SKIP the kernel runs no 32-bit programs"
    exit 4
fi
exit "$status"
