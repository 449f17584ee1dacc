# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snap-run(1) for bash: its options, then the program, then what
# the program completes itself.

_snap_run() {
    local word=$2 before=$3 at
    # Where the program is.
    for ((at = 1; at <= COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        -H | -o | --heap | --output)
            [[ ${COMP_WORDS[at + 1]-} != "=" ]] || at=$((at + 1))
            at=$((at + 1))
            ;;
        --)
            at=$((at + 1))
            break
            ;;
        -*) ;;
        *) break ;;
        esac
    done
    if ((at < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then
            _command_offset "$at"
        elif declare -F _comp_command_offset >/dev/null; then
            _comp_command_offset "$at"
        else
            compopt -o default
        fi
        return
    fi
    # bash takes "--output=x" for three words.
    [[ $before != "=" ]] || before=${COMP_WORDS[COMP_CWORD - 2]}
    case $before in
    -H | --heap) return ;;
    -o | --output)
        compopt -o default
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "-H --heap= -A --aligned -c --count
            -o --output= -h --help -V --version" -- "$word")
        [[ ${COMPREPLY[0]-} == *= ]] || compopt +o nospace
    else
        mapfile -t COMPREPLY < <(compgen -c -- "$word")
    fi
}

complete -F _snap_run snap-run
