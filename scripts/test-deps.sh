#!/usr/bin/env bash
# Installs what the tests need and is not there yet: PostgreSQL, sqlite3, openssl, and three MQTT
# clients: Mosquitto, mqtt.js and paho-mqtt. On Debian and its relatives; elsewhere it says what to
# install. Does nothing, quickly, when everything is there.
set -euo pipefail
cd "$(dirname "$0")/.."

PYTHON_TARGET=target/test-clients/python
CLIENTS=tests/clients

say() { echo "test-deps: $*" >&2; }

have_postgres_server() {
    command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null
}

have() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

missing_packages() {
    have_postgres_server || echo postgresql
    have psql || echo postgresql-client
    have sqlite3 || echo sqlite3
    have openssl || echo openssl
    have mosquitto || echo mosquitto
    have mosquitto_pub || echo mosquitto-clients
    have python3 || echo python3
    { have python3 && python3 -m pip --version >/dev/null 2>&1; } || echo python3-pip
    have node || echo nodejs
    have npm || echo npm
    have script || echo bsdutils   # a terminal to close
}

install_packages() {
    local packages as_root=()
    mapfile -t packages < <(missing_packages)
    [ ${#packages[@]} -eq 0 ] && return
    if ! command -v apt-get >/dev/null; then
        say "please install: ${packages[*]} (names as in Debian)"
        exit 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say "please run as root: apt-get install ${packages[*]}"
            exit 1
        fi
        as_root=(sudo)
    fi
    say "installing ${packages[*]}"
    # The tests start servers of their own on free ports; RUNLEVEL=1 keeps the packages from
    # starting theirs.
    local install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -qq -y)
    "${install[@]}" update >&2
    "${install[@]}" install --no-install-recommends "${packages[@]}" >&2
}

# The stamp holds what was installed, so that a changed list installs again.
up_to_date() { [ -f "$2" ] && cmp -s "$1" "$2"; }

install_node_clients() {
    up_to_date "$CLIENTS/package-lock.json" "$CLIENTS/node_modules/.installed" && return
    say "installing mqtt.js"
    (cd "$CLIENTS" && npm ci --silent --no-audit --no-fund >&2)
    cp "$CLIENTS/package-lock.json" "$CLIENTS/node_modules/.installed"
}

install_python_clients() {
    up_to_date "$CLIENTS/requirements.txt" "$PYTHON_TARGET/.installed" && return
    say "installing paho-mqtt"
    rm -rf "$PYTHON_TARGET"
    mkdir -p "$PYTHON_TARGET"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
        --target "$PYTHON_TARGET" --requirement "$CLIENTS/requirements.txt" >&2
    cp "$CLIENTS/requirements.txt" "$PYTHON_TARGET/.installed"
}

install_packages
install_node_clients
install_python_clients
