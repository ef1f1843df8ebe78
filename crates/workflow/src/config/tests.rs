use super::schema::{KEYS, Key, OTHER_PATHS, VARIABLES};
use super::*;

fn yaml(text: &str) -> Layers {
    Layers::new().text("c.yaml", Format::Yaml, text)
}

fn told(layers: Layers) -> Vec<String> {
    let problems = layers.load().expect_err("something is wrong");
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn the_defaults_are_sound_and_every_other_name_leads_to_a_setting() {
    let configuration = Layers::new().load().expect("nothing is set");
    assert_eq!(configuration.retry(), Retry { attempts: 1, ..Retry::default() });
    let rule = crate::Config::default();
    let expected = crate::Config { gpu_wait_high: 0.0, error_rate_high: 0.0, ..rule };
    assert_eq!(configuration.adaptive(), expected);
    assert_eq!((configuration.default_timeout(), configuration.weights().is_none()), (None, true));
    for (_, path) in VARIABLES {
        assert!(KEYS.iter().any(|key| key.path == *path), "{path}");
    }
    for (_, path) in OTHER_PATHS {
        let path = path.trim_start_matches(['!', '+']);
        assert!(KEYS.iter().any(|key| key.path == path), "{path}");
    }
    assert!(Key::find("agents.gpt-4.1.memory_mb").is_some() && Key::find("agents..x").is_none());
}

#[test]
fn a_layer_counts_more_than_those_before_and_each_value_knows_where_it_came_from() {
    let json = r#"{"max_concurrent_tasks": 11, "retry": {"attempts": 4}}"#;
    let configuration = yaml("max_concurrent_tasks: 10\nretry:\n  attempts: 3\n  factor: 3\n")
        .text("c.json", Format::Json, json)
        .text("c.toml", Format::Toml, "[retry]\nattempts = 5\n")
        .environment_of([("TIDEGATE_RETRY__FACTOR", "4"), ("OTHER", "x")])
        .set("retry.jitter", 0.25)
        .load()
        .expect("it is sound");
    let of = |path: &str| {
        let value = configuration.get(path).expect("it is set").to_string();
        (value, configuration.origin(path).expect("it is set").to_string())
    };
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(of("max_concurrent_tasks"), pair("11", "c.json:1:26"));
    assert_eq!(of("retry.attempts"), pair("5", "c.toml:2:12"));
    assert_eq!(of("retry.factor"), pair("4", "variable TIDEGATE_RETRY__FACTOR"));
    assert_eq!(of("retry.jitter"), pair("0.25", "set in code"));
    assert_eq!(of("retry.max_delay"), pair("60s", "by default"));
    let explained = configuration.explain();
    let factor = explained.0.iter().find(|one| one.setting == "retry.factor").expect("it is there");
    let over: Vec<String> =
        factor.over.iter().map(|(value, origin)| format!("{value} {origin}")).collect();
    assert_eq!(over, ["3 c.yaml:4:11", "2 by default"]);
}

#[test]
fn the_variables_of_older_designs_are_understood_and_ours_count_more() {
    let configuration = Layers::new()
        .environment_of([
            ("ORCHESTRATION_ENABLED", "true"),
            ("ORCHESTRATION_MAX_CONCURRENT", "10"),
            ("ORCHESTRATION_DEFAULT_TIMEOUT", "300"),
            ("ORCHESTRATION_PERFORMANCE_MONITORING", "true"),
            ("ORCHESTRATION_ADAPTIVE_SCHEDULING", "True"),
            ("ORCHESTRATION_SYNC_MODE", "false"),
            ("ORCHESTRATION_FALLBACK_SYNC", "true"),
            ("AGENT_MAX_CONCURRENT_TASKS", "4"),
            ("AGENT_MAX_REQUESTS_PER_MINUTE", "60"),
            ("ADVANCED_ORCHESTRATION_MAX_CONCURRENT_TASKS", "5"),
            ("ADVANCED_ORCHESTRATION_DEFAULT_MODE", "HIERARCHICAL"),
            ("ADVANCED_ORCHESTRATION_ENABLE_METRICS", "false"),
            ("ADVANCED_ORCHESTRATION_LOG_LEVEL", "WARN"),
            ("ADVANCED_ORCHESTRATION_TASK_TIMEOUT", "3600"),
            ("ADVANCED_ORCHESTRATION_RETRY_ATTEMPTS", "3"),
            ("ADVANCED_ORCHESTRATION_BACKOFF_FACTOR", "2.5"),
            ("TIDEGATE_DEFAULT_TIMEOUT", "1m30s"),
            ("TIDEGATE_AGENTS__CODING__MAX_CONCURRENT_TASKS", "7"),
        ])
        .load()
        .expect("all of them are known");
    assert_eq!((configuration.limit(), configuration.is_adaptive()), (10, true));
    assert_eq!(configuration.default_timeout(), Some(Duration::from_secs(90)));
    assert!(configuration.performance_monitoring() && configuration.fallback_sync());
    assert_eq!(configuration.log_level(), tracing::Level::WARN);
    let retry = configuration.retry();
    assert_eq!((retry.attempts, retry.factor), (3, 2.5));
    let any = configuration.agent_settings("any");
    assert_eq!((any.concurrency, any.per_minute), (4, Some(60)));
    assert_eq!(configuration.agent_settings("coding").concurrency, 7);
}

#[test]
fn the_files_of_older_designs_are_understood() {
    let json = r#"{
        "enabled": true, "max_concurrent_tasks": 10, "default_task_timeout_seconds": 300.0,
        "enable_performance_monitoring": true, "adaptive_scheduling_enabled": true,
        "default_agent_max_concurrent_tasks": 3, "default_agent_max_requests_per_minute": 60,
        "agent_specific_configs": {"coding_agent": {"max_concurrent_tasks": 5, "max_requests_per_minute": 120}}
    }"#;
    let first = Layers::new().text("p.json", Format::Json, json).load().expect("it is known");
    let coding = first.agent_settings("coding_agent");
    assert_eq!((coding.concurrency, coding.per_minute), (5, Some(120)));
    assert_eq!(first.default_timeout(), Some(Duration::from_secs(300)));
    assert_eq!((first.limit(), first.is_adaptive()), (10, true));

    let second = yaml(
        "advanced_orchestration:\n  max_concurrent_tasks: 5\n  default_mode: \"HIERARCHICAL\"\n  enable_metrics: true\n\
         \x20 task_execution: {timeout_seconds: 3600, max_retries: 3, backoff_factor: 2.0}\n  prioritization:\n\
         \x20   time_weight: 0.2\n    dependency_weight: 0.3\n    complexity_weight: 0.1\n    base_priority_weight: 0.4\n\
         \x20 performance:\n    enable_parallel_execution: false\n    enable_resource_monitoring: true\n    enable_adaptive_scheduling: true\n",
    );
    let second = second.load().expect("it is known");
    assert_eq!(second.limit(), 1, "no parallel execution");
    assert_eq!(second.retry().attempts, 4, "retries do not count the first attempt");
    let weights = second.weights().expect("they are set");
    assert_eq!(
        (weights.base, weights.time, weights.dependents, weights.complexity),
        (0.4, 0.2, 0.3, 0.1)
    );
}

