#!/usr/bin/env bash
# Run a command with a RabbitMQ and a PostgreSQL within reach: scripts/services.sh COMMAND... (tests, faults, benchmark)
# Servers named by UNEFOIS_TEST_AMQP_URL and UNEFOIS_TEST_DATABASE_URL are used; else installed binaries, which the tests
# start by themselves; else, as root on Debian or Ubuntu, the packages are installed; else a docker engine runs them.
# Where none is possible one line says so, and the tests that need them are skipped (or fail, where CI=true).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
services=$here/deploy/test-services.yml

lacking() {
    if [ -z "${UNEFOIS_TEST_AMQP_URL:-}" ] && [ ! -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
        echo rabbitmq-server
    fi
    if [ -z "${UNEFOIS_TEST_DATABASE_URL:-}" ] && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null &&
        ! command -v initdb >/dev/null; then
        echo postgresql
    fi
}

# Debian starts a server as soon as its package is installed, unless policy-rc.d forbids it.
install_without_starting() {
    local policy=/usr/sbin/policy-rc.d kept=
    if [ -e "$policy" ]; then kept=$(mktemp) && cp -p "$policy" "$kept"; fi
    # shellcheck disable=SC2064
    trap "if [ -n '$kept' ]; then cp -p '$kept' $policy && rm '$kept'; else rm -f $policy; fi" EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null
}

compose() {
    if docker compose version >/dev/null 2>&1; then
        docker compose -p unefois-test -f "$services" "$@"
    else
        docker-compose -p unefois-test -f "$services" "$@"
    fi
}

engine_answers() {
    command -v docker >/dev/null && docker info >/dev/null 2>&1 && { compose version >/dev/null 2>&1; }
}

missing=$(lacking)
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing" $missing "for the tests" >&2
        (install_without_starting $missing) ||
            echo "The installation failed: the tests that need" $missing "cannot run here" >&2
    elif engine_answers; then
        echo "Starting RabbitMQ and PostgreSQL in containers for the tests" >&2
        trap 'compose down --volumes >/dev/null 2>&1' EXIT
        compose up -d >&2
        export UNEFOIS_TEST_AMQP_URL=amqp://guest:guest@127.0.0.1:25672/%2F
        export UNEFOIS_TEST_DATABASE_URL=postgresql://unefois:unefois@127.0.0.1:25432/unefois
    else
        echo "No" $missing "here: install it (Debian, Ubuntu: apt install rabbitmq-server postgresql) or start a docker engine" >&2
    fi
fi
"$@"
