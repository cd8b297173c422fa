#!/usr/bin/env bash
# Installs what building, testing and running the local chain needs:
#   * Debian packages for the C and C++ parts of the build (RocksDB and its bindings),
#   * the pinned npm tools under etc/l1 (anvil, cast, forge, solc, contract interfaces),
#     reachable as etc/l1/bin/{anvil,cast,forge},
#   * RocksDB as a static library, compiled once per machine: cargo would compile its C++ again, for
#     20 minutes and more, for each checkout, profile and selection of packages.
# Safe to run any number of times: when everything is there it changes nothing and prints nothing.
set -euo pipefail

L1_DIR="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/l1"
STAMP="$L1_DIR/node_modules/.zkos-setup"
TOOLS=(anvil cast forge)

die() {
    echo "setup: $*" >&2
    exit 1
}

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

install_tools() {
    local want
    want="$(cat "$L1_DIR/package-lock.json" "$L1_DIR/package.json" | sha256sum | cut -d' ' -f1)"
    if [ "$(cat "$STAMP" 2>/dev/null || true)" != "$want" ]; then
        has node && has npm || die "Node.js 18 or newer with npm is needed (Debian: apt-get install nodejs npm)"
        [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 18')" = true ] || die "Node.js $(node --version) is too old: 18 or newer is needed"
        echo "setup: installing pinned npm tools in etc/l1"
        local log
        log="$(mktemp)"
        if ! (cd "$L1_DIR" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) >"$log" 2>&1; then
            cat "$log" >&2
            rm -f "$log"
            die "npm ci failed in $L1_DIR"
        fi
        rm -f "$log"
        echo "$want" >"$STAMP"
    fi
    link_tools
}

# --- RocksDB ---------------------------------------------------------------------------------
# Without this step everything works too, only slower: cargo then compiles the C++ itself.
install_rocksdb() {
    local root version lib config
    root="$(cd "$L1_DIR/../.." && pwd)"
    has cargo || die "Rust is needed: install it with rustup (https://rustup.rs)"
    version="$(sed -n '/^name = "librocksdb-sys"$/{n;s/^version = ".*+\(.*\)"$/\1/p}' "$root/Cargo.lock")"
    [ -n "$version" ] || die "no librocksdb-sys in Cargo.lock"
    lib="${XDG_CACHE_HOME:-$HOME/.cache}/zkos/rocksdb-$version"
    if [ ! -f "$lib/librocksdb.a" ]; then
        echo "setup: compiling RocksDB $version, once for this machine (about 20 minutes on two cores)"
        local build="$lib.build" built
        mkdir -p "$lib"
        (cd "$root" && ROCKSDB_COMPILE=1 CARGO_PROFILE_RELEASE_DEBUG=0 cargo build --release --quiet -p librocksdb-sys --target-dir "$build")
        built="$(find "$build" -name librocksdb.a -path '*librocksdb-sys-*' | head -n 1)"
        [ -n "$built" ] || die "the build of librocksdb-sys left no librocksdb.a below $build"
        strip -g "$built"
        # In one step, so that an interrupted run leaves nothing half.
        cp "$built" "$lib/librocksdb.a.new" && mv "$lib/librocksdb.a.new" "$lib/librocksdb.a"
        rm -rf "$build"
    fi
    config="$root/.cargo/config.toml"
    local want="# Written by etc/setup.sh for this machine.
[env]
ROCKSDB_LIB_DIR = \"$lib\"
ROCKSDB_STATIC = \"1\""
    if [ ! -e "$config" ] || { head -n 1 "$config" | grep -q 'Written by etc/setup.sh' && [ "$(cat "$config")" != "$want" ]; }; then
        mkdir -p "$root/.cargo"
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
install_rocksdb
