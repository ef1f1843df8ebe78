use std::process::Command;

use proptest::prelude::*;

use super::{CLOSE, LIST, NEXT, OPEN, refused, script};

fn value(text: &str) -> String {
    format!("{OPEN}{text}{CLOSE}")
}

fn sh(rendered: &str) -> String {
    let script = script(rendered).expect("every value can be quoted");
    let output = Command::new("sh").arg("-c").arg(&script).output().expect("sh runs");
    String::from_utf8(output.stdout).expect("UTF-8")
}

const EVIL: &str = "a'; echo PWNED; \"$(echo PWNED)` echo PWNED` \\ * \n# x\nEOF\necho PWNED";

#[test]
fn a_value_stays_one_word_wherever_it_stands() {
    for (template, before, after) in [
        ("printf '<%s>' @", "<", ">"),
        ("printf '<%s>' \"@\"", "<", ">"),
        ("printf '<%s>' 'x@y'", "<x", "y>"),
        ("printf '<%s>' a@b", "<a", "b>"),
        ("printf '<%s>' \"$(printf '%s' @)\"", "<", ">"),
        ("x=@; printf '<%s>' \"$x\"", "<", ">"),
        ("cat <<EOF\n@\nEOF\n", "", "\n"),
        ("case @ in x) ;; *) printf %s @ ;; esac", "", ""),
        ("# @ comment\nprintf '<%s>' @", "<", ">"),
        ("echo '#' >/dev/null # it's @\nprintf '<%s>' @", "<", ">"),
    ] {
        let rendered = template.replace('@', &value(EVIL));
        assert_eq!(sh(&rendered), format!("{before}{EVIL}{after}"), "{template}");
    }
}

#[test]
fn a_value_as_here_document_delimiter_runs_nothing() {
    let out = sh(&format!("cat <<{0}\nbody\n{0}\n", value("x\necho PWNED\n")));
    assert!(!out.contains("PWNED\nPWNED") && !out.starts_with("PWNED"), "{out}");
}

#[test]
fn a_list_becomes_one_word_for_each_element() {
    let list = format!("{OPEN}{LIST}a b{NEXT}c'd{NEXT}{CLOSE}");
    assert_eq!(sh(&format!("printf '<%s>' {list}")), "<a b><c'd><>");
    let error = script(&format!("echo \"{list}\"")).expect_err("a list in quotes");
    assert!(error.why.contains("list"), "{error:?}");
}

#[test]
fn a_number_may_stand_in_arithmetic_and_nothing_else() {
    assert_eq!(sh(&format!("echo $(( {} + 1 ))", value("41"))), "42\n");
    assert!(script(&format!("echo $(( {} ))", value("a[$(id)]"))).is_err());
}

/// An expression that is a command.
const COMPUTED: &str = "a[$(echo PWNED >&2)]";

#[test]
fn a_text_is_refused_wherever_a_shell_would_compute_it() {
    for template in [
        "(( @ > 3 ))",
        "(( \"@\" > 3 ))",
        "for ((i = 0; i < @; i++)); do :; done",
        "echo $[ @ + 1 ]",
        "echo \"$(( \"@\" + 1 ))\"",
        "cat <<EOF\n$(( @ + 1 ))\nEOF",
        "cat <<EOF\n$[ @ + 1 ]\nEOF",
        "[[ @ -gt 3 ]]",
        "[[ \"@\" -gt 3 ]]",
        "if ! [[ -n x && ( 3 -lt @ ) ]]; then :; fi",
        "f() { [[ x =~ ^(a|b)$ || 3 -eq\n@ ]]; }; f",
        "\"$(case x in y) ;; x) [[ -v @ ]];; esac)\"",
        "[ @ -gt 3 ]",
        "test 3 -gt \"@\"",
        "let x=@",
        "arr[@]=1",
        "arr[\"@\"]=1",
        "arr=(x [@]=1)",
        "echo \"$arr[@]\"",
        "echo ${x[\"@\"]}",
        "echo ${x:-\"@\"}",
    ] {
        let found = script(&template.replace('@', &value(COMPUTED)));
        assert!(found.is_err(), "{template}: {found:?}");
    }
}

