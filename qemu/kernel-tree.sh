# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A kernel tree (or installed headers) that somebody else made: what it needs
# to take Rust modules.

# tree_check DIR: dies with the first thing that keeps a Rust module from
# being built for the tree, and what to do about it.
tree_check() {
    local tree=$1 stock="or build for Debian's stock kernel, which needs nothing from this tree: make module KERNEL=stock"
    [[ -r $tree/.config ]] ||
        die "$tree is no configured kernel tree: it has no readable .config" \
            "configure and build it, or install the headers of that kernel" "$stock"
    [[ $(config_of "$tree" RUST) == y ]] ||
        die "the kernel of $tree is built without CONFIG_RUST, so it cannot take Rust modules" \
            "'make LLVM=1 rustavailable' in its source says what its build lacked;" \
            "then set CONFIG_RUST=y, build it and boot it" "$stock"
    [[ $(config_of "$tree" MODULES) == y ]] ||
        die "the kernel of $tree is built without CONFIG_MODULES" "set it and build the kernel again"
    local file want=ARM64
    local -a metadata=(rust/libkernel.rmeta rust/libcore.rmeta rust/libmacros.so)
    if [[ $ARCH == amd64 ]]; then
        want=X86_64
        # Only x86 describes its target in a file.
        metadata+=(scripts/target.json)
    fi
    [[ $(config_of "$tree" "$want") == y ]] ||
        die "$tree is not a kernel tree for $ARCH (CONFIG_$want is not set)" \
            "make ARCH=amd64 or ARCH=arm64 says what to build for"
    for file in "${metadata[@]}"; do
        [[ -e $tree/$file ]] ||
            die "$tree has CONFIG_RUST=y, but carries no Rust metadata ($file is missing)" \
                "a tree: run 'make prepare modules_prepare' in it" \
                "Ubuntu: install linux-lib-rust-$(tree_release "$tree")" \
                "Debian's headers leave it out" "$stock"
    done
    [[ -s $tree/Module.symvers ]] ||
        die "$tree has no Module.symvers, so the module's symbols cannot be resolved" \
            "finish the kernel's build ('make') or install complete headers"
}

tree_release() {
    cat "$1/include/config/kernel.release" 2>/dev/null || echo unknown
}

# Where the products of a tree go: its name, and a hash, as names repeat.
tree_name() {
    printf '%s-%s\n' "$(basename "$1")" "$(key_of "$1")"
}

# tree DIR: prints a directory laid out as for the kernels that are made here.
# Cheap, so it is made anew each time: the tree may have been rebuilt.
tree() {
    local tree dir image name file
    tree=$(realpath -- "$1")
    tree_check "$tree"
    lock_cache
    dir=$SCRATCH/kernel
    mkdir -p "$dir/modules"
    if [[ $(config_of "$tree" PVH) == y ]]; then
        image=$tree/vmlinux
    elif [[ $ARCH == arm64 ]]; then
        image=$tree/arch/arm64/boot/Image
    else
        image=$tree/arch/x86/boot/bzImage
    fi
    [[ -r $image ]] ||
        die "$tree has no $image to boot" "finish the kernel's build ('make' in the tree)"
    ln -s "$image" "$dir/image"
    ln -s "$tree/vmlinux" "$dir/vmlinux"
    ln -s "$tree" "$dir/build"
    tree_release "$tree" >"$dir/release"
    : >"$dir/modules/load"
    if [[ $ARCH != "$HOST_ARCH" ]]; then
        stock_busybox "$dir"
    fi
    for name in evdev uinput; do
        file=$(find "$tree/drivers/input" -name "$name.ko" -print -quit)
        if [[ -n $file ]]; then
            cp "$file" "$dir/modules/"
            printf '%s.ko\n' "$name" >>"$dir/modules/load"
        fi
    done
    local final
    final=$CACHE/tree-$(tree_name "$tree")
    remove "$final"
    mv -T "$dir" "$final"
    printf '%s\n' "$final"
}
