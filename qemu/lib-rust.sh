# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Rust modules for a kernel that somebody else built: the compilers that fit it,
# and whether Rust metadata made here does. Part of the DKMS package too, so it
# takes nothing else in; who sources it has die.

# The value of an option in a .config, without quotes; empty if it is not set.
config_of() {
    sed -nE "s/^CONFIG_$2=\"?([^\"]*)\"?\$/\\1/p" "$1/.config"
}

# compilers_of DIR: prints make's arguments, one per line, that select the
# compilers which built the tree; dies if they are not installed.
compilers_of() {
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
            "install that compiler (Debian and Ubuntu: apt-get install $(sed -E 's/^.*linux-gnu-//' <<<"$tool"))"
    if [[ $tool == clang ]]; then
        printf 'LLVM=1\n'
    else
        printf 'CC=%s\n' "$tool"
    fi
}

# metadata_check BUILD KERNEL: a module fits only if the crates made in BUILD are
# configured as the kernel that KERNEL has .config and Module.symvers of, and
# export its own symbols. Prints how many these are, or dies.
metadata_check() {
    local options='^CONFIG_(RUST|CC_VERSION|GCC|MODVERSIONS|MODULE_)' changed ours missing
    changed=$(diff <(grep -E "$options" "$2/.config") <(grep -E "$options" "$1/.config")) ||
        die "the kernel's configuration changed when it was prepared here:" "$changed"
    ours=$(sed -nE 's/^EXPORT_SYMBOL_RUST_GPL\(([^)]+)\);?$/\1/p' "$1"/rust/exports_*_generated.h | sort -u)
    missing=$(comm -23 <(printf '%s\n' "$ours") <(cut -f2 "$2/Module.symvers" | sort -u))
    [[ -n $ours && -z $missing ]] ||
        die "the Rust crates made here do not match the kernel: of $(wc -w <<<"$ours") exported symbols it lacks $(wc -w <<<"$missing")" \
            "first of them: $(head -n 1 <<<"$missing")" \
            "the kernel was built with another compiler, or from another source"
    wc -l <<<"$ours"
}