#[test]
fn every_mistake_is_told_with_its_place_and_what_would_be_right() {
    let text = "max_concurent_tasks: 3\nretry: 5\nattempts: 3\ndefault_timeout: 5 minutes\nagents:\n  a:\n    memory_mb: -1\n    colour: red\n\
                log_level: loud\nadaptive: {error_rate_high: [1], min_limit: 9}\nqueue: {a: 1}\nresources: {gpu: 1.5}\n";
    assert_eq!(
        told(yaml(text)),
        [
            "c.yaml:1:1: there is no setting `max_concurent_tasks`; did you mean `max_concurrent_tasks`?",
            "c.yaml:2:8: `retry` is a number; it is a mapping of `attempts`, `first_delay`, `factor`, `max_delay`, `jitter`",
            "c.yaml:3:1: there is no setting `attempts`; it stands at `retry.attempts`",
            "c.yaml:4:18: `default_timeout` is \"5 minutes\"; it must be a time above 0 such as `30s`, `1h30m` or a number of seconds, or `off`",
            "c.yaml:7:16: `agents.a.memory_mb` is -1; it must be a whole number from 0, or `off`",
            "c.yaml:8:5: there is no setting `agents.a.colour`",
            "c.yaml:9:12: `log_level` is \"loud\"; it must be one of `error`, `warn`, `info`, `debug`, `trace`",
            "c.yaml:10:29: `adaptive.error_rate_high` is a list; it must be a number that is not negative",
            "c.yaml:11:1: there is no setting `queue`",
            "c.yaml:12:18: `resources.gpu` is 1.5; it must be a whole number from 0",
            "c.yaml:10:45: `adaptive`: limits must satisfy min ≤ base ≤ max, but min_limit is 9, base_limit 2, max_limit 5",
        ]
    );
    let environment = [
        ("ORCHESTRATION_MAX_CONCURENT", "3"),
        ("TIDEGATE_RETRY__ATEMPTS", "3"),
        ("TIDEGATE_SYNC_MODE", "maybe"),
        ("TIDEGATE_NIGHTLY", "1"),
        ("TIDEGATE_RUN_ID", "7"),
    ];
    assert_eq!(
        told(Layers::new().environment_of(environment).set("retry.atempts", 3)),
        [
            "variable ORCHESTRATION_MAX_CONCURENT: there is no setting of this name; did you mean `ORCHESTRATION_MAX_CONCURRENT`?",
            "variable TIDEGATE_RETRY__ATEMPTS: there is no setting `retry.atempts`; did you mean `retry.attempts`?",
            "variable TIDEGATE_SYNC_MODE: `sync_mode` is \"maybe\"; it must be `true` or `false`",
            "set in code: there is no setting `retry.atempts`; did you mean `retry.attempts`?",
        ]
    );
    assert_eq!(told(yaml("agents: {a: {breaker_cool_down: 5s}}")).len(), 1);
    assert_eq!(
        told(yaml("[1]")),
        [
            "c.yaml:1:1: the settings are a list; they are a mapping such as `max_concurrent_tasks: 10`"
        ]
    );
    assert!(
        told(Layers::new().file("/no/such.toml"))[0]
            .starts_with("/no/such.toml:1:1: cannot be read: ")
    );
    assert!(told(Layers::new().file("c.ini"))[0].contains("the name does not tell the format"));
    assert!(Layers::new().file_if_there("/no/such.toml").load().is_ok());
}

