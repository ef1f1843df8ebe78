# The ranked measurements as one HTML page: no other file, light and dark, a click on a heading sorts.

function escaped(text) {
    gsub(/&/, "\\&amp;", text); gsub(/</, "\\&lt;", text); gsub(/>/, "\\&gt;", text); gsub(/"/, "\\&quot;", text)
    return text
}
function text(value) { return "<td>" escaped(value) "</td>" }
function number(value) { return "<td class=n>" (value + 0) "</td>" }

{
    rows[NR] = "<tr>" number(NR) "<th scope=row>" escaped($1) "</th>" text($2) text($3) number($4) number($5) number($6) \
        number($7) number($8) number($11) number($12) text($10) \
        "<td><code title=\"" escaped($9) "\">" escaped(substr($9, 1, 12)) "</code></td></tr>"
    files += $5; lines += $6; blocks += $7; others += $8
    if ($7 + $8 == 0) without++
    if ($10 == "yes") verified++
}

END {
    print "<!doctype html>"
    print "<html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width, initial-scale=1\">"
    print "<title>Dependency audit</title>"
    print "<style>"
    print ":root{color-scheme:light dark;--line:#d5d9e0;--faint:#5b6472;--head:#f2f4f8;--bar:#3b6fd433}"
    print "@media (prefers-color-scheme:dark){:root{--line:#333a46;--faint:#9aa4b2;--head:#1b2028;--bar:#6f9bf044}}"
    print "body{font:14px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:96rem;padding:0 1rem}"
    print "p{color:var(--faint);max-width:60rem}.scroll{overflow-x:auto}"
    print "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    print "th,td{padding:.25rem .5rem;border-bottom:1px solid var(--line);text-align:left}"
    print "thead th{position:sticky;top:0;background:var(--head);padding:0}"
    print "thead button{all:unset;cursor:pointer;padding:.4rem .5rem;display:block;font-weight:600}"
    print "thead button:focus-visible{outline:2px solid}"
    print "th[aria-sort=ascending] button::after{content:\" \\25B2\"}th[aria-sort=descending] button::after{content:\" \\25BC\"}"
    print ".n{text-align:right;white-space:nowrap}tbody th{font-weight:600}tbody tr:hover{background:var(--bar)}"
    print "input{font:inherit;padding:.3rem .6rem;margin:0 0 1rem;width:16rem;max-width:100%}"
    print "</style>"
    print "<h1>Dependency audit</h1>"
    printf "<p>%d packages, %d files, %d lines of Rust; %d unsafe blocks and %d other uses of unsafe; ", NR, files, lines, blocks, others
    printf "%d packages without any; %d archives as Cargo.lock names them. ", without, verified
    print "Ordered by the sum of the ranks by lines and by unsafe blocks; comments and strings do not count as unsafe.</p>"
    print "<input type=search placeholder=\"Filter\" aria-label=\"Filter packages\">"
    print "<div class=scroll><table><thead><tr>"
    count = split("#|package|version|licence|edition|files|lines|unsafe blocks|other unsafe|rank by lines|rank by unsafe|verified|sources", heads, "|")
    for (i = 1; i <= count; i++)
        printf "<th scope=col%s><button>%s</button></th>", (i == 1 ? " aria-sort=ascending" : ""), heads[i]
    print "</tr></thead><tbody>"
    for (i = 1; i <= NR; i++) print rows[i]
    print "</tbody></table></div>"
    print "<script>"
    print "const body=document.querySelector('tbody'),heads=[...document.querySelectorAll('thead th')];"
    print "const value=(row,i)=>row.cells[i].textContent;"
    print "heads.forEach((head,i)=>head.firstChild.onclick=()=>{"
    print "  const numeric=body.rows[0]?.cells[i].className==='n';"
    print "  const now=head.getAttribute('aria-sort');"
    print "  const up=now?now==='descending':!(numeric&&i>4&&i<9);"
    print "  heads.forEach(h=>h.removeAttribute('aria-sort'));"
    print "  head.setAttribute('aria-sort',up?'ascending':'descending');"
    print "  const rows=[...body.rows].sort((a,b)=>{const x=value(a,i),y=value(b,i);"
    print "    return (numeric?x-y:x.localeCompare(y,'en',{numeric:true}))*(up?1:-1)});"
    print "  body.append(...rows)});"
    print "document.querySelector('input').oninput=e=>{const q=e.target.value.toLowerCase();"
    print "  for(const row of body.rows)row.hidden=!row.textContent.toLowerCase().includes(q)};"
    print "</script></html>"
}
