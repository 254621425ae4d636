# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Kernels built from the stock kernel's source in a build root: tinyconfig plus
# fragments. "tiny" boots fastest; "debug" has the kernel's checkers on top.

# Raise it when the way such a kernel is built changes.
readonly BUILT_RECIPE=1

# The kernel that is asked for, and its fragments.
BUILT=""
FRAGMENTS=()

built_find() {
    compgen -G "$CACHE/kernel-*-$BUILT-$(built_key)" | sort -V | tail -n 1 || true
}

built_key() {
    key_of "$BUILT_RECIPE" "${ROOT##*/}" "$(cat "${FRAGMENTS[@]}")"
}

# built NAME FRAGMENT...: prints the directory of the newest kernel made with
# today's fragments; a later one has the last word.
built() {
    local dir
    BUILT=$1
    shift
    FRAGMENTS=("${@/#/$TOP/qemu/}")
    dir=$(built_find)
    if [[ -z $dir ]]; then
        lock_cache
        dir=$(built_find)
    fi
    if [[ -z $dir ]]; then
        built_make
        dir=$(built_find)
    fi
    printf '%s\n' "$dir"
}

built_make() {
    local version begin=$SECONDS out=$SCRATCH/kernel
    ns_check
    root_start
    # A source that is here already does; only a first run asks the mirror.
    SOURCE=$(compgen -G "$CACHE/source-*" | sort -V | tail -n 1) || true
    if [[ -z $SOURCE ]]; then
        need dpkg-deb apt-get tar xz
        step index.log "package lists of $SUITE-backports: fetch" private_apt apt-get update
        version=$(newest_version amd64)
        step download.log "kernel source $version: download" \
            fetch "$SCRATCH/packages" "linux-source-$SERIES=$(source_version "$version")"
        source_start "$version"
        source_finish
    fi
    root_finish
    version=${SOURCE##*/source-}
    mkdir -p "$out/modules" "$out/build"
    ln -s "../${SOURCE##*/}" "$out/source"
    ln -s "../${ROOT##*/}" "$out/root"
    : >"$out/modules/load"
    # The last line for an option counts.
    cat "${FRAGMENTS[@]}" | grep '^CONFIG_' | tac | awk -F= '!seen[$1]++' | tac >"$out/build/fragment"
    printf '%s\n' "${ROOT_MAKE[@]}" >"$out/make-args"
    built_configure "$out"
    step build.log "kernel $version: build $BUILT (5 to 10 minutes on 2 cores)" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" -- \
        make -C /evq/source O=/evq/build -j"$JOBS" "${ROOT_MAKE[@]}" \
        KBUILD_BUILD_USER=evq KBUILD_BUILD_HOST=evq vmlinux modules_prepare modules
    ln -s build/vmlinux "$out/image"
    ln -s build/vmlinux "$out/vmlinux"
    cp "$out/build/include/config/kernel.release" "$out/release"
    # What only a rebuild of the kernel itself would use again.
    find "$out/build" \( -name '*.a' -o -name vmlinux.o -o -name '.tmp_vmlinux*' \) -delete
    publish "$out" "$CACHE/kernel-$version-$BUILT-$(built_key)"
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
