# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Kernels built from the stock kernel's source in a build root: tinyconfig plus
# fragments. "tiny" boots fastest; "debug" has the kernel's checkers on top.

# Raise it when the way such a kernel is built changes.
readonly BUILT_RECIPE=2

# The kernel that is asked for, and its fragments; a later one has the last word.
BUILT=""
FRAGMENTS=()

built_key() {
    key_of "$BUILT_RECIPE" "${ROOT##*/}" "$(cat "${FRAGMENTS[@]}")"
}

# built_make NAME: builds NAME, tiny or debug, from the source of VERSION; sets
# KERNEL to its directory.
built_make() {
    local begin=$SECONDS out=$SCRATCH/kernel
    BUILT=$1
    FRAGMENTS=("$TOP/qemu/tiny.config")
    if [[ $BUILT == debug ]]; then
        FRAGMENTS+=("$TOP/qemu/debug.config")
        use_root clang
    else
        use_root
    fi
    KERNEL=$CACHE/kernel-$VERSION-$BUILT-$(built_key)
    if [[ -d $KERNEL ]]; then
        return
    fi
    need dpkg-deb apt-get tar xz
    ns_check
    root_start
    if [[ ! -d $CACHE/source-$VERSION ]]; then
        step download.log "kernel source $VERSION: download" \
            fetch "$SCRATCH/packages" "$KERNEL_SUITE" "$ARCH" "linux-source-$SERIES=$VERSION"
    fi
    source_start
    source_finish
    root_finish
    mkdir -p "$out/modules" "$out/build"
    ln -s "../${SOURCE##*/}" "$out/source"
    ln -s "../${ROOT##*/}" "$out/root"
    : >"$out/modules/load"
    # The last line for an option counts.
    cat "${FRAGMENTS[@]}" | grep '^CONFIG_' | tac | awk -F= '!seen[$1]++' | tac >"$out/build/fragment"
    printf '%s\n' "${ROOT_MAKE[@]}" >"$out/make-args"
    built_configure "$out"
    step build.log "kernel $VERSION: build $BUILT (5 to 10 minutes on 2 cores)" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" -- \
        make -C /evq/source O=/evq/build -j"$JOBS" "${ROOT_MAKE[@]}" \
        KBUILD_BUILD_USER=evq KBUILD_BUILD_HOST=evq vmlinux modules_prepare modules
    ln -s build/vmlinux "$out/image"
    ln -s build/vmlinux "$out/vmlinux"
    cp "$out/build/include/config/kernel.release" "$out/release"
    # What only a rebuild of the kernel itself would use again.
    find "$out/build" \( -name '*.a' -o -name vmlinux.o -o -name '.tmp_vmlinux*' \) -delete
    publish "$out" "$KERNEL"
    say "$BUILT kernel: ready in $(clock "$begin")"
}

# tinyconfig + fragment. Kconfig drops what lacks a dependency without a word:
# compare line by line, "=n" meaning not set.
built_configure() {
    local out=$1 line name value lost=()
    # shellcheck disable=SC2016 # expanded by the inner shell
    step config.log "$BUILT kernel: configure" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" -- \
        bash -ec '
            make -C /evq/source O=/evq/build "$@" tinyconfig
            cat /evq/build/fragment >>/evq/build/.config
            make -C /evq/source O=/evq/build "$@" olddefconfig
        ' configure "${ROOT_MAKE[@]}"
    while IFS= read -r line; do
        name=${line%%=*} value=${line#*=}
        if [[ $value == n ]]; then
            ! grep -q "^$name=" "$out/build/.config" || lost+=("$line")
        else
            grep -qxF -- "$line" "$out/build/.config" || lost+=("$line")
        fi
    done <"$out/build/fragment"
    [[ ${#lost[@]} -eq 0 ]] ||
        die "$BUILT kernel: Kconfig dropped or changed ${lost[*]}" \
            "an option that these depend on is missing, or was renamed: see ${FRAGMENTS[*]##*/} in qemu/;" \
            "the log is $CACHE/log/config.log"
}
