# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Kernels built from the stock kernel's source in its build root: tinyconfig
# plus a fragment. Boots fastest, and every option is ours to change.

# Raise it when the way such a kernel is built changes.
readonly TINY_RECIPE=1

tiny_find() {
    compgen -G "$CACHE/kernel-*-tiny-$(tiny_key)" | sort -V | tail -n 1 || true
}

tiny_key() {
    key_of "$TINY_RECIPE" "${ROOT##*/}" "$(cat "$TOP/qemu/tiny.config")"
}

# tiny: prints the directory of the newest kernel made with today's fragment.
tiny() {
    local dir
    dir=$(tiny_find)
    if [[ -z $dir ]]; then
        lock_cache
        dir=$(tiny_find)
    fi
    if [[ -z $dir ]]; then
        tiny_make
        dir=$(tiny_find)
    fi
    printf '%s\n' "$dir"
}

tiny_make() {
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
    cp "$TOP/qemu/tiny.config" "$out/build/fragment"
    printf '%s\n' "${ROOT_MAKE[@]}" >"$out/make-args"
    tiny_configure "$out"
    step build.log "kernel $version: build the tiny one (about 5 minutes on 2 cores)" \
        "$TOP/qemu/kernel-enter" "$ROOT" "$SOURCE:/evq/source:ro" "$out/build:/evq/build" -- \
        make -C /evq/source O=/evq/build -j"$JOBS" "${ROOT_MAKE[@]}" \
        KBUILD_BUILD_USER=evq KBUILD_BUILD_HOST=evq vmlinux modules_prepare modules
    ln -s build/vmlinux "$out/image"
    ln -s build/vmlinux "$out/vmlinux"
    cp "$out/build/include/config/kernel.release" "$out/release"
    # What only a rebuild of the kernel itself would use again.
    find "$out/build" \( -name '*.a' -o -name vmlinux.o -o -name '.tmp_vmlinux*' \) -delete
    publish "$out" "$CACHE/kernel-$version-tiny-$(tiny_key)"
    say "tiny kernel: ready in $(clock "$begin")"
}

# tinyconfig + fragment. Kconfig drops what lacks a dependency without a word:
# compare line by line, "=n" meaning not set.
tiny_configure() {
    local out=$1 line name value lost=()
    # shellcheck disable=SC2016 # expanded by the inner shell
    step config.log "tiny kernel: configure" \
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
    done < <(grep '^CONFIG_' "$out/build/fragment")
    [[ ${#lost[@]} -eq 0 ]] ||
        die "tiny kernel: Kconfig dropped or changed ${lost[*]}" \
            "an option that these depend on is missing, or was renamed: see qemu/tiny.config;" \
            "the log is $CACHE/log/config.log"
}
