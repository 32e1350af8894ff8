#!/usr/bin/env bash
# Make .venv and fill it: `venv.sh runtime` with what the hub needs, `venv.sh dev` with what its tests need as well.
# `venv.sh bench` makes .venv-bench instead, with the libraries that the hub is compared with.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
venv=.venv
case ${1:-} in
runtime) lock=requirements.lock ;;
dev) lock=requirements-dev.lock ;;
bench) lock=requirements-bench.lock venv=.venv-bench ;;
*) echo "usage: scripts/venv.sh runtime|dev|bench" >&2 && exit 2 ;;
esac

give_up() {
    echo "$1" >&2
    exit 1
}

make_venv() {
    command -v "$python" >/dev/null ||
        give_up "Unefois needs Python 3.11 or newer. On Debian or Ubuntu: apt install python3 python3-venv"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        give_up "Unefois needs Python 3.11 or newer and $python is $("$python" -V 2>&1). Debian 12 and Ubuntu 24.04 have one (apt install python3 python3-venv); elsewhere: make PYTHON=/path/to/python3.11"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        give_up "Python's venv module is missing. On Debian or Ubuntu: apt install python3-venv"
    echo "Making $venv" >&2
    rm -rf "$venv"
    trap 'rm -rf "$venv"' EXIT
    "$python" -m venv "$venv"
    trap - EXIT
}

"$venv/bin/python" -m pip --version >/dev/null 2>&1 || make_venv
pip() { "$venv/bin/python" -m pip --disable-pip-version-check -qq "$@"; }
# One library that does not install here must not keep the others from being measured.
one_by_one() {
    local pins
    pins=$(mktemp)
    sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' "$lock" >"$pins"
    "$python" -c 'import tomllib; p = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
        print(*p["optional-dependencies"]["bench"], sep="\n")' |
        while read -r name; do
            pip install --constraint "$pins" "$name" || echo "$name does not install here" >&2
        done
    rm -f "$pins"
}

echo "Installing $lock (a minute at most)" >&2
if [ "$1" = bench ]; then
    pip install --require-hashes -r "$lock" || one_by_one
else
    pip install --require-hashes -r "$lock"
    pip install --no-deps --no-build-isolation --editable .
fi
if [ "$1" = dev ]; then touch .venv/.runtime; fi
touch "$venv/.$1"
