# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The architecture of the guest: $EVQ_ARCH, by default that of this machine.
# Sourced after lib.sh.

# arch_of NAME: prints Debian's name of an architecture; dies for one that is
# not supported.
arch_of() {
    case $1 in
        amd64 | x86_64 | x86-64 | x86) echo amd64 ;;
        arm64 | aarch64) echo arm64 ;;
        *)
            die "unknown architecture '$1'" "supported: amd64 (x86_64) and arm64 (aarch64)" \
                "Debian's riscv64 kernels are built without CONFIG_RUST, see docs/install.md"
            ;;
    esac
}

HOST_ARCH=$(arch_of "$(uname -m)")
ARCH=$(arch_of "${EVQ_ARCH:-$HOST_ARCH}")

# What the kernel's build and the programs call it.
# shellcheck disable=SC2034 # for who sources this
case $ARCH in
    amd64)
        KERNEL_ARCH=x86 GNU_ARCH=x86_64-linux-gnu RUST_TARGET=x86_64-unknown-linux-gnu
        QEMU=qemu-system-x86_64 QEMU_PACKAGE=qemu-system-x86
        ;;
    arm64)
        KERNEL_ARCH=arm64 GNU_ARCH=aarch64-linux-gnu RUST_TARGET=aarch64-unknown-linux-gnu
        QEMU=qemu-system-aarch64 QEMU_PACKAGE=qemu-system-arm
        ;;
esac
# shellcheck disable=SC2034 # for who sources this
readonly HOST_ARCH ARCH KERNEL_ARCH GNU_ARCH RUST_TARGET QEMU QEMU_PACKAGE
