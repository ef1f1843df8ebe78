use std::path::PathBuf;

use minijinja::context;

use super::{Files, Output, Outputs};
use crate::template::Templates;

fn outputs(name: &str, texts: &[&str], many: bool, capture: u64) -> Outputs {
    let folder =
        std::env::temp_dir().join(format!("tidegate-outputs-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let files = texts.iter().enumerate().map(|(i, text)| {
        let stdout = folder.join(format!("{i}.stdout"));
        std::fs::write(&stdout, text).expect("a file");
        Files { stdout, stderr: PathBuf::new() }
    });
    let outputs = Outputs::default();
    outputs.insert(Output { id: "a-b".to_owned(), files: files.collect(), many, capture });
    outputs
}

fn render(outputs: &Outputs, source: &str) -> Result<String, String> {
    let context = context! { tasks => outputs.visible(["a-b", "missing"].into_iter()) };
    Templates::new().render(source, &context).map_err(|error| error.message)
}

#[test]
fn an_output_is_a_text_lines_or_json() {
    let one = outputs("one", &["[1, 2]\n\n"], false, 100);
    assert_eq!(render(&one, "<{{ tasks.a_b.output }}>").as_deref(), Ok("<[1, 2]>"));
    assert_eq!(render(&one, "{{ tasks['a-b'].json[1] }}").as_deref(), Ok("2"));
    let many = outputs("many", &["x\ny\n", "z"], true, 100);
    assert_eq!(render(&many, "{{ tasks.a_b.lines|join(',') }}").as_deref(), Ok("x,y,z"));
    assert_eq!(render(&many, "{{ tasks.a_b.outputs|length }}").as_deref(), Ok("2"));
    assert!(render(&many, "{{ tasks.a_b.stdout_file }}").expect_err("many").contains("list"));
}

#[test]
fn an_output_past_the_bound_is_an_error_that_says_what_to_do() {
    let big = outputs("big", &["12345678", "9"], true, 8);
    let error = render(&big, "{{ tasks.a_b.output }}").expect_err("9 bytes");
    assert!(error.contains("limits.capture"), "{error}");
    let fits = outputs("fits", &["12345678"], false, 8);
    assert_eq!(render(&fits, "{{ tasks.a_b.output }}").as_deref(), Ok("12345678"));
}

#[test]
fn a_task_that_is_not_there_is_an_error() {
    let one = outputs("absent", &["x"], false, 100);
    assert!(render(&one, "{{ tasks.missing.output }}").is_err());
    assert!(render(&one, "{{ tasks.a_b.nope }}").is_err());
}
