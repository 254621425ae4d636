# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The stock kernel: what Debian ships, bit for bit, plus a tree that builds
# Rust modules for it. Debian's headers carry no Rust metadata; it is made here
# from the same source, configuration and compiler, without building a kernel.

# Raise it when the way a prepared kernel is made changes.
readonly STOCK_RECIPE=2
# Loaded in the guest: the kernel's own event device and a way to feed it, and
# the driver of a keyboard where it is a module.
STOCK_LOAD=(evdev uinput)
# In the guest, not loaded: drivers of a mouse and of a tablet.
STOCK_EXTRA=(psmouse virtio_input)
case $ARCH in
    arm64)
        STOCK_LOAD=(evdev uinput virtio_input)
        STOCK_EXTRA=()
        ;;
esac
readonly STOCK_LOAD STOCK_EXTRA

stock_key() {
    key_of "$STOCK_RECIPE" "${ROOT##*/}" "${STOCK_LOAD[@]}" "${STOCK_EXTRA[@]}"
}

# source_start: the source of VERSION, shared by all kernels made from it.
SOURCE=""

source_start() {
    SOURCE=$CACHE/source-$VERSION
    if [[ -d $SOURCE ]]; then
        return
    fi
    mkdir -p "$SCRATCH/source"
    # What no build of ours reads; Documentation keeps its Kconfig.
    # shellcheck disable=SC2016 # expanded by the inner shell
    start source.log "kernel source: unpack Linux $VERSION" \
        "${NS[@]}" bash -o pipefail -ec '
            tar=$(dpkg-deb --fsys-tarfile "$1"/linux-source-*.deb | tar -t | grep "\.tar\.xz$")
            dpkg-deb --fsys-tarfile "$1"/linux-source-*.deb | tar -xO "$tar" |
                xz -dcT0 | tar -x -C "$2" --strip-components=1 --no-same-owner \
                    --exclude="*/tools/testing" --exclude="*/Documentation/*/*"
        ' unpack "$SCRATCH/packages" "$SCRATCH/source"
}

source_finish() {
    if [[ -d $SOURCE ]]; then
        return
    fi
    finish source.log
    publish "$SCRATCH/source" "$SOURCE"
}

# stock_make: the kernel RELEASE of VERSION; sets KERNEL to its directory.
stock_make() {
    local begin=$SECONDS
    need dpkg-deb apt-get tar xz flock
    ns_check
    say "stock kernel: $RELEASE ($VERSION from $KERNEL_SUITE)"
    if [[ -z $COMPILER ]]; then
        stock_compiler
    fi
    use_root
    KERNEL=$CACHE/kernel-$RELEASE-$(stock_key)
    if [[ -d $KERNEL ]]; then
        return
    fi
    root_start
    local -a packages=("linux-headers-$RELEASE=$VERSION" "linux-binary-$RELEASE=$VERSION" "linux-modules-$RELEASE=$VERSION")
    if [[ ! -d $CACHE/source-$VERSION ]]; then
        packages+=("linux-source-$SERIES=$VERSION")
    fi
    step download.log "packages: download ${packages[*]%%=*}" \
        fetch "$SCRATCH/packages" "$KERNEL_SUITE" "$ARCH" "${packages[@]}"
    source_start
    mkdir -p "$SCRATCH/kernel"
    stock_unpack
    if [[ $ARCH != "$HOST_ARCH" ]]; then
        stock_busybox "$SCRATCH/kernel"
    fi
    source_finish
    root_finish
    stock_prepare
    publish "$SCRATCH/kernel" "$KERNEL"
    say "stock kernel: ready in $(clock "$begin")"
}

# The compiler of a kernel that is not in the table, from its headers.
stock_compiler() {
    local raw=$SCRATCH/compiler
    step headers.log "linux-headers-$RELEASE: download" \
        fetch "$SCRATCH/headers" "$KERNEL_SUITE" "$ARCH" "linux-headers-$RELEASE=$VERSION"
    unpack "$SCRATCH"/headers/linux-headers-*.deb "$raw" '*/.config'
    COMPILER=$(sed -nE 's/^CONFIG_CC_VERSION_TEXT="[^ ]*-(gcc-[0-9]+) .*/\1/p' "$raw/usr/src/linux-headers-$RELEASE/.config")
    [[ -n $COMPILER ]] ||
        die "cannot tell which compiler built $RELEASE: its CONFIG_CC_VERSION_TEXT names no gcc-N"
}

