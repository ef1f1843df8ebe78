use crate::contender::Contender;
use crate::scenario::Scenario;
use crate::score::Score;
use crate::simulation;

const STEP: &str = include_str!("../../../scenarios/published/1-exponential.txt");

fn parse(text: &str) -> Scenario {
    Scenario::parse(text).expect("the scenario is in order")
}

#[test]
fn the_same_start_gives_the_same_run() {
    let scenario = parse(STEP);
    let run = |start| simulation::run(&scenario, &Contender::KNEE, start).ended;
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn the_oracle_loses_only_what_chance_takes() {
    let scenario = parse(STEP);
    let score = Score::of(&scenario, &simulation::run(&scenario, &Contender::ORACLE, 0));
    assert!(0.92 < score.power && score.power <= 1.0, "{score:?}");
    // It looks at each tick of 50 ms.
    assert!(score.falls[0] < 0.051 && score.rises[0] < 0.051, "{score:?}");
}

#[test]
fn a_wrong_line_is_named_with_what_would_be_right() {
    let wrong = |text: &str| Scenario::parse(text).expect_err("it is wrong").to_string();
    assert_eq!(
        wrong("duration 60\nat 0 speed 3"),
        "line 2: `speed` is none of servers, mean_ms, load"
    );
    assert_eq!(wrong("duration -1"), "line 1: `-1` must be a number above 0");
    assert_eq!(wrong("at 5 servers 1\nat 4 servers 2"), "line 2: times must not go back");
    assert!(
        wrong("servce fixed").starts_with("line 1: `servce` with 1 words after it is no statement")
    );
    assert_eq!(wrong("duration 1\nat 0 servers 3"), "line 2: `at 0` must set servers and mean_ms");
    assert_eq!(
        wrong("duration 1\nat 0 servers 3 mean_ms 1"),
        "line 2: `at 0` must set load, or `clients` must"
    );
}

#[test]
fn clients_keep_a_limit_in_flight_and_the_backend_busy() {
    let text = "duration 20\nclients 30\nservice fixed\nat 0 servers 10 mean_ms 20\n";
    let scenario = parse(text);
    let trace = simulation::run(&scenario, &Contender::ORACLE, 0);
    // Ten servers, always busy, 20 ms each: nobody waits in the backend.
    assert!((9_900..=10_000).contains(&trace.ended.len()), "{}", trace.ended.len());
    assert!(trace.ended.iter().all(|(_, latency)| (latency - 0.02).abs() < 1e-6));
    assert!(0.99 < Score::of(&scenario, &trace).power);
    // Fewer than the backend could serve, and no limit in the way.
    let few = parse(&text.replace("clients 30", "clients 4"));
    assert!(0.99 < Score::of(&few, &simulation::run(&few, &Contender::ORACLE, 0)).utilisation);
}

#[test]
fn a_ramp_moves_in_a_straight_line() {
    let scenario = parse("duration 9\nat 0 servers 10 mean_ms 1 load 1\nramp 2 4 servers 20\n");
    let servers: Vec<f64> =
        [1.0, 2.0, 3.0, 4.0, 8.0].iter().map(|at| scenario.now(*at).servers).collect();
    assert_eq!(servers, [10.0, 10.0, 15.0, 20.0, 20.0]);
}

#[test]
fn the_shared_backend_does_most_at_its_best_limit() {
    let scenario = parse("duration 9\nbackend usl 0.02\nat 0 servers 44 mean_ms 20 load 1\n");
    let rate = |n: f64| n / scenario.slowdown(0.0, n);
    assert!(rate(40.0) < rate(44.0) && rate(48.0) < rate(44.0));
}

#[test]
fn every_scenario_of_the_random_family_is_in_order_and_has_a_possible_best() {
    for number in 0..500 {
        let scenario = parse(&crate::random::text(number));
        assert!(scenario.name.starts_with(&format!("{number}: ")), "{}", scenario.name);
        assert!(1.0 <= scenario.now(scenario.duration / 2.0).servers, "{}", scenario.name);
    }
    assert_eq!(crate::random::text(7), crate::random::text(7));
    assert_ne!(crate::random::text(7), crate::random::text(8));
}

#[test]
fn what_the_backend_refuses_does_not_wait() {
    let text = "duration 20\nservice fixed\nstart 60\nat 0 servers 10 mean_ms 20 load 3\n";
    let latest = |text: &str| {
        let threshold = Contender::ALL.iter().find(|c| c.name == "Aimd").expect("it takes part");
        let trace = simulation::run(&parse(text), threshold, 0);
        trace.ended.iter().map(|(_, latency)| *latency).fold(0.0, f64::max)
    };
    assert!(0.1 < latest(text), "it goes on to its 200");
    assert!(latest(&format!("{text}refuses 2\n")) < 0.041, "ten wait at most");
}

#[test]
fn a_section_of_the_results_is_replaced_and_its_neighbours_stay() {
    let heading = "### Control laws in virtual time\n";
    let new = format!("{heading}\nnew\n");
    let replaced = |old: &str| crate::results::replaced(old, &new);
    assert_eq!(replaced("# R\n\nx\n"), format!("# R\n\nx\n\n{new}"));
    let old = format!("# R\n\n{heading}\nold\n\n### Next\n\n## Last\n");
    assert_eq!(replaced(&old), format!("# R\n\n{new}\n### Next\n\n## Last\n"));
    assert_eq!(replaced(&replaced(&old)), replaced(&old));
}

/// The published eight, three runs each: mean power, the same where there is a queue, and the worst.
fn powers(contender: &Contender) -> (f64, f64, f64) {
    let texts = [
        STEP,
        include_str!("../../../scenarios/published/2-lognormal.txt"),
        include_str!("../../../scenarios/published/3-bimodal.txt"),
        include_str!("../../../scenarios/published/4-slower-service.txt"),
        include_str!("../../../scenarios/published/5-load.txt"),
        include_str!("../../../scenarios/published/7-slow.txt"),
        include_str!("../../../scenarios/published/8-fixed.txt"),
        include_str!("../../../scenarios/published/6-usl.txt"),
    ];
    let power = |text: &&str| {
        let scenario = parse(text);
        let run = |start| Score::of(&scenario, &simulation::run(&scenario, contender, start)).power;
        (0..3).map(run).sum::<f64>() / 3.0
    };
    let powers: Vec<f64> = texts.iter().map(power).collect();
    let mean = |powers: &[f64]| powers.iter().sum::<f64>() / powers.len() as f64;
    let worst = powers.iter().copied().fold(f64::INFINITY, f64::min);
    (mean(&powers), mean(&powers[..7]), worst)
}

#[test]
fn knee_keeps_its_promise_from_latency_alone() {
    let (mean, _, worst) = powers(&Contender::KNEE);
    assert!(0.82 <= mean && 0.60 <= worst, "mean power {mean:.3}, worst {worst:.3}");
}

#[test]
fn knee_keeps_its_promise_where_the_wait_is_told() {
    let (_, queues, _) = powers(&Contender::KNEE_WAIT);
    assert!(0.90 <= queues, "mean power with a queue {queues:.3}");
}

#[test]
fn knee_settles_within_a_second_of_a_drop() {
    let scenario = parse(STEP);
    for contender in [Contender::KNEE, Contender::KNEE_WAIT] {
        let scores: Vec<Score> = (0..5)
            .map(|start| Score::of(&scenario, &simulation::run(&scenario, &contender, start)))
            .collect();
        let median = Score::mean(&scores).falls[0];
        assert!(median <= 1.0, "{}: {median:.2} s", contender.name);
    }
}