#[test]
fn what_a_shell_does_not_compute_is_not_refused() {
    for (template, wanted) in [
        ("[[ -n @ ]] && echo ok", "ok"),
        ("x=5; [[ @ == \"@\" && $x -gt 3 ]] && echo ok", "ok"),
        ("[ 5 -gt 3 ] && printf %s @", COMPUTED),
        ("if test -n @; then printf %s -gt; fi", "-gt"),
        ("echo test -v @ -gt | sed 's/.* //'", "-gt"),
        ("printf %s \"file[@]\"", "file[a[$(echo PWNED >&2)]]"),
        ("case a[1] in x) ;; *) printf %s @;; esac", COMPUTED),
        ("(( 1 + (2) )); printf %s $(( ((1)) )) '(' @", "1(a[$(echo PWNED >&2)]"),
        ("printf %s \"$(echo $(case x in x) echo @;; esac))\"", "a[$(echo PWNED >&2)]"),
    ] {
        let script = script(&template.replace('@', &value(COMPUTED))).expect(template);
        let output = Command::new("bash").arg("-c").arg(&script).output().expect("bash runs");
        let (out, err) = (String::from_utf8_lossy(&output.stdout), output.stderr);
        assert_eq!((out.trim(), &*err), (wanted, &b""[..]), "{template}");
    }
    let script = script(&format!("[[ {} -gt 3 ]] && echo ok", value("41"))).expect("a number");
    let output = Command::new("bash").arg("-c").arg(&script).output().expect("bash runs");
    assert_eq!(output.stdout, b"ok\n");
}

#[test]
fn values_are_refused_where_they_cannot_be_quoted() {
    let source = "echo `echo {{ a }}` ${x:-{{ b }}}\ncat <<'E'\n{{ c }}\nE\necho {{ d }}";
    let found = refused(source);
    let offsets: Vec<&str> = found.iter().map(|r| &source[r.offset..r.offset + 7]).collect();
    assert_eq!(offsets, ["{{ a }}", "{{ b }}", "{{ c }}"]);
}

/// A hundred thousand in the long run.
fn cases() -> u32 {
    if std::env::var_os("TIDEGATE_NIGHTLY").is_some() { 100_000 } else { 64 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the shell code around it, a value never runs.
    #[test]
    fn no_value_is_ever_code(parts in prop::collection::vec(
        prop::sample::select(vec![
            "@", "@", " ", "\n", "'", "\"", "\\", "$(", ")", "(", "`", "# ", "<<E\n", "<<'E'\n", "\nE\n", "${x:-", "}",
            ";", "echo ", "$((", "))", "case x in a)", ";; esac", "x=", "|", "$'", "<<-E\n", "<<<", "{ ", "; }",
            "((", "$[", "]", "[[ ", " ]]", "[ ", " ]", "test ", " -gt 3", "3 -eq ", " -v ", "let x=", "arr[", "]=1", "x=([", "$x[",
            " && ", "if ", "; then ",
        ]), 1..14))
    {
        let marker = std::env::temp_dir().join(format!("tidegate-pwned-{}", std::process::id()));
        let marker = marker.display();
        let code = format!(
            "'\"`;\n: > {marker}\n$(: > {marker})`: > {marker}`\nE\n: > {marker}\n) }} ;; esac\n: > {marker}\n"
        );
        let computed = format!("a[$(: > {marker})]");
        for (shell, evil) in [("sh", &code), ("bash", &code), ("bash", &computed)] {
            let Ok(script) = script(&parts.concat().replace('@', &value(evil))) else { continue };
            let _ = Command::new(shell).arg("-c").arg(&script).current_dir(std::env::temp_dir())
                .stdin(std::process::Stdio::null()).output().expect("a shell runs");
            let ran = std::fs::remove_file(marker.to_string()).is_ok();
            prop_assert!(!ran, "{script}");
        }
    }
}
