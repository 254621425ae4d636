# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The stock kernel: what Debian ships, bit for bit, plus a tree that builds
# Rust modules for it. Debian's headers carry no Rust metadata; it is made here
# from the same source, configuration and compiler, without building a kernel.

# Raise it when the way a prepared kernel is made changes.
readonly STOCK_RECIPE=1
# Loaded in the guest: the kernel's own event device and a way to feed it.
readonly STOCK_LOAD=(evdev uinput)
# At hand in the guest for who wants a mouse or a tablet.
readonly STOCK_EXTRA=(psmouse virtio_input)

stock_find() {
    local flavour=$1
    # "amd64" must not find "rt-amd64".
    compgen -G "$CACHE/kernel-*-$flavour-$(stock_key)" |
        grep -E "/kernel-[0-9.]+\\+deb[0-9]+-$flavour-[0-9a-f]+\$" | sort -V | tail -n 1 || true
}

stock_key() {
    key_of "$STOCK_RECIPE" "${ROOT##*/}" "${STOCK_LOAD[@]}" "${STOCK_EXTRA[@]}"
}

# source_start VERSION: the kernel's source, shared by all kernels made from it.
SOURCE=""

source_start() {
    local version=$1
    SOURCE=$CACHE/source-$version
    if [[ -d $SOURCE ]]; then
        return
    fi
    mkdir -p "$SCRATCH/source"
    # What no build of ours reads; Documentation keeps its Kconfig.
    # shellcheck disable=SC2016 # expanded by the inner shell
    start source.log "kernel source: unpack Linux $version" \
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

# stock FLAVOUR: prints the directory of the newest good kernel of a flavour.
stock() {
    local flavour=$1 dir
    dir=$(stock_find "$flavour")
    if [[ -z $dir ]]; then
        lock_cache
        # Another run may have made it while this one waited for the lock.
        dir=$(stock_find "$flavour")
    fi
    if [[ -z $dir ]]; then
        stock_make "$flavour"
        dir=$(stock_find "$flavour")
    fi
    printf '%s\n' "$dir"
}

stock_make() {
    local flavour=$1 version release begin=$SECONDS
    need dpkg-deb apt-get tar xz flock
    ns_check
    root_start
    step index.log "package lists of $SUITE-backports: fetch" private_apt apt-get update
    version=$(newest_version "$flavour")
    release=$(release_of "$version" "$flavour")
    say "stock kernel: $release (newest on offer from $OLDEST up in $SERIES)"
    local -a packages=("linux-headers-$release" "linux-binary-$release" "linux-modules-$release")
    if [[ ! -d $CACHE/source-$version ]]; then
        packages+=("linux-source-$SERIES=$(source_version "$version")")
    fi
    step download.log "packages: download ${packages[*]}" fetch "$SCRATCH/packages" "${packages[@]}"
    source_start "$version"
    stock_unpack "$release"
    source_finish
    root_finish
    stock_prepare "$release"
    publish "$SCRATCH/kernel" "$CACHE/kernel-$release-$(stock_key)"
    say "stock kernel: ready in $(clock "$begin")"
}

# The kernel image, and the few of its 4,000 modules that a guest wants.
stock_unpack() {
    local release=$1 debs=$SCRATCH/packages out=$SCRATCH/kernel raw=$SCRATCH/raw name file
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
    mv "$raw/usr/lib/modules/$release/vmlinuz" "$out/vmlinuz"
    mv "$raw/usr/src/linux-headers-$release"/{.config,Module.symvers} "$out/"
    printf '%s\n' "$release" >"$out/release"
    while IFS= read -r file; do
        xz -dc "$file" >"$out/modules/$(basename "$file" .xz)"
    done < <(find "$raw" -name '*.ko.xz')
    for name in "${STOCK_LOAD[@]}"; do
        [[ -s $out/modules/$name.ko ]] ||
            die "linux-modules-$release has no $name.ko" "Debian moved it: adapt STOCK_LOAD in qemu/kernel-stock.sh"
        printf '%s.ko\n' "$name"
    done >"$out/modules/load"
}

# Makes rust/*.rmeta, the macro libraries and the generated headers.
stock_prepare() {
    local release=$1 out=$SCRATCH/kernel count
    check_toolchain "$out/.config"
    cp "$out/.config" "$out/build/.config"
    printf '%s\n' "${ROOT_MAKE[@]}" "KERNELRELEASE=$release" >"$out/make-args"
    # shellcheck disable=SC2016 # expanded by the inner shell
    step prepare.log "kernel $release: prepare for building Rust modules (about 75 s on 2 cores)" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" "$out:/evq/out" -- \
        bash -ec '
            make -C /evq/source O=/evq/build "$@" olddefconfig
            make -C /evq/source O=/evq/build "$@" prepare modules_prepare
            # The unpacked image starts by PVH: emulated, that saves a second per boot.
            bash /evq/source/scripts/extract-vmlinux /evq/out/vmlinuz >/evq/out/image
        ' prepare -j"$JOBS" "${ROOT_MAKE[@]}" "KERNELRELEASE=$release"
    grep -q '^CONFIG_PVH=y' "$out/.config" || cp "$out/vmlinuz" "$out/image"
    rm "$out/vmlinuz"
    count=$(metadata_check "$out/build" "$out")
    say "kernel: all $count Rust symbols made here are those of the stock kernel"
    rm "$out/.config"
    mv "$out/Module.symvers" "$out/build/Module.symvers"
}