# stock_busybox DIRECTORY: commands of the guest, where this machine's own busybox is
# for another processor.
stock_busybox() {
    index "$DEBIAN" "$ARCH"
    step busybox.log "busybox for $ARCH: download" fetch "$SCRATCH/busybox" "$DEBIAN" "$ARCH" busybox-static
    unpack "$SCRATCH"/busybox/*.deb "$SCRATCH/busybox" '*/bin/busybox'
    mv "$(find "$SCRATCH/busybox" -type f -path '*/bin/busybox' -print -quit)" "$1/busybox"
}

# The kernel image, and the few of its 4,000 modules that a guest wants.
stock_unpack() {
    local debs=$SCRATCH/packages out=$SCRATCH/kernel raw=$SCRATCH/raw name file
    mkdir -p "$out/modules" "$out/build"
    ln -s "../${SOURCE##*/}" "$out/source"
    ln -s "../${ROOT##*/}" "$out/root"
    unpack "$debs"/linux-binary-*.deb "$raw" '*/vmlinuz'
    unpack "$debs"/linux-headers-*.deb "$raw" '*/.config' '*/Module.symvers'
    local -a patterns=()
    for name in "${STOCK_LOAD[@]}" "${STOCK_EXTRA[@]}"; do
        patterns+=("*/$name.ko*")
    done
    unpack "$debs"/linux-modules-*.deb "$raw" "${patterns[@]}"
    mv "$raw/usr/lib/modules/$RELEASE/vmlinuz" "$out/vmlinuz"
    mv "$raw/usr/src/linux-headers-$RELEASE"/{.config,Module.symvers} "$out/"
    printf '%s\n' "$RELEASE" >"$out/release"
    while IFS= read -r file; do
        xz -dc "$file" >"$out/modules/$(basename "$file" .xz)"
    done < <(find "$raw" -name '*.ko.xz')
    for name in "${STOCK_LOAD[@]}"; do
        [[ -s $out/modules/$name.ko ]] ||
            die "linux-modules-$RELEASE has no $name.ko" "Debian moved it: adapt STOCK_LOAD in qemu/kernel-stock.sh"
        printf '%s.ko\n' "$name"
    done >"$out/modules/load"
}

# Makes rust/*.rmeta, the macro libraries and the generated headers.
stock_prepare() {
    local out=$SCRATCH/kernel count
    check_toolchain "$out/.config"
    cp "$out/.config" "$out/build/.config"
    printf '%s\n' "${ROOT_MAKE[@]}" "KERNELRELEASE=$RELEASE" >"$out/make-args"
    # shellcheck disable=SC2016 # expanded by the inner shell
    step prepare.log "kernel $RELEASE: prepare for building Rust modules (about 75 s on 2 cores)" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" "$out:/evq/out" -- \
        bash -ec '
            make -C /evq/source O=/evq/build "$@" olddefconfig
            make -C /evq/source O=/evq/build "$@" prepare modules_prepare
            if grep -q "^CONFIG_PVH=y" /evq/out/.config; then
                # The unpacked image starts by PVH: emulated, that saves a second per boot.
                bash /evq/source/scripts/extract-vmlinux /evq/out/vmlinuz >/evq/out/image
                rm /evq/out/vmlinuz
            else
                mv /evq/out/vmlinuz /evq/out/image
            fi
        ' prepare -j"$JOBS" "${ROOT_MAKE[@]}" "KERNELRELEASE=$RELEASE"
    count=$(metadata_check "$out/build" "$out")
    say "kernel: all $count Rust symbols made here are those of the stock kernel"
    rm "$out/.config"
    mv "$out/Module.symvers" "$out/build/Module.symvers"
}
