# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Packages from a Debian suite other than the machine's own, without touching
# the machine's apt sources: a private apt configuration in the cache, with
# the mirror and the keyring that the machine already trusts.

# The suite whose toolchain built the kernels of its backports.
readonly SUITE=trixie
# Kernels this project is known to build and run with: newest first choice.
readonly SERIES=7.2
readonly OLDEST=7.2.6

# The mirror that the machine's own apt uses.
mirror() {
    if [[ -n ${EVQ_MIRROR:-} ]]; then
        printf '%s\n' "$EVQ_MIRROR"
        return
    fi
    need apt-get
    local uri
    # shellcheck disable=SC2016 # the fields are apt's
    uri=$(apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian|//p' | head -n 1)
    if [[ -z $uri ]]; then
        # No package lists yet, so no labels: take where this release comes from.
        # shellcheck disable=SC2016 # the fields are apt's
        uri=$(
            . /etc/os-release
            [[ ${ID:-} != debian ]] ||
                apt-get indextargets --no-release-info --format '$(RELEASE)|$(REPO_URI)' 'Created-By: Packages' |
                sed -n "s/^${VERSION_CODENAME:-none}|//p" | head -n 1
        )
    fi
    [[ -n $uri ]] ||
        die "apt on this machine knows no Debian mirror, so there is nowhere to get a kernel from" \
            "add a 'deb' line for Debian to the apt sources and run apt-get update," \
            "or set EVQ_MIRROR to the URI of a Debian mirror"
    printf '%s\n' "$uri"
}

keyring() {
    local file
    for file in /usr/share/keyrings/debian-archive-keyring.{gpg,pgp}; do
        if [[ -r $file ]]; then
            printf '%s\n' "$file"
            return
        fi
    done
    die "no keyring to check Debian's signatures with (debian-archive-keyring)" \
        "run qemu/setup, it installs what is missing"
}

# The lines of a sources.list: the suite and its backports.
sources() {
    local uri ring
    uri=$(mirror)
    ring=$(keyring)
    printf 'deb [signed-by=%s] %s %s main\n' \
        "$ring" "$uri" "$SUITE" "$ring" "$uri" "$SUITE-backports"
}

# apt COMMAND...: apt-get or apt-cache with lists, cache and sources of its own.
private_apt() {
    local tool=$1 dir=$SCRATCH/apt
    shift
    if [[ ! -d $dir ]]; then
        mkdir -p "$dir/lists/partial" "$dir/archives/partial"
        : >"$dir/status"
        sources >"$dir/sources.list"
    fi
    "$tool" -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$dir" -o Dir::State::Lists="$dir/lists" -o Dir::State::status="$dir/status" \
        -o Dir::Cache="$dir" -o Dir::Cache::archives="$dir/archives" \
        -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User="" \
        -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

# Prints the newest known-good kernel version on offer, such as 7.2.12, for
# the flavour (amd64, rt-amd64). Source and headers must be of one version.
newest_version() {
    local flavour=$1 version offered
    offered=$(private_apt apt-cache --names-only search "^linux-headers-$SERIES\\.[0-9]+\\+deb[0-9]+-$flavour\$" |
        sed -E "s/^linux-headers-($SERIES\\.[0-9]+)\\+.*/\\1/" | sort -Vr)
    for version in $offered; do
        [[ $(printf '%s\n' "$OLDEST" "$version" | sort -V | head -n 1) == "$OLDEST" ]] || continue
        if [[ -n $(source_version "$version") ]]; then
            printf '%s\n' "$version"
            return
        fi
    done
    die "the mirror's $SUITE-backports offers no $flavour kernel from $OLDEST up to the end of $SERIES (offered: ${offered:-none})" \
        "build a Rust-enabled kernel yourself and use its tree: --kernel /path/to/tree," \
        "or adapt SERIES and OLDEST in qemu/lib-debian.sh to what the suite has now"
}

# Debian's version of linux-source for an upstream version, such as 7.2.12-1~bpo13+1.
source_version() {
    private_apt apt-cache madison "linux-source-$SERIES" |
        sed -nE "s/^ *linux-source-$SERIES \\| *($1-[^ ]+) .*/\\1/p" | sort -V | tail -n 1
}

# The package release of a version: linux-headers-7.2.12+deb13-amd64 → 7.2.12+deb13-amd64.
release_of() {
    private_apt apt-cache --names-only search "^linux-headers-${1//./\\.}\\+deb[0-9]+-$2\$" |
        sed -E 's/^linux-headers-([^ ]+) .*/\1/' | head -n 1
}

# root_command VARIANT TARGET PACKAGE...: sets ROOT_COMMAND, which installs a small
# Debian with these packages into a directory, or a .tar. In the namespaces
# mmdebstrap can be root, whoever we are; what never boots on a disk of its own
# needs no fsync, manuals or translations.
root_command() {
    local variant=$1 target=$2 packages
    shift 2
    packages=$(
        IFS=,
        printf '%s' "$*"
    )
    need mmdebstrap
    ns_check
    sources >"$SCRATCH/sources.list"
    # shellcheck disable=SC2034 # for who sources this
    ROOT_COMMAND=("${NS[@]}" mmdebstrap --mode=root --variant="$variant" --include="$packages"
        --dpkgopt=force-unsafe-io
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --aptopt='APT::Sandbox::User "root"'
        --aptopt='Acquire::Languages "none"'
        --aptopt='Acquire::Retries "3"'
        "$SUITE" "$target" "$SCRATCH/sources.list")
}

# fetch DIRECTORY PACKAGE[=VERSION]...: download, checked against the signed lists.
fetch() {
    local dir=$1
    shift
    mkdir -p "$dir"
    (cd "$dir" && private_apt apt-get --quiet download "$@")
}

# unpack DEB DIRECTORY PATTERN...: only the files that match.
unpack() {
    local deb=$1 dir=$2
    shift 2
    mkdir -p "$dir"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --no-same-owner --wildcards "$@"
}
