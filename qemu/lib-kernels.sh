# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Which kernel is meant by a name, and which packages make it. The known series
# are the table qemu/kernels; $EVQ_KERNELS names another one, for tests.

KERNELS=${EVQ_KERNELS:-$TOP/qemu/kernels}
readonly KERNELS
[[ -r $KERNELS ]] || die "cannot read the table of kernel series $KERNELS"

# What choose_kernel sets. SERIES: 7.3. RELEASE: what uname -r says,
# 7.3.4+deb13-amd64. VERSION: Debian's version of the packages. KERNEL_SUITE:
# where they come from. ROOT_SUITE and COMPILER: the toolchain that built it.
SERIES="" RELEASE="" VERSION="" KERNEL_SUITE="" ROOT_SUITE="" COMPILER=""

# Why the kernel that was chosen is not the newest known series.
NOTES=()

# note TEXT...: prints a warning, which is repeated when the choice is used again.
note() {
    local line
    for line in "$@"; do
        NOTES+=("$line")
        say "warning: $line"
    done
}

# The rows of the table, newest series first.
known_kernels() {
    sed -E 's/#.*//; /^[[:space:]]*$/d' "$KERNELS" | sort -k1,1Vr
}

known_series() {
    known_kernels | awk '{ print $1 }'
}

# use_row SERIES OLDEST SUITE ROOT_SUITE COMPILER: takes over a row of the table.
use_row() {
    [[ $# -eq 5 ]] ||
        die "$KERNELS: a row has five columns (series, oldest release, suite, toolchain suite, compiler), not: $*"
    # shellcheck disable=SC2034 # for who sources this
    SERIES=$1 KERNEL_SUITE=$3 ROOT_SUITE=$4 COMPILER=$5
}

# flavour_of NAME: Debian's flavour of the architecture's kernels that a name
# stands for.
flavour_of() {
    case $1-$ARCH in
        stock-* | tiny-* | debug-*) echo "$ARCH" ;;
        rt-*) echo "rt-$ARCH" ;;
        16k-arm64) echo arm64-16k ;;
        *) die "Debian has no '$1' kernel for $ARCH" "kernels with 16 KiB pages exist for arm64 only" ;;
    esac
}

