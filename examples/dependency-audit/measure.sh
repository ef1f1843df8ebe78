#!/bin/sh
# Measures one package in the local cargo registry; prints one line of tab-separated fields:
#   name version licence edition files lines unsafe-blocks unsafe-items sha256-of-sources verified
# usage: measure.sh LOCKFILE NAME VERSION
set -eu
lock=$1 name=$2 version=$3
here=$(dirname "$0")
home=${CARGO_HOME:-$HOME/.cargo}

# The folder of the index has another name for each registry and each way to reach it: any of them will do.
source=
for folder in "$home"/registry/src/*/"$name-$version"; do
    [ -f "$folder/Cargo.toml" ] && source=$folder && break
done
if [ -z "$source" ]; then
    echo "$name $version is not in $home/registry/src: run cargo fetch" >&2
    exit 1
fi

# The first tool there is; cksum is in POSIX, the others are not.
if command -v sha256sum >/dev/null 2>&1; then hash() { sha256sum "$@"; }; kind=sha256
elif command -v shasum >/dev/null 2>&1; then hash() { shasum -a 256 "$@"; }; kind=sha256
else hash() { cksum "$@" | awk '{ printf "%s-%s", $1, $2; $1 = $2 = ""; print " " $0 }'; }; kind=cksum
fi

# One field of the [package] section; cargo writes the manifests of published packages in this plain form.
field() {
    awk -v key="$1" '
        /^\[/ { inside = ($0 == "[package]") }
        inside && $1 == key && $2 == "=" {
            sub(/^[^=]*= *"/, ""); sub(/"[^"]*$/, ""); print; exit
        }' "$source/Cargo.toml"
}
licence=$(field license)
[ -n "$licence" ] || { file=$(field license-file); licence=${file:+file $file}; }
edition=$(field edition)

counts=$(find "$source" -type f -name '*.rs' -exec cat {} + | awk -f "$here/unsafe.awk")
files=$(find "$source" -type f -name '*.rs' | wc -l | tr -d ' ')

# One hash over the hashes of all files, in the order of their names. `.cargo-ok` is cargo's own mark.
sources=$(cd "$source" && find . -type f ! -name .cargo-ok | sort | while IFS= read -r path; do hash "$path"; done)
sources=$(printf '%s\n' "$sources" | hash | awk '{ print $1 }')

# Is the archive, from which the sources were unpacked, the one that the lock file names?
wanted=$(awk -v name="\"$name\"" -v version="\"$version\"" '
    /^\[/                           { this = 0 }
    /^name = /                      { this = ($3 == name) }
    /^version = / && $3 != version  { this = 0 }
    this && /^checksum = /          { gsub(/"/, "", $3); print $3; exit }' "$lock")
verified=unknown
for archive in "$home"/registry/cache/*/"$name-$version.crate"; do
    [ "$kind" = sha256 ] && [ -n "$wanted" ] && [ -f "$archive" ] || continue
    verified=no
    [ "$(hash "$archive" | awk '{ print $1 }')" = "$wanted" ] && verified=yes && break
done
if [ "$verified" = no ]; then
    echo "$name $version: the archive is not the one that $lock names" >&2
    exit 1
fi

printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' \
    "$name" "$version" "${licence:-unknown}" "${edition:-2015}" "$files" "$counts" "$sources" "$verified"
