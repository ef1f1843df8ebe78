use super::*;

fn task(id: &str, agent: &str, needs: &[usize], secs: u64) -> Recorded {
    let (needs, busy) = (needs.to_vec(), Duration::from_secs(secs));
    Recorded { id: id.into(), agent: agent.into(), priority: 0, needs, busy }
}

fn recording(tasks: Vec<Recorded>) -> Recording {
    Recording { tasks, actual: Replayed::default() }
}

/// Four readers of 3 s each, then one writer of 2 s.
fn readers() -> Recording {
    let mut tasks: Vec<Recorded> =
        (0..4).map(|at| task(&format!("read {at}"), "reader", &[], 3)).collect();
    tasks.push(task("write", "writer", &[0, 1, 2, 3], 2));
    recording(tasks)
}

fn secs(run: &Replayed) -> u64 {
    run.makespan.as_secs()
}

#[test]
fn other_limits_rates_and_speeds_give_other_makespans() {
    let readers = readers();
    let with = |settings: Settings| readers.replay(&settings);
    assert_eq!(secs(&with(Settings::limit(1))), 14);
    assert_eq!(secs(&with(Settings::limit(9))), 5);
    assert_eq!(secs(&with(Settings::limit(9).agent("reader", 2))), 8);
    assert_eq!(secs(&with(Settings::limit(9).speed("reader", 3.0))), 3);
    assert_eq!(secs(&with(Settings::limit(9).requests_per_minute("reader", 3))), 65);
    let half =
        |task: &Recorded| if task.id.ends_with(['0', '1']) { "other" } else { "reader" }.into();
    let one_each = Settings::limit(9).agent("reader", 1).agent("other", 1).assign(half);
    assert_eq!(secs(&with(one_each)), 8);
}

#[test]
fn utilisation_is_work_over_slots_and_time() {
    let run = readers().replay(&Settings::limit(2).agent("reader", 2));
    assert_eq!((secs(&run), run.peak, run.busy.as_secs()), (8, 2, 14));
    assert!((run.utilisation() - 14.0 / 16.0).abs() < 1e-9);
    assert!((run.utilisation_of("reader").expect("it has a limit") - 12.0 / 16.0).abs() < 1e-9);
    assert_eq!(run.utilisation_of("writer"), None);
    assert_eq!(run.waited.as_secs(), 6, "two readers waited for 3 s");
}

#[test]
fn priorities_decide_what_waits() {
    let long =
        recording(vec![task("a", "x", &[], 1), task("b", "x", &[], 1), task("c", "x", &[1], 9)]);
    assert_eq!(secs(&long.replay(&Settings::limit(1))), 11);
    let two = |last: &'static str| {
        let urgent = move |task: &Recorded| if &*task.id == last { -1 } else { 0 };
        secs(&long.replay(&Settings::limit(2).priority(urgent)))
    };
    assert_eq!((two("none"), two("b")), (10, 10));
    let one =
        recording(vec![task("a", "x", &[], 5), task("b", "x", &[], 1), task("c", "y", &[1], 5)]);
    let with = |last: &'static str| {
        let of = move |task: &Recorded| if &*task.id == last { -1 } else { 0 };
        secs(&one.replay(&Settings::limit(2).agent("x", 1).priority(of)))
    };
    assert_eq!((with("a"), with("b")), (6, 11));
}

#[test]
fn a_recording_from_anywhere_ends() {
    let odd = recording(vec![
        task("a", "x", &[1, 7], 1),
        task("b", "x", &[0], 1),
        task("c", "x", &[2], 1),
    ]);
    assert_eq!(secs(&odd.replay(&Settings::limit(0))), 3);
    assert_eq!(secs(&recording(vec![]).replay(&Settings::limit(1))), 0);
}

#[test]
fn times_without_end_add_up_to_no_more_than_there_is() {
    let endless = |id: &str| Recorded { busy: Duration::MAX, ..task(id, "x", &[], 0) };
    let odd = recording(vec![endless("a"), endless("b"), endless("c")]);
    let one_by_one = odd.replay(&Settings::limit(1).requests_per_minute("x", 1));
    assert_eq!((one_by_one.makespan, one_by_one.busy), (Duration::MAX, Duration::MAX));
    assert_eq!((one_by_one.waited, one_by_one.agents["x"].busy), (Duration::MAX, Duration::MAX));
    let slow = Settings::limit(1).speed("x", 1e-300);
    assert_eq!(recording(vec![task("a", "x", &[], 1)]).replay(&slow).makespan, Duration::MAX);
}

#[test]
fn settings_under_which_nothing_could_run_count_as_the_least() {
    let settings = Settings::limit(0).agent("reader", 0).requests_per_minute("reader", 0);
    assert_eq!(secs(&readers().replay(&settings.speed("writer", 0.0))), 185);
    let as_it_is = Settings::limit(1).speed("reader", f64::NAN).speed("writer", f64::INFINITY);
    assert_eq!(secs(&readers().replay(&as_it_is)), 14);
    let nothing = recording(vec![]).replay(&Settings::limit(1));
    assert_eq!((nothing.utilisation(), nothing.makespan), (0.0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_recording_has_what_ran_each_after_what_those_between_came_after() {
    let mut graph = crate::Graph::new();
    let work = |fails: bool| {
        move |_| async move {
            tokio::time::sleep(Duration::from_secs(2)).await;
            if fails { Err("no") } else { Ok(()) }
        }
    };
    graph.add(crate::Task::new("bad", work(true)).agent("x")).expect("new");
    graph.add(crate::Task::new("skipped", work(false)).needs(["bad"])).expect("new");
    let last = crate::Task::new("last", work(false)).agent("x");
    graph.add(last.wants(["skipped", "bad"])).expect("new");
    let waits = crate::Task::new("waits", work(false)).agent("x");
    graph.add(waits.wants(["skipped"])).expect("new");
    let orchestrator = crate::Orchestrator::builder().agent("x", 1).build().expect("it is sound");
    let report = orchestrator.run(graph).await.expect("it starts").into_report();
    let recording = Recording::of(&report);
    let tasks: Vec<(&str, &[usize])> =
        recording.tasks.iter().map(|task| (&*task.id, &task.needs[..])).collect();
    assert_eq!(tasks, [("bad", &[][..]), ("last", &[0]), ("waits", &[0])]);
    let actual = &recording.actual;
    assert_eq!((actual.busy.as_secs(), actual.agents["x"].busy.as_secs()), (6, 6));
    assert!(actual.waited >= Duration::from_secs(2), "{:?}", actual.waited);
}

#[test]
fn the_table_has_a_column_for_each_and_every_line_is_as_long() {
    let readers = readers();
    let mut comparison = Comparison::new(&readers);
    comparison.add("one at a time", Settings::limit(1));
    comparison.add("reader: 2", Settings::limit(4).agent("reader", 2));
    let text = comparison.to_string();
    let lengths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
    assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{text}");
    assert!(text.contains("one at a time") && text.contains("14.000s"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("reader")).count(), 1, "{text}");
}
