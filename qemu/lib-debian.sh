# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Packages from a Debian suite other than the machine's own, without touching
# the machine's apt sources: a private apt configuration in the cache, with
# the mirror and the keyring that the machine already trusts.

# The Debian release that the machines of users run: guests of the package tests
# are made of it.
# shellcheck disable=SC2034 # for who sources this
readonly DEBIAN=trixie

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

# sources SUITE...: the lines of a sources.list for these suites.
sources() {
    local uri ring suite
    uri=$(mirror)
    ring=$(keyring)
    for suite in "$@"; do
        printf 'deb [signed-by=%s] %s %s main\n' "$ring" "$uri" "$suite"
    done
}

# The suite that backports and experimental are added to.
base_suite() {
    case $1 in
        experimental | rc-buggy) echo sid ;;
        *) echo "${1%-backports}" ;;
    esac
}

# Mirrors update the unstable suites late, when their lists have expired. The
# lists stay signed; only "make canary" asks for these suites.
unstable_option() {
    case $1 in
        sid | experimental) echo Acquire::Check-Valid-Until=false ;;
        *) echo Acquire::Check-Valid-Until=true ;;
    esac
}

# private_apt SUITE ARCHITECTURE COMMAND...: apt-get or apt-cache with lists,
# cache and sources of its own: the suite alone, for that architecture.
private_apt() {
    local suite=$1 arch=$2 tool=$3 dir=$SCRATCH/apt-$1-$2
    shift 3
    if [[ ! -d $dir ]]; then
        mkdir -p "$dir/lists/partial" "$dir/archives/partial"
        : >"$dir/status"
        sources "$suite" >"$dir/sources.list"
    fi
    "$tool" -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State="$dir" -o Dir::State::Lists="$dir/lists" -o Dir::State::status="$dir/status" \
        -o Dir::Cache="$dir" -o Dir::Cache::archives="$dir/archives" \
        -o APT::Architecture="$arch" -o APT::Architectures="$arch" -o APT::Sandbox::User="" \
        -o "$(unstable_option "$suite")" \
        -o Acquire::Languages=none -o Acquire::Retries=3 "$@"
}

# index SUITE ARCHITECTURE: fetches the package lists, once per run.
index() {
    local suite=$1 arch=$2
    [[ ! -e $SCRATCH/apt-$suite-$arch/fetched ]] || return 0
    step index.log "package lists of $suite ($arch): fetch" private_apt "$suite" "$arch" apt-get update --error-on=any
    : >"$SCRATCH/apt-$suite-$arch/fetched"
}

# foreign_name ARCHITECTURE: as the kernel of that architecture calls it.
foreign_name() {
    case $1 in
        amd64) echo x86_64 ;;
        *) echo aarch64 ;;
    esac
}

# root_command SUITE ARCHITECTURE VARIANT TARGET PACKAGE...: sets ROOT_COMMAND, which
# installs a small Debian with these packages, of the suite and its backports, into
# a directory or a .tar. Programs of another architecture are emulated. In the namespaces mmdebstrap can be root, whoever we are;
# what never boots on a disk of its own needs no fsync, manuals or translations.
root_command() {
    local suite=$1 arch=$2 variant=$3 target=$4 packages
    local -a suites=("$1")
    shift 4
    if [[ $arch != "$HOST_ARCH" ]] && ! grep -qs '^enabled' "/proc/sys/fs/binfmt_misc/qemu-$(foreign_name "$arch")"; then
        die "this machine cannot run programs of $arch, which installing Debian packages does" \
            "EVQ_ARCH=$arch qemu/setup programs installs qemu-user-static"
    fi
    if [[ $suite != sid ]]; then
        suites+=("$suite-backports")
    fi
    packages=$(
        IFS=,
        printf '%s' "$*"
    )
    need mmdebstrap
    ns_check
    sources "${suites[@]}" >"$SCRATCH/sources.list"
    # shellcheck disable=SC2034 # for who sources this
    ROOT_COMMAND=("${NS[@]}" mmdebstrap --mode=root --architectures="$arch" --variant="$variant" --include="$packages"
        --dpkgopt=force-unsafe-io
        --dpkgopt='path-exclude=/usr/share/man/*'
        --dpkgopt='path-exclude=/usr/share/doc/*'
        --dpkgopt='path-exclude=/usr/share/locale/*'
        --aptopt='APT::Sandbox::User "root"'
        --aptopt='Acquire::Languages "none"'
        --aptopt='Acquire::Retries "3"'
        --aptopt="$(unstable_option "$suite" | sed 's/=\(.*\)/ "\1";/')"
        "$suite" "$target" "$SCRATCH/sources.list")
}

# fetch DIRECTORY SUITE ARCHITECTURE PACKAGE[=VERSION]...: download, checked
# against the signed lists.
fetch() {
    local dir=$1 suite=$2 arch=$3
    shift 3
    mkdir -p "$dir"
    (cd "$dir" && private_apt "$suite" "$arch" apt-get --quiet download "$@")
}

# unpack DEB DIRECTORY PATTERN...: only the files that match.
unpack() {
    local deb=$1 dir=$2
    shift 2
    mkdir -p "$dir"
    dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$dir" --no-same-owner --wildcards "$@"
}
