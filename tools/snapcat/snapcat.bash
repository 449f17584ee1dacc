# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of snapcat(1) for bash.

_snapcat() {
    local word=$2 before=$3
    # bash takes "--count=5" for three words.
    case $before in
    = | -s | --source | -p | --port | -b | --bytes | -n | --count | -w | --wait)
        return
        ;;
    esac
    if [[ $word == -* ]]; then
        compopt -o nospace
        mapfile -t COMPREPLY < <(compgen -W "-4 --ipv4 -6 --ipv6 -l --listen
            -u --udp -v --verbose -k --keep-open -s --source= -p --port=
            -b --bytes= -f --fill -n --count= -w --wait= -z --end-mark
            -r --region --no-region --inet --rate= --rcvbuf= --copybreak=
            --view -h --help -V --version" -- "$word")
        [[ ${COMPREPLY[0]-} == *= ]] || compopt +o nospace
    else
        mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
    fi
}

complete -F _snapcat snapcat
