#!/bin/sh
# Prints `name version` of each package in a Cargo.lock that comes from a registry.
# usage: packages.sh LOCKFILE
set -eu
awk '
    function flush() { if (name != "" && registry) print name, version; name = ""; registry = 0 }
    /^\[/            { flush() }
    /^name = /       { name = $3; gsub(/"/, "", name) }
    /^version = /    { version = $3; gsub(/"/, "", version) }
    /^source = "(registry|sparse)\+/ { registry = 1 }
    END              { flush() }
' "$1" | sort -u
