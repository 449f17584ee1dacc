# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An apt with sources, lists and archives of its own in $apt_dir, for those who
# fetch what the system is not to install. The mirrors are the ones that the system
# uses; its own sources are only read.

# mirror_of SUITE: the address that serves it in the system's configuration.
mirror_of() {
    # Read to its end, which pipefail would take for failure otherwise.
    # shellcheck disable=SC2016 # the format is expanded by apt-get
    apt-get indextargets --no-release-info \
        --format '$(RELEASE) $(REPO_URI)' 'Identifier: Packages' |
        awk -v suite="$1" '$1 == suite && !uri { uri = $2 } END { print uri }'
}

# private_apt_sources LINE...: each as in sources.list, but that [signed] stands
# for the keyring of Debian.
private_apt_sources() {
    local key=/usr/share/keyrings/debian-archive-keyring.gpg signed=""
    [[ ! -r $key ]] || signed="[signed-by=$key]"
    # shellcheck disable=SC2154 # set by who sources this
    mkdir -p "$apt_dir"/{lists,cache/archives}/partial
    printf '%s\n' "${@//\[signed\]/$signed}" >"$apt_dir/sources.list"
    cat >"$apt_dir/apt.conf" <<CONF
Dir::Etc::sourcelist "$apt_dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::State::lists "$apt_dir/lists";
Dir::Cache "$apt_dir/cache";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "srcpkgcache.bin";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
CONF
}

private_apt() {
    local tool=$1
    shift
    APT_CONFIG=$apt_dir/apt.conf "$tool" "$@"
}