#[test]
fn what_is_named_as_a_secret_is_never_shown() {
    let problems = told(yaml("resources: {db_password: hunter2}\napi_key: hunter2\n")).join("\n");
    assert!(problems.contains("db_password") && !problems.contains("hunter2"), "{problems}");
    let configuration =
        yaml("resources: {api_key: 4711, tokens: 4712}").load().expect("it is sound");
    let text = configuration.explain().to_string();
    assert!(text.contains("resources.api_key") && !text.contains("4711"), "{text}");
    assert!(text.contains("4712"), "an amount of tokens is none: {text}");
}

#[test]
fn names_of_the_environment_get_back_the_case_they_have_in_files() {
    let configuration = yaml("agents: {Coding-Agent: {memory_mb: 5}}\nresources: {GPU: 1}\n")
        .environment_of([
            ("TIDEGATE_AGENTS__CODING_AGENT__MAX_CONCURRENT_TASKS", "9"),
            ("TIDEGATE_RESOURCES__GPU", "2"),
        ])
        .load()
        .expect("it is sound");
    assert_eq!(configuration.agent_settings("Coding-Agent").concurrency, 9);
    assert_eq!(configuration.get("resources.GPU"), Some(&Value::Count(2)));
}

#[test]
fn a_setting_that_is_set_in_code_twice_has_the_last_value_alone() {
    let layers = Layers::new().set("retry.jitter", 0.5).set("retry.jitter", 0.25);
    let explained = layers.load().expect("it is sound").explain();
    let jitter = explained.0.iter().find(|one| one.setting == "retry.jitter").expect("it is there");
    assert_eq!((jitter.value.to_string(), jitter.over.len()), ("0.25".to_owned(), 1));
}

#[test]
fn variables_are_read_in_the_order_of_their_names_and_those_of_others_are_passed_over() {
    let ours = [("TIDEGATE_RETRY__FACTOR", "x"), ("TIDEGATE_MAX_CONCURRENT_TASKS", "x")];
    let problems = told(Layers::new().environment_of(ours));
    assert!(problems[0].contains("MAX_CONCURRENT_TASKS"), "{problems:?}");
    let others = Layers::new().environment_of([("TIDEGATE_ELSEWHERE__SOMETHING", "x")]);
    others.load().expect("it is none of ours");
}

#[test]
fn a_file_without_end_is_not_read_and_one_that_must_be_there_is_missed() {
    let path = std::env::temp_dir().join(format!("tidegate-long-{}.yaml", std::process::id()));
    let long = vec![b'\n'; usize::try_from(tree::LONGEST).expect("it is small") + 1];
    std::fs::write(&path, long).expect("the folder can be written");
    let problems = told(Layers::new().file(&path));
    std::fs::remove_file(&path).expect("it was written");
    assert!(problems[0].contains("longer than"), "{problems:?}");
    assert_eq!(told(Layers::new().file(&path)).len(), 1, "it is gone");
}

#[test]
fn a_cool_down_is_for_a_breaker() {
    let agent = |settings: &str| yaml(&format!("agents: {{a: {{{settings}}}}}\n"));
    agent("breaker_failures: 2, breaker_cool_down: 5s").load().expect("both are there");
    let problems = told(agent("breaker_cool_down: 5s"));
    assert!(problems[0].contains("breaker_failures"), "{problems:?}");
}
