#!/usr/bin/env bash
# Installs what building, testing and running the local chain needs:
#   * Debian packages for the C and C++ parts of the build (RocksDB and its bindings),
#   * the pinned npm tools under etc/l1 (anvil, cast, forge, solc, contract interfaces),
#     reachable as etc/l1/bin/{anvil,cast,forge},
#   * the pinned client libraries under tests/clients (npm, and a Python environment of their own),
#   * RocksDB as a static library, compiled once per machine: cargo would compile its C++ again, for half
#     an hour, for each checkout, profile and selection of packages.
# `etc/setup.sh build` leaves out the client libraries, which only tests need.
# Safe to run any number of times: when everything is there it changes nothing and prints nothing.
set -euo pipefail

WHAT="${1:-all}"
ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
L1_DIR="$ROOT/etc/l1"
CLIENTS_DIR="$ROOT/tests/clients"
# Name of the file that says for what an installation was made.
STAMP=.zkos-setup
TOOLS=(anvil cast forge)

die() {
    echo "setup: $*" >&2
    exit 1
}

case "$WHAT" in all | build) ;; *) die "what is '$WHAT'? nothing, or 'build'" ;; esac

has() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages -------------------------------------------------------------------------
missing_packages() {
    # bindgen loads libclang at build time; the compiler proper may be any C++ one.
    if ! compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null \
        && ! compgen -G '/usr/lib/*/libclang*.so*' >/dev/null \
        && [ -z "${LIBCLANG_PATH:-}" ]; then
        echo libclang-dev
    fi
    has clang || echo clang
    has cmake || echo cmake
    has pkg-config || echo pkg-config
    { has c++ && has make; } || echo build-essential
    # Debian keeps the second half of venv in a package of its own.
    [ "$WHAT" = build ] || python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
}

install_packages() {
    local missing
    missing="$(missing_packages | tr '\n' ' ')"
    [ -z "${missing// /}" ] && return 0
    has apt-get || die "missing: $missing- and there is no apt-get here; install them with this system's package manager"
    local run=()
    if [ "$(id -u)" != 0 ]; then
        has sudo || die "missing: $missing- run as root or install sudo"
        run=(sudo)
    fi
    echo "setup: installing Debian packages: $missing"
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
    # shellcheck disable=SC2086 # a list of words on purpose
    "${run[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# --- npm tools -------------------------------------------------------------------------------
# The Foundry binaries come in platform packages; only Linux x86-64 is pinned here.
on_pinned_platform() { [ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ]; }

tool_source() {
    if on_pinned_platform; then
        echo "$L1_DIR/node_modules/@foundry-rs/$1-linux-amd64/bin/$1"
    else
        # Skip our own bin folder, or the link would point to itself.
        PATH="${PATH//$L1_DIR\/bin:/}" command -v "$1" || true
    fi
}

link_tools() {
    mkdir -p "$L1_DIR/bin"
    local tool source
    for tool in "${TOOLS[@]}"; do
        source="$(tool_source "$tool")"
        if [ -z "$source" ] || [ ! -x "$source" ]; then
            if on_pinned_platform; then
                die "$tool is missing from node_modules: delete $L1_DIR/node_modules and run this script again"
            fi
            die "$(uname -s) $(uname -m) has no pinned $tool (only Linux x86_64 has): install Foundry 1.7.1 and put it on the PATH"
        fi
        [ "$(readlink "$L1_DIR/bin/$tool" 2>/dev/null || true)" = "$source" ] || ln -sfn "$source" "$L1_DIR/bin/$tool"
    done
}

# Runs a command without a word, unless it fails.
quietly() {
    local log
    log="$(mktemp)"
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        die "failed: $*"
    fi
    rm -f "$log"
}

# npm_install DIR WHAT: what the lock file in a folder says, unless it is there.
npm_install() {
    local dir="$1" what="$2" want
    want="$(cat "$dir/package-lock.json" "$dir/package.json" | sha256sum | cut -d' ' -f1)"
    [ "$(cat "$dir/node_modules/$STAMP" 2>/dev/null || true)" = "$want" ] && return 0
    has node && has npm || die "Node.js 18 or newer with npm is needed (Debian: apt-get install nodejs npm)"
    [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 18')" = true ] || die "Node.js $(node --version) is too old: 18 or newer is needed"
    echo "setup: installing $what in ${dir#"$ROOT/"}"
    quietly npm --prefix "$dir" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$want" >"$dir/node_modules/$STAMP"
}

install_tools() {
    npm_install "$L1_DIR" "pinned npm tools"
    link_tools
}

# --- client libraries ------------------------------------------------------------------------
install_clients() {
    npm_install "$CLIENTS_DIR" "pinned client libraries"
    local venv="$CLIENTS_DIR/.venv" want
    want="$(cat "$CLIENTS_DIR/requirements.txt" <(python3 --version) | sha256sum | cut -d' ' -f1)"
    [ "$(cat "$venv/$STAMP" 2>/dev/null || true)" = "$want" ] && return 0
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "$(python3 --version) is too old: 3.11 or newer is needed"
    echo "setup: installing pinned client libraries in ${venv#"$ROOT/"}"
    rm -rf "$venv"
    quietly python3 -m venv "$venv"
    quietly "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -r "$CLIENTS_DIR/requirements.txt"
    echo "$want" >"$venv/$STAMP"
}

# --- RocksDB ---------------------------------------------------------------------------------
# Without this step everything works too, only slower: cargo then compiles the C++ itself, and so it is left
# where etc/rocksdb.sh was never tried.
install_rocksdb() {
    local version lib config
    has cargo || die "Rust is needed: install it with rustup (https://rustup.rs)"
    [ "$(uname -s)" = Linux ] || return 0
    version="$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = ".*+\(.*\)"$/\1/p}' "$ROOT/Cargo.lock")"
    [ -n "$version" ] || die "no librocksdb-sys in Cargo.lock"
    lib="${XDG_CACHE_HOME:-$HOME/.cache}/zkos/rocksdb-$version"
    if [ ! -f "$lib/librocksdb.a" ]; then
        echo "setup: compiling RocksDB $version, once for this machine (about 8 minutes on two cores)"
        mkdir -p "$lib"
        bash "$ROOT/etc/rocksdb.sh" "$lib" || die "RocksDB did not compile"
    fi
    config="$ROOT/.cargo/config.toml"
    local want="# Written by etc/setup.sh for this machine.
[env]
ROCKSDB_LIB_DIR = \"$lib\"
ROCKSDB_STATIC = \"1\""
    if [ ! -e "$config" ] || { head -n 1 "$config" | grep -q 'Written by etc/setup.sh' && [ "$(cat "$config")" != "$want" ]; }; then
        mkdir -p "$ROOT/.cargo"
        echo "$want" >"$config"
    fi
}

# Two runs at once (say `make test` in two terminals) must not install over each other.
if has flock; then
    exec 9>"$L1_DIR/.setup.lock"
    flock 9
fi
install_packages
install_tools
[ "$WHAT" = build ] || install_clients
install_rocksdb
