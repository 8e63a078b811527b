#!/bin/sh
# Runs a verb of a container image as if it were a command of this host.
# Written by preverb @VERSION@ (`preverb --shim`).
#
# The current directory is mounted at the same path, new files belong to the caller,
# and every argument is passed unchanged.
# CONTAINER_ENGINE names the client of the engine; without it, docker.
set -eu

fail() {
    printf '%s: %s\n' "${0##*/}" "$1" >&2
    exit 125
}

# `--mount` takes a CSV record: a field with a comma, a double quote or a newline is
# put in double quotes, and a double quote in it is doubled.
double() {
    case $1 in
        *'"'*)
            printf '%s""' "${1%%\"*}"
            double "${1#*\"}"
            ;;
        *) printf '%s' "$1" ;;
    esac
}
field() {
    case $1 in
        *[,\"]* | *'
'*)
            printf '"'
            double "$1"
            printf '"'
            ;;
        *) printf '%s' "$1" ;;
    esac
}

podman_without_root() {
    if [ "$(id -u)" = 0 ]; then
        return 1
    fi
    case ${CONTAINER_ENGINE:-docker} in
        podman | */podman) return 0 ;;
    esac
    # podman may be installed as docker.
    case $("${CONTAINER_ENGINE:-docker}" --version </dev/null 2>/dev/null) in
        podman*) return 0 ;;
    esac
    return 1
}

if ! command -v "${CONTAINER_ENGINE:-docker}" >/dev/null; then
    fail "the container engine \`${CONTAINER_ENGINE:-docker}\` is not found; set CONTAINER_ENGINE to use another one"
fi
case ${PWD-} in
    /*[!/]*) ;;
    /*) fail 'the directory / cannot be mounted over that of the container; run this in another directory' ;;
    *) fail 'the current directory has no path' ;;
esac
@ARGUMENTS@
set -- "--user=$(id -u):$(id -g)" "$@"
set -- "--workdir=$PWD" "--mount=type=bind,$(field "source=$PWD"),$(field "target=$PWD")" "$@"
if podman_without_root; then
    # Otherwise podman maps the caller's ids to other ids in the container.
    set -- --userns=keep-id "$@"
fi
# A pipe must stay a pipe: ask for a terminal only if input and output are terminals.
if [ -t 0 ] && [ -t 1 ]; then
    set -- -t "$@"
fi
exec "${CONTAINER_ENGINE:-docker}" run --rm -i "$@"
