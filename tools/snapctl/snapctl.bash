# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snapctl(8) for bash.

_snapctl() {
    local word=$2 at command="" action=""
    local -a words=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
        -*) ;;
        *)
            if [[ -z $command ]]; then
                command=${COMP_WORDS[at]}
            elif [[ -z $action ]]; then
                action=${COMP_WORDS[at]}
            fi
            ;;
        esac
    done
    if [[ $word == -* ]]; then
        words=(-j --json -h --help -V --version)
        case $command in
        "") words+=(-d --delta -u --dgram -t --stream -l --listening
            -p --processes -H --host) ;;
        doctor) words+=(-H --host) ;;
        stats) words+=(-d --delta) ;;
        sockets) words+=(-u --dgram -t --stream -l --listening
            -p --processes) ;;
        esac
    elif [[ -z $command ]]; then
        words=(status stats reasons sockets doctor region snapshot)
    elif [[ $command == stats ]]; then
        # with --delta a program
        mapfile -t words < <(compgen -c -- "$word")
    elif [[ $command == @(region|snapshot) && -z $action ]]; then
        words=(list show diff)
    elif [[ $action == @(show|diff) ]]; then
        mapfile -t words < <(cd /proc && printf '%s\n' [0-9]*)
    fi
    mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$word")
}

complete -F _snapctl snapctl
