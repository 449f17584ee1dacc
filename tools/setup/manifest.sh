# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared by install and uninstall: the list of what is installed with a PREFIX. Each
# line is a path as it is without DESTDIR, so that a staged tree can be moved; one
# that ends in "/" is a folder that was not there before.

PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
# shellcheck disable=SC2034 # for who sources this
manifest=$PREFIX/share/snapnet/manifest

# take_away: what the input lists, folders only if nobody else has put something in.
take_away() {
    local path module cached
    LC_ALL=C sort -r | while IFS= read -r path; do
        case $path in
        */) rmdir "$DESTDIR$path" 2>/dev/null || true ;;
        *.py)
            module=${path##*/} cached=$DESTDIR${path%/*}/__pycache__
            rm -f "$DESTDIR$path" "$cached/${module%.py}".*.pyc
            rmdir "$cached" 2>/dev/null || true
            ;;
        *) rm -f "$DESTDIR$path" ;;
        esac
    done
}
