# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snaptrace(8) for bash.

_snaptrace() {
    local word=$2 before=$3
    case $before in
    -p | --pid)
        mapfile -t COMPREPLY < <(cd /proc && compgen -W "$(echo [0-9]*)" \
            -- "$word")
        return
        ;;
    -i | --interval | -n | --count)
        return
        ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "-i --interval -n --count -p --pid
        -s --by-socket -H --histogram -j --json -h --help -V --version" \
        -- "$word")
}

complete -F _snaptrace snaptrace
