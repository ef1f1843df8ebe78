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

#[test]
fn values_are_refused_where_they_cannot_be_quoted() {
    let source = "echo `echo {{ a }}` ${x:-{{ b }}}\ncat <<'E'\n{{ c }}\nE\necho {{ d }}";
    let found = refused(source);
    let offsets: Vec<&str> = found.iter().map(|r| &source[r.offset..r.offset + 7]).collect();
    assert_eq!(offsets, ["{{ a }}", "{{ b }}", "{{ c }}"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the shell code around it, a value never runs.
    #[test]
    fn no_value_is_ever_code(parts in prop::collection::vec(
        prop::sample::select(vec![
            "@", "@", " ", "\n", "'", "\"", "\\", "$(", ")", "(", "`", "# ", "<<E\n", "<<'E'\n", "\nE\n", "${x:-", "}",
            ";", "echo ", "$((", "))", "case x in a)", ";; esac", "x=", "|", "$'", "<<-E\n", "<<<", "{ ", "; }",
        ]), 1..14))
    {
        let marker = std::env::temp_dir().join(format!("tidegate-pwned-{}", std::process::id()));
        let evil = format!(
            "'\"`;\n: > {0}\n$(: > {0})`: > {0}`\nE\n: > {0}\n) }} ;; esac\n: > {0}\n",
            marker.display()
        );
        let rendered = parts.concat().replace('@', &value(&evil));
        if let Ok(script) = script(&rendered) {
            let _ = Command::new("sh").arg("-c").arg(&script).current_dir(std::env::temp_dir())
                .stdin(std::process::Stdio::null()).output().expect("sh runs");
            let ran = marker.exists();
            let _ = std::fs::remove_file(&marker);
            prop_assert!(!ran, "{script}");
        }
    }
}
