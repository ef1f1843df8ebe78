# Counts lines, `unsafe { … }` blocks, and other uses of `unsafe` (fn, impl, trait, extern, attributes) in Rust sources.
# Comments, strings and character literals do not count. Prints: lines <tab> blocks <tab> others.

function code(text) {
    # What follows `unsafe` may stand on a later line.
    if (waiting && text ~ /[^ \t]/) {
        if (text ~ /^[ \t]*\{/) blocks++; else others++
        waiting = 0
    }
    while (match(text, /(^|[^A-Za-z0-9_#])unsafe([^A-Za-z0-9_]|$)/)) {
        rest = substr(text, RSTART + RLENGTH - 1)
        if (substr(text, RSTART + RLENGTH - 1, 1) ~ /[A-Za-z]/) rest = ""
        text = rest
        if (rest ~ /^[ \t]*\{/) blocks++
        else if (rest ~ /^[ \t]*[^ \t]/) others++
        else waiting = 1
        if (waiting) return
    }
}

BEGIN { depth = 0; text_end = ""; waiting = 0 }

{
    lines++
    # Most lines change no state and hold nothing to count.
    if (text_end == "" && depth == 0 && !waiting && index($0, "unsafe") == 0 && $0 !~ /["\/]/) next
    line = $0
    while (line != "") {
        if (depth > 0) {                                    # in a block comment; they nest
            if (!match(line, /\/\*|\*\//)) break
            depth += (substr(line, RSTART, 2) == "/*") ? 1 : -1
            line = substr(line, RSTART + 2)
        } else if (text_end == "\"") {                      # in a string
            if (!match(line, /\\.|"/)) break
            if (substr(line, RSTART, 1) == "\"") text_end = ""
            line = substr(line, RSTART + RLENGTH)
        } else if (text_end != "") {                        # in a raw string
            if (!(at = index(line, text_end))) break
            line = substr(line, at + length(text_end))
            text_end = ""
        } else if (match(line, /\/\/|\/\*|r#*"|"|'([^'\\]|\\[^u]|\\x[0-9A-Fa-f][0-9A-Fa-f]|\\u\{[0-9A-Fa-f_]+\})'/)) {
            token = substr(line, RSTART, RLENGTH)
            start = RSTART
            size = RLENGTH
            code(substr(line, 1, start - 1))
            line = substr(line, start + size)
            if (token == "//") break
            else if (token == "/*") depth = 1
            else if (token == "\"") text_end = "\""
            else if (substr(token, 1, 1) == "r") text_end = "\"" substr(token, 2, size - 2)
        } else {
            code(line)
            break
        }
    }
}

END { printf "%d\t%d\t%d\n", lines, blocks, others }
