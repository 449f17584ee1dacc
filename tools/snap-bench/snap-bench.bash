# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snap-bench(1) for bash.

_snap_bench() {
    local word=$2 before=$3 command
    # bash takes "--rounds=5" for three words.
    case $before in
    = | -p | --port | -r | --rounds | -m | --milliseconds | -a | --attempts | \
        -l | --listen)
        return
        ;;
    -j | --json | -P | --pid-file)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "-p --port= -r --rounds=
            -m --milliseconds= -a --attempts= -j --json= -l --listen= -P --pid-file=
            -h --help -V --version" -- "$word")
        [[ ${COMPREPLY[0]-} == *= ]] || compopt +o nospace
        return
    fi
    for command in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        case $command in
        run | list)
            mapfile -t COMPREPLY < <(compgen -W "$("$1" list 2>/dev/null)" -- "$word")
            return
            ;;
        serve) return ;;
        esac
    done
    mapfile -t COMPREPLY < <(compgen -W "run serve list" -- "$word")
}

complete -F _snap_bench snap-bench
