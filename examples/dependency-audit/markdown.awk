# The ranked measurements as Markdown.

function cell(text) { gsub(/\|/, "\\|", text); return text }

{
    rows[NR] = "| " NR " | " cell($1) " | " $2 " | " cell($3) " | " $4 " | " $5 " | " $6 " | " $7 " | " $8 \
        " | " $11 " | " $12 " | " $10 " | `" substr($9, 1, 16) "` |"
    files += $5; lines += $6; blocks += $7; others += $8
    if ($7 + $8 == 0) without++
    if ($10 == "yes") verified++
}

END {
    print "# Dependency audit"
    print ""
    printf "%d packages, %d files, %d lines of Rust; %d unsafe blocks and %d other uses of unsafe; ", NR, files, lines, blocks, others
    printf "%d packages without any; %d archives as Cargo.lock names them.\n", without, verified
    print ""
    print "| # | package | version | licence | edition | files | lines | unsafe blocks | other unsafe | rank by lines | rank by unsafe | verified | sources |"
    print "|--:|---|---|---|---|--:|--:|--:|--:|--:|--:|---|---|"
    for (i = 1; i <= NR; i++) print rows[i]
}
