# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# A kernel tree (or installed headers) that somebody else made: what it needs
# to take Rust modules, and which compilers fit it.

# The value of an option in a .config, without quotes; empty if it is not set.
config_of() {
    sed -nE "s/^CONFIG_$2=\"?([^\"]*)\"?\$/\\1/p" "$1/.config"
}

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
    local file
    for file in rust/libkernel.rmeta rust/libcore.rmeta rust/libmacros.so scripts/target.json; do
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

# tree_make_args DIR: prints make's arguments, one per line, that select the
# compilers which built the tree; dies if they are not installed.
tree_make_args() {
    local tree=$1 want tool
    want=$(config_of "$tree" RUSTC_VERSION_TEXT)
    for tool in "${RUSTC:-rustc}" /usr/bin/rustc /usr/bin/rustc-[0-9]* ""; do
        [[ -n $tool ]] || die "the kernel of $tree was built with '$want', and no rustc here is exactly that (rustc in PATH: $(rustc --version 2>/dev/null || echo none))" \
            "names of Rust symbols depend on the compiler's whole version string: install the rustc" \
            "that built the kernel (the distribution's own for a distribution's kernel) or set RUSTC=/path/to/rustc"
        if [[ $("$tool" --version 2>/dev/null) == "$want" ]]; then
            printf 'RUSTC=%s\n' "$tool"
            break
        fi
    done
    want=$(config_of "$tree" CC_VERSION_TEXT)
    if [[ $(config_of "$tree" CC_IS_CLANG) == y ]]; then
        local major
        major=$(sed -nE 's/.*version ([0-9]+)\..*/\1/p' <<<"$want")
        if [[ $("clang-$major" --version 2>/dev/null | head -n 1) == "$want" ]]; then
            printf 'LLVM=-%s\n' "$major"
            return
        fi
        tool=clang
    else
        # The text begins with the name that the compiler was called by.
        tool=${want%% *}
    fi
    [[ $("$tool" --version 2>/dev/null | head -n 1) == "$want" ]] ||
        die "the kernel of $tree was built with '$want', and '$tool' here is '$("$tool" --version 2>/dev/null | head -n 1)'" \
            "install that compiler (Debian and Ubuntu: apt-get install ${tool##*/x86_64-linux-gnu-})"
    if [[ $tool == clang ]]; then
        printf 'LLVM=1\n'
    else
        printf 'CC=%s\n' "$tool"
    fi
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
