# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The build root: a small Debian of the suite that built the stock kernels.
# The names of the kernel's Rust symbols depend on the compiler's whole version
# string, so only the distribution's own rustc makes modules that fit.

# rust-clippy and rustfmt are for the driver's lints.
readonly ROOT_BASE=(rustc rust-src rustfmt rust-clippy bindgen
    gcc libc6-dev make flex bison bc
    libelf-dev libssl-dev openssl pahole libclang1 kmod xz-utils zstd python3)
# For kernels that gcc cannot build: with it, KASAN and Rust exclude each other.
readonly CLANG_PACKAGES=(clang-19 lld-19 llvm-19)
# Raise it when the way the root is made changes.
readonly ROOT_RECIPE=2

# use_root [clang]: sets ROOT, ROOT_PACKAGES and ROOT_MAKE (how make is called for
# kernels) for ROOT_SUITE, COMPILER and ARCH. One root has the compilers for both
# architectures.
ROOT="" ROOT_PACKAGES=() ROOT_MAKE=()

use_root() {
    local compilers
    mapfile -t compilers < <(printf "$COMPILER-%s\n" x86-64-linux-gnu aarch64-linux-gnu)
    ROOT_PACKAGES=("${ROOT_BASE[@]}" "$COMPILER" "${compilers[@]}")
    if [[ $ROOT_SUITE != trixie ]]; then
        # Later suites have no package of that name without headers.
        ROOT_PACKAGES=("${ROOT_PACKAGES[@]/%libclang1/libclang-dev}")
    fi
    # How Debian calls make for its kernels.
    # shellcheck disable=SC2034 # for who sources this
    ROOT_MAKE=("ARCH=$KERNEL_ARCH" "CROSS_COMPILE=$GNU_ARCH-" "CC=$GNU_ARCH-$COMPILER")
    if [[ ${1:-} == clang ]]; then
        ROOT_PACKAGES+=("${CLANG_PACKAGES[@]}")
        # shellcheck disable=SC2034 # for who sources this
        ROOT_MAKE=("ARCH=$KERNEL_ARCH" LLVM=-19)
    fi
    ROOT=$CACHE/root-$ROOT_SUITE-$(key_of "$ROOT_RECIPE" "${ROOT_PACKAGES[@]}")
}

in_root() {
    "$TOP/qemu/kernel-enter" "$ROOT" "$@"
}

# Begins to make the build root unless it exists; root_finish waits for it.
root_start() {
    if [[ -d $ROOT ]]; then
        return
    fi
    root_command "$ROOT_SUITE" "$HOST_ARCH" apt "$SCRATCH/root" "${ROOT_PACKAGES[@]}"
    start buildroot.log "build root: install Debian $ROOT_SUITE with its rustc and $COMPILER" "${ROOT_COMMAND[@]}"
}

root_finish() {
    if [[ -d $ROOT ]]; then
        return
    fi
    finish buildroot.log
    mkdir -p "$SCRATCH"/root/evq/{source,build,checkout,out,packages}
    publish "$SCRATCH/root" "$ROOT"
}

# check_toolchain CONFIG: the compilers in the root against those that built
# the kernel of this .config. Prints nothing when they are the same.
check_toolchain() {
    local config=$1 pair option have want
    for pair in 'RUSTC_VERSION_TEXT|rustc --version' \
        "CC_VERSION_TEXT|$GNU_ARCH-$COMPILER --version" \
        'BINDGEN_VERSION_TEXT|bindgen --version'; do
        option=CONFIG_${pair%%|*}
        want=$(sed -n "s/^$option=\"\\(.*\\)\"\$/\\1/p" "$config")
        # shellcheck disable=SC2086 # a command and its option
        have=$(in_root -- ${pair#*|} | head -n 1)
        [[ $have == "$want" ]] ||
            die "the kernel was built with '$want', but the build root has '$have' ($option)" \
                "Rust symbols depend on the compiler's exact version, so a module would not load" \
                "qemu/kernel --remove and run again for the suite's present toolchain; if it stays so," \
                "the kernel on offer was built with another one: see the toolchain in qemu/kernels and docs/porting.md"
    done
}
