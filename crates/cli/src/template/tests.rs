use minijinja::context;

use super::Templates;

#[test]
fn variables_are_named_with_their_path() {
    let templates = Templates::new();
    let source =
        "{{ tasks.a.lines }} {{ tasks['b-c'].output }} {% for x in item.y %}{{ x }}{% endfor %}";
    let names = templates.variables(source).expect("a template");
    for name in ["tasks.a.lines", "tasks.b-c", "item.y"] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(!names.contains("x"));
}

#[test]
fn no_filter_of_the_engine_undoes_the_quoting() {
    let templates = Templates::new();
    let context = context! { item => "$(echo PWNED)" };
    for source in
        ["{{ item|tojson }}", "{{ item|string }}", "{% set x %}{{ item }}{% endset %}{{ x }}"]
    {
        let script = templates.script(&format!("echo {source}"), &context).expect("a script");
        assert!(script.ends_with("echo \"${TIDEGATE_1}\""), "{script}");
    }
    for filter in ["safe", "escape", "e"] {
        assert!(templates.variables(&format!("{{{{ item|{filter} }}}}")).is_ok());
        assert!(templates.script(&format!("{{{{ item|{filter} }}}}"), &context).is_err());
    }
    assert_eq!(templates.script("{{ item|raw }}", &context).expect("raw"), "$(echo PWNED)");
}

#[test]
fn the_shells_own_braces_are_left_alone() {
    let templates = Templates::new();
    let script = templates.script("echo ${#x} ${x%.*} {% raw %}{{ y }}{% endraw %}", &context! {});
    assert_eq!(script.expect("a script"), "echo ${#x} ${x%.*} {{ y }}");
}
