# shellcheck shell=bash
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# What every provisioning step shares: messages, the cache, running long
# commands, and private namespaces. Sourced, never run.
#
# A step works in a temporary directory beside its target and renames it when
# it is complete, so whatever exists under its final name is whole. One lock
# covers the cache; the temporary directories of a killed run are removed by
# the next one that takes the lock.

# The checkout that these scripts belong to.
TOP=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Where kernels and build roots are kept: outside the checkout, so that
# "git clean" and a second clone do not cost a kernel.
CACHE=${EVQ_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/evq}
JOBS=$(nproc)
# shellcheck disable=SC2034 # for who sources this
readonly TOP CACHE JOBS

say() {
    printf 'evq: %s\n' "$*" >&2
}

# die MESSAGE [HINT...]: what failed and why, then what to do about it.
die() {
    printf 'evq: error: %s\n' "$1" >&2
    shift
    local hint
    for hint in "$@"; do
        printf 'evq:        %s\n' "$hint" >&2
    done
    exit 1
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null ||
            die "'$tool' is not installed" "run qemu/setup, it installs what is missing"
    done
}

# Ten characters that change whenever an input of a cached step changes.
key_of() {
    printf '%s\n' "$@" | sha256sum | cut -c1-10
}

# Runs what follows as (mapped) root in mount and PID namespaces of its own.
# Nothing stays mounted and no process survives when the command ends or this
# script is killed, by SIGKILL too. An array, so that bash can exec it as a
# background job without a subshell between, which would outlive the script.
NS=(setpriv --pdeathsig KILL unshare)
if [[ $EUID -ne 0 ]]; then
    NS+=(--user --map-root-user --map-auto)
fi
NS+=(--mount --pid --fork --kill-child)

# Fails early, with the reason, where NS could not work later.
ns_check() {
    need unshare setpriv
    if [[ $EUID -ne 0 ]]; then
        need newuidmap
        grep -q "^$(id -un):" /etc/subuid 2>/dev/null ||
            die "user $(id -un) has no range in /etc/subuid, so a build root cannot be made without root" \
                "as root: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $(id -un)" \
                "or run this once as root with EVQ_CACHE=$CACHE"
    fi
    local why
    why=$("${NS[@]}" true 2>&1) ||
        die "cannot create the namespaces that the build root needs: ${why:-unshare failed}" \
            "in a container: allow user and mount namespaces; else run this as root"
}

# Files of the build root can belong to mapped users: remove them as such.
remove() {
    local path
    for path in "$@"; do
        [[ -e $path || -L $path ]] || continue
        rm -rf -- "$path" 2>/dev/null || "${NS[@]}" rm -rf -- "$path"
    done
}

# publish DIRECTORY TARGET: give a complete directory its final name. One that
# is there already is as good, and may be in use.
publish() {
    [[ -d $2 ]] || mv -T -- "$1" "$2"
}

SCRATCH=""

# One provisioning at a time; what a killed one left behind goes first.
lock_cache() {
    mkdir -p -- "$CACHE/log" ||
        die "cannot create the cache directory $CACHE" "point EVQ_CACHE to a directory that can be written"
    exec 9>"$CACHE/lock"
    if ! flock --nonblock 9; then
        say "another run is preparing $CACHE, waiting for it"
        flock 9
    fi
    local old
    for old in "$CACHE"/tmp.*; do
        [[ -e $old ]] || continue
        say "removing ${old##*/}, left by an interrupted run"
        remove "$old"
    done
    SCRATCH=$(mktemp -d "$CACHE/tmp.XXXXXX")
    chmod 755 "$SCRATCH"
    trap cleanup EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
}

cleanup() {
    local status=$? pids
    trap - EXIT
    pids=$(jobs -p)
    if [[ -n $pids ]]; then
        # shellcheck disable=SC2086 # one word per process
        kill -KILL $pids 2>/dev/null || true
        # Their last writes must not race with the removal.
        wait 2>/dev/null || true
    fi
    remove "$SCRATCH"
    exit "$status"
}

clock() {
    printf '%d s' "$((SECONDS - $1))"
}

# Shows that a long step lives: counts the lines that it logs. Only on a
# terminal, a log file is not helped by it.
ticker() {
    local text=$1 log=$2
    while sleep 1; do
        printf '\revq: %s … %s lines ' "$text" "$(wc -l 2>/dev/null <"$log" || echo 0)" >&2
    done
}

# start NAME TEXT COMMAND...: begin a long command whose output goes to a log.
# finish NAME: wait for it, report its time, or show why it failed.
declare -A STEP_PID=() STEP_TEXT=() STEP_START=()

start() {
    local name=$1
    STEP_TEXT[$name]=$2
    STEP_START[$name]=$SECONDS
    shift 2
    say "${STEP_TEXT[$name]} …"
    "$@" >"$CACHE/log/$name" 2>&1 &
    STEP_PID[$name]=$!
}

finish() {
    local name=$1 status=0 tick="" log=$CACHE/log/$1
    if [[ -t 2 ]]; then
        ticker "${STEP_TEXT[$name]}" "$log" &
        tick=$!
    fi
    wait "${STEP_PID[$name]}" || status=$?
    if [[ -n $tick ]]; then
        kill "$tick" 2>/dev/null || true
        wait "$tick" 2>/dev/null || true
        printf '\r\033[K' >&2
    fi
    if [[ $status -ne 0 ]]; then
        tail -n 25 -- "$log" | sed 's/^/    /' >&2
        die "${STEP_TEXT[$name]}: failed with status $status" \
            "the whole log is $log" \
            "what was complete before is kept, so running it again continues there"
    fi
    say "${STEP_TEXT[$name]}: done in $(clock "${STEP_START[$name]}")"
}

step() {
    start "$@"
    finish "$1"
}
