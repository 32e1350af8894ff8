#!/usr/bin/env bash
# Pin what pyproject.toml asks for, with hashes, from PyPI alone: no index, mirror or wheel folder of this machine.
# `lock.sh --upgrade` also moves what is pinned already.
set -euo pipefail
cd "$(dirname "$0")/.."
unset PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_TRUSTED_HOST
export PIP_CONFIG_FILE=/dev/null
.venv/bin/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' ||
    { echo "Lock with the oldest Python we support: make clean lock PYTHON=python3.11" >&2 && exit 1; }

compile() { # OUTPUT SOURCE OPTION...
    local output=$1 source=$2
    shift 2
    .venv/bin/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
        --output-file "$output" "$@" "$source"
    sed -i '1i # Made by "make lock" from pyproject.toml; do not edit.' "$output"
}

# The libraries that the benchmark compares with live apart from the hub: their lock holds nothing of it.
compared=$(mktemp --suffix=.in)
trap 'rm -f "$compared"' EXIT
.venv/bin/python -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
    print(*p["optional-dependencies"]["bench"], sep="\n")' >"$compared"

compile requirements.lock pyproject.toml --build-deps-for editable "$@"
compile requirements-dev.lock pyproject.toml --build-deps-for editable --extra dev --constraint requirements.lock "$@"
compile requirements-bench.lock "$compared" "$@"
