# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Shared by those who fetch kernels and what builds modules for them, and by those
# who use them: an apt of Debian 13, its security updates and its backports, on
# whichever Debian this is, and its compiler.

. "$(dirname "${BASH_SOURCE[0]}")/private-apt.sh"
apt_dir=$SNAP_CACHE/kernels/apt

# What a mirror does not have is not a failure of what was to be tested: callers
# that can do without tell it by the status.
NOT_TO_BE_HAD=3
not_to_be_had() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit "$NOT_TO_BE_HAD"
}

main_mirror() {
    local codename
    codename=$(debian_release)
    mirror_of "${codename#debian:}"
}

# trixie_lists LOG: has the package lists, at most an hour old; or status 1.
trixie_lists() {
    local log=$1 codename main security
    local -a lines
    [[ -z $(find "$apt_dir/read" -mmin -60 2>/dev/null) ]] || return 0
    codename=$(debian_release)
    main=$(main_mirror)
    [[ -n $main ]] || die "apt has no mirror for ${codename#debian:}"
    lines=("deb [signed] $main trixie main"
        "deb [signed] $main trixie-backports main")
    security=$(mirror_of "${codename#debian:}-security")
    [[ -z $security ]] ||
        lines+=("deb [signed] $security trixie-security main")
    private_apt_sources "${lines[@]}"
    (run_step "reading the package lists of Debian 13" "$log" \
        private_apt apt-get update --error-on=any) || return 1
    touch "$apt_dir/read"
}

# fetched NAME: the folder of a kernel that fetch-kernel has fetched for this checkout.
fetched() {
    realpath -e "$SNAP_BUILD/kernels/$1" 2>/dev/null
}

# in_trixie USR COMMAND...: runs it where USR, which fetch-compiler has printed, lies
# over the machine's own /usr. All else is as it is, the network and the user
# included.
in_trixie() {
    local -a new=(unshare -m)
    (($(id -u) == 0)) || new=(unshare -rm)
    # shellcheck disable=SC2016 # for the shell in there
    "${new[@]}" sh -c 'mount --bind "$1" /usr && shift && exec "$@"' in_trixie "$@"
}
