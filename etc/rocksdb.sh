#!/usr/bin/env bash
# etc/rocksdb.sh FOLDER: compiles RocksDB, in the version that Cargo.lock names, to FOLDER/librocksdb.a.
# Most of such a build is reading the same headers for each of 350 small files. Here several files of a folder
# are compiled as one, as RocksDB's own `make unity` does with all of them: a third of the time.
# Same sources and macros as the build script of librocksdb-sys; x86-64 also gets its CRC instructions.
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
DEST="$1"
FILES_AT_ONCE=16

crate_folder() {
    cargo metadata --manifest-path "$ROOT/Cargo.toml" --format-version 1 \
        | grep -o "\"manifest_path\":\"[^\"]*/$1-[0-9][^\"]*/Cargo.toml\"" | head -n 1 | sed 's/^.*":"//; s|/Cargo.toml"$||'
}

crate="$(crate_folder librocksdb-sys)"
lz4="$(crate_folder lz4-sys)"
[ -d "$crate/rocksdb" ] && [ -d "$lz4/liblz4/lib" ] || { echo "no sources of RocksDB and LZ4 in cargo's registry" >&2; exit 1; }

export FLAGS="-std=c++20 -O2 -fPIC -ffunction-sections -fdata-sections -w -include cstdint
    -I$crate/rocksdb/include -I$crate/rocksdb -I$crate -I$lz4/liblz4/lib
    -DNDEBUG=1 -DLZ4=1 -DHAVE_ALIGNED_NEW -DHAVE_UINT128_EXTENSION -DOS_LINUX -DROCKSDB_PLATFORM_POSIX
    -DROCKSDB_LIB_IO_POSIX -DROCKSDB_SCHED_GETCPU_PRESENT -DROCKSDB_AUXV_GETAUXVAL_PRESENT
    -DROCKSDB_FALLOCATE_PRESENT -DROCKSDB_RANGESYNC_PRESENT"
case "$(uname -m)" in
    x86_64) FLAGS="$FLAGS -msse4.2 -mpclmul" ;;
    aarch64) FLAGS="$FLAGS -march=armv8-a+crc+crypto" ;;
esac

work="$(mktemp -d "$DEST/build.XXXXXX")"
trap 'rm -rf "$work"' EXIT

# One line per source: folder and path. Neighbours of a folder share a unit.
grep -v '^util/build_version.cc$' "$crate/rocksdb_lib_sources.txt" | sed '/^ *$/d' \
    | awk -v at_once="$FILES_AT_ONCE" -v work="$work" -v root="$crate/rocksdb" '
        { folder = $1; sub("/[^/]*$", "", folder) }
        folder != last || n == at_once { unit++; n = 0; last = folder }
        { n++; printf "#include \"%s/%s\"\n", root, $1 > sprintf("%s/%03d.cc", work, unit) }'
cp "$crate/build_version.cc" "$work/build_version.cc"

# shellcheck disable=SC2016 # expanded by the inner shell
find "$work" -name '*.cc' -print0 | sort -z \
    | xargs -0 -n 1 -P "$(getconf _NPROCESSORS_ONLN)" sh -c '${CXX:-c++} $FLAGS -c "$0" -o "${0%.cc}.o"'

ar rcs "$DEST/librocksdb.a.new" "$work"/*.o
# In one step, so that an interrupted run leaves nothing half.
mv "$DEST/librocksdb.a.new" "$DEST/librocksdb.a"