# on_offer SUITE FLAVOUR: one line "SERIES RELEASE VERSION" for each kernel with
# headers, newest first.
on_offer() {
    local suite=$1 flavour=$2 headers
    local -a names
    headers="^linux-headers-[0-9]+\\.[0-9]+(\\.[0-9]+)?(\\+deb[0-9]+)?-$flavour\$"
    mapfile -t names < <(private_apt "$suite" "$ARCH" apt-cache --names-only search "$headers" | awk '{ print $1 }')
    [[ ${#names[@]} -gt 0 ]] || return 0
    private_apt "$suite" "$ARCH" apt-cache madison "${names[@]}" |
        awk '{ release = substr($1, 15); split(release, part, /[.+-]/); print part[1] "." part[2], release, $3 }' |
        sort -u | sort -k3,3Vr
}

# has_source SUITE SERIES VERSION: whether the source of that version is there.
has_source() {
    private_apt "$1" "$ARCH" apt-cache madison "linux-source-$2" | awk '{ print $3 }' | grep -qxF -- "$3"
}

# not_older VERSION OLDEST: also true for the same.
not_older() {
    [[ $(printf '%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]
}

# take_newest FLAVOUR OLDEST: the newest of SERIES that KERNEL_SUITE offers with
# its source; false if there is none.
take_newest() {
    local flavour=$1 oldest=$2 series release version
    while read -r series release version; do
        if [[ $series == "$SERIES" ]] && not_older "$version" "$oldest" &&
            has_source "$KERNEL_SUITE" "$series" "$version"; then
            # shellcheck disable=SC2034 # for who sources this
            RELEASE=$release VERSION=$version
            return 0
        fi
    done < <(on_offer "$KERNEL_SUITE" "$flavour")
    return 1
}

# choose_kernel FLAVOUR [SERIES]: of that series, or the newest known series on
# offer. If the archive has none of the known ones, the next newer series, with
# a warning: it may need changes to the driver.
choose_kernel() {
    local flavour=$1 wanted=${2:-} row oldest next last="" missing=""
    while read -r row; do
        # shellcheck disable=SC2086 # columns
        use_row $row
        if [[ -n $wanted && $SERIES != "$wanted" ]]; then
            continue
        fi
        oldest=$(awk '{ print $2 }' <<<"$row")
        index "$KERNEL_SUITE" "$ARCH"
        if take_newest "$flavour" "$oldest"; then
            [[ -z $missing ]] || note "$missing: taking $RELEASE"
            return
        fi
        missing="$KERNEL_SUITE offers no $flavour kernel of series $SERIES from $oldest on, with its source"
        say "$missing"
    done < <(known_kernels)
    [[ -z $wanted ]] ||
        die "the archive offers no $flavour kernel of series $wanted (the table qemu/kernels wants it from $KERNEL_SUITE)" \
            "known series: $(known_series | paste -sd ' '); --kernel stock takes the newest that is on offer," \
            "--kernel /path/to/tree a kernel that you built with CONFIG_RUST=y"
    # shellcheck disable=SC2046 # columns
    use_row $(known_kernels | head -n 1)
    last=$SERIES
    next=$(on_offer "$KERNEL_SUITE" "$flavour" | awk '{ print $1 }' | sort -uV |
        awk -v last="$last" '{ split($1, a, "."); split(last, b, ".") } a[1] > b[1] || (a[1] == b[1] && a[2]+0 > b[2]+0)' |
        head -n 1)
    [[ -n $next ]] ||
        die "$KERNEL_SUITE offers no $flavour kernel with Rust headers that this project could use" \
            "known series: $(known_series | paste -sd ' '); newer ones are not on offer either" \
            "set EVQ_MIRROR to a mirror that has them, or use a kernel that you built: --kernel /path/to/tree"
    # Another series may be built by another compiler: its headers say which.
    SERIES=$next COMPILER=""
    take_newest "$flavour" 0 ||
        die "$KERNEL_SUITE offers headers of series $next, but no source of the same version" \
            "try again later (the mirror may be in the middle of an update), or set EVQ_MIRROR to another mirror"
    note "none of the known series ($(known_series | paste -sd ' ')) is on offer: taking $RELEASE, which this project does not know" \
        "if the driver does not build for it, docs/porting.md says how to add the series $next"
}

# choose_offered SUITE:RELEASE: exactly that kernel, as "make canary" asks.
choose_offered() {
    local suite=${1%%:*} release=${1#*:} line
    index "$suite" "$ARCH"
    line=$(on_offer "$suite" "$(flavour_in "$release")" | awk -v release="$release" '$2 == release' | head -n 1)
    [[ -n $line ]] ||
        die "$suite offers no kernel $release for $ARCH" \
            "make canary prints what trixie-backports, sid and experimental offer"
    # shellcheck disable=SC2034 # for who sources this
    read -r SERIES RELEASE VERSION <<<"$line"
    has_source "$suite" "$SERIES" "$VERSION" ||
        die "$suite has no linux-source-$SERIES of version $VERSION, which the Rust metadata of $release is made from"
    # shellcheck disable=SC2034 # the compiler is read from the kernel's .config
    KERNEL_SUITE=$suite ROOT_SUITE=$(base_suite "$suite") COMPILER=""
}

# flavour_in RELEASE: 7.3.4+deb13-rt-amd64 → rt-amd64.
flavour_in() {
    sed -E 's/^[0-9]+\.[0-9]+(\.[0-9]+)?(\+deb[0-9]+)?-//' <<<"$1"
}

# series_is_known RELEASE: whether the table has the series of a release.
series_is_known() {
    is_known "$(grep -oE '^[0-9]+\.[0-9]+' <<<"$1")"
}

# is_known SERIES: whether the table has it.
is_known() {
    known_series | grep -qxF -- "$1"
}
