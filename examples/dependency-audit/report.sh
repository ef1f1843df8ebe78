#!/bin/sh
# Reads the lines of measure.sh and writes report.md and report.html into a folder; prints the ten at the top.
# usage: report.sh FOLDER < measurements
set -eu
out=$1
here=$(dirname "$0")
mkdir -p "$out"
tab=$(printf '\t')
rows=$out/packages.tsv
ranked=$out/ranked.tsv

grep . >"$rows"

# Two ranks, by lines and by unsafe blocks; a package stands by the sum of both, the larger one first among equals.
by() { sort -t "$tab" -k "$1,$1nr" -k 1,1 -k 2,2 "$rows" | awk -F "$tab" -v OFS="$tab" -v f="$1" '
    $f != last { rank = NR; last = $f } { print $1 " " $2, rank }'; }
by 6 >"$out/by-lines"
by 7 >"$out/by-unsafe"
awk -F "$tab" -v OFS="$tab" '
    FILENAME ~ /by-lines$/  { size[$1] = $2; next }
    FILENAME ~ /by-unsafe$/ { risk[$1] = $2; next }
    { key = $1 " " $2; print size[key] + risk[key], $0, size[key], risk[key] }
' "$out/by-lines" "$out/by-unsafe" "$rows" | sort -t "$tab" -k 1,1n -k 7,7nr -k 2,2 -k 3,3 | cut -f 2- >"$ranked"
rm "$out/by-lines" "$out/by-unsafe"

awk -F "$tab" -f "$here/markdown.awk" "$ranked" >"$out/report.md"
awk -F "$tab" -f "$here/html.awk" "$ranked" >"$out/report.html"

awk 'NR <= 4 || /^\|/ && shown++ < 12' "$out/report.md"
echo
echo "$out/report.md, $out/report.html"
