//! Schedules under clocks that the tests set.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc;

use super::agenda::When;
use super::cron::Cron;
use super::*;
use crate::{Graph, Task, TaskError};

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn cron(expression: &str, zone: &str) -> Arc<Cron> {
    Arc::new(Cron::parse(expression, zone).expect("a schedule"))
}

/// The times of a cron expression in between, by an agenda that is asked every so often.
fn ticks(cron: Arc<Cron>, missed: Missed, from: &str, to: &str, every: Duration) -> Vec<String> {
    let mut agenda = Agenda::default();
    let (mut now, to) = (at(from), at(to));
    assert!(agenda.add("job".into(), When::Cron(cron), missed, (), now));
    let mut times = Vec::new();
    while now <= to {
        times.extend(agenda.due(now).into_iter().map(|due| due.at.to_string()));
        now += every;
    }
    times
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn clocks_that_go_forward_run_what_has_no_time_once_the_gap_is_over() {
    // In Berlin 02:00 to 03:00 does not exist on this day; 03:00 there is 01:00 in UTC.
    let of = |expression| {
        let (from, to) = ("2026-03-28T23:00:00Z", "2026-03-29T03:00:00Z");
        ticks(cron(expression, "Europe/Berlin"), Missed::Once, from, to, MINUTE)
    };
    assert_eq!(of("30 2 * * *"), ["2026-03-29T01:00:00Z"]);
    assert_eq!(of("30 * * * *").len(), 4, "{:?}", of("30 * * * *"));
}

#[test]
fn clocks_that_go_back_run_a_fixed_time_once_and_a_repeated_one_in_both_hours() {
    // In Berlin 02:00 to 03:00 comes twice on this day: from 00:00 and from 01:00 in UTC.
    let of = |expression| {
        let (from, to) = ("2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z");
        ticks(cron(expression, "Europe/Berlin"), Missed::Once, from, to, MINUTE)
    };
    assert_eq!(of("30 2 * * *"), ["2026-10-25T00:30:00Z"]);
    assert_eq!(of("30 * * * *").len(), 5, "{:?}", of("30 * * * *"));
}

#[test]
fn a_time_is_of_its_zone_in_summer_and_in_winter() {
    let of = |day: &str| {
        let (from, to) = (format!("{day}T00:00:00Z"), format!("{day}T23:59:00Z"));
        ticks(cron("0 9 * * MON-FRI", "Europe/Berlin"), Missed::Once, &from, &to, MINUTE)
    };
    assert_eq!(of("2026-01-05"), ["2026-01-05T08:00:00Z"]);
    assert_eq!(of("2026-07-06"), ["2026-07-06T07:00:00Z"]);
    assert!(of("2026-07-05").is_empty(), "a Sunday");
}

#[test]
fn a_year_of_ticks_brings_each_time_once() {
    let (from, to) = ("2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z");
    let every = Duration::from_secs(13 * 60);
    let times = ticks(cron("0 6 * * *", "America/New_York"), Missed::Once, from, to, every);
    assert_eq!(times.len(), 365);
    let (to, each) = ("2026-01-31T23:59:59Z", Missed::Each { at_most: 10 });
    let quarters = ticks(cron("*/15 * * * *", "UTC"), each, from, to, every);
    assert_eq!(quarters.len(), 31 * 96 - 1, "all but the first, which is not after the start");
    assert!(quarters.windows(2).all(|two| two[0] < two[1]));
}

#[test]
fn times_that_were_missed_are_dropped_run_once_or_each() {
    let of = |missed| {
        let mut agenda = Agenda::default();
        let hourly = When::Cron(cron("0 * * * *", "UTC"));
        agenda.add("job".into(), hourly, missed, (), at("2026-05-01T00:30:00Z"));
        let due = agenda.due(at("2026-05-01T05:10:00Z"));
        assert_eq!(agenda.next().map(|next| next.1), Some(at("2026-05-01T06:00:00Z")));
        assert!(agenda.due(at("2026-05-01T05:10:00Z")).is_empty(), "nothing is due twice");
        due.into_iter().map(|due| due.at.to_string()[11..13].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(of(Missed::Once), ["05"]);
    assert_eq!(of(Missed::Skip { tolerance: 9 * MINUTE }), [""; 0]);
    assert_eq!(of(Missed::Skip { tolerance: 10 * MINUTE }), ["05"]);
    assert_eq!(of(Missed::Each { at_most: 99 }), ["01", "02", "03", "04", "05"]);
    assert_eq!(of(Missed::Each { at_most: 2 }), ["04", "05"]);
    assert_eq!(of(Missed::Each { at_most: 0 }), [""; 0]);
}

#[test]
fn years_of_missed_seconds_cost_nothing() {
    let mut agenda = Agenda::default();
    let secondly = When::Cron(cron("* * * * * *", "UTC"));
    agenda.add("job".into(), secondly, Missed::Each { at_most: 3 }, (), at("2000-01-01T00:00:00Z"));
    assert_eq!(agenda.due(at("2026-01-01T00:00:00Z")).len(), 3);
}

#[test]
fn a_clock_that_goes_back_brings_nothing_twice() {
    let mut agenda = Agenda::default();
    let hourly = When::Cron(cron("0 * * * *", "UTC"));
    agenda.add("job".into(), hourly, Missed::Once, (), at("2026-05-01T00:30:00Z"));
    assert_eq!(agenda.due(at("2026-05-01T01:00:00Z")).len(), 1);
    assert!(agenda.due(at("2026-05-01T00:10:00Z")).is_empty());
    assert!(agenda.due(at("2026-05-01T01:30:00Z")).is_empty());
}

#[test]
fn what_is_no_schedule_is_told_with_what_would_be_right() {
    let error = |expression, zone| Cron::parse(expression, zone).expect_err("none").to_string();
    assert!(error("0 25 * * *", "UTC").contains("`0 25 * * *`"));
    assert!(error("0 9 * *", "UTC").contains("0 9 * * MON-FRI"));
    assert!(error("0 0 30 2 *", "UTC").contains("it never comes"));
    assert!(error("0 9 * * *", "Europe/Berln").contains("IANA"));
}

/// A clock that stands until it is set.
#[derive(Clone)]
struct Set(Arc<Mutex<Timestamp>>);

impl Set {
    fn to(text: &str) -> Self {
        Self(Arc::new(Mutex::new(at(text))))
    }

    fn set(&self, text: &str) {
        *self.0.lock() = at(text);
    }
}

fn scheduler(clock: &Set) -> Scheduler {
    let clock = clock.clone();
    let orchestrator = Orchestrator::builder().limit(8).build().expect("the settings are sound");
    Scheduler::new(orchestrator).clock(move || *clock.0.lock())
}

fn one(work: impl Fn() -> Result<(), &'static str> + Clone + Send + Sync + 'static) -> Graph {
    let mut graph = Graph::new();
    let task = Task::new("work", move |_| std::future::ready(work().map_err(TaskError::from)));
    graph.add(task).expect("it is alone");
    graph
}

#[tokio::test]
async fn a_tick_runs_what_is_due_and_reports_it_in_the_order_of_the_times() {
    let clock = Set::to("2026-05-01T08:00:00Z");
    let scheduler = scheduler(&clock);
    let ran = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ran);
    let graph = move || {
        let count = Arc::clone(&count);
        one(move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    };
    let daily = Job::cron("daily", "0 9 * * *", "UTC", graph.clone()).expect("a schedule");
    scheduler.add(daily).expect("a new id");
    scheduler.add(Job::at("planned", at("2026-05-01T08:30:00Z"), graph.clone())).expect("a new id");
    assert!(scheduler.tick().await.is_empty());
    scheduler.add(Job::now("at once", graph.clone())).expect("a new id");
    assert_eq!(scheduler.add(Job::now("daily", graph)), Err(Duplicate { job: "daily".into() }));
    clock.set("2026-05-01T09:00:10Z");
    let reports = scheduler.tick().await;
    let ids: Vec<&str> = reports.iter().map(|report| &*report.job).collect();
    assert_eq!(ids, ["planned", "daily", "at once"]);
    assert!(reports.iter().all(JobReport::is_success));
    assert_eq!(ran.load(Ordering::Relaxed), 3);
    assert!(scheduler.tick().await.is_empty(), "nothing runs twice");
    assert_eq!(scheduler.next(), Some(("daily".into(), at("2026-05-02T09:00:00Z"))));
    assert!(scheduler.remove("daily") && !scheduler.remove("daily"));
    assert_eq!(scheduler.next(), None);
}

/// Jobs of which each waits for the other: they end only together.
fn meeting() -> impl Fn() -> Graph + Clone + Send + Sync {
    let barrier = Arc::new(tokio::sync::Barrier::new(2));
    move || {
        let barrier = Arc::clone(&barrier);
        let mut graph = Graph::new();
        let work = move |_| {
            let barrier = Arc::clone(&barrier);
            async move {
                barrier.wait().await;
                Ok::<(), TaskError>(())
            }
        };
        let task = Task::new("meet", work).timeout(Duration::from_secs(1));
        graph.add(task.grace(Duration::ZERO)).expect("it is alone");
        graph
    }
}

#[tokio::test(start_paused = true)]
async fn the_mode_says_whether_jobs_run_together() {
    for (mode, meet) in [(Mode::Auto, true), (Mode::Concurrent, true), (Mode::Sequential, false)] {
        let scheduler = scheduler(&Set::to("2026-05-01T08:00:00Z")).mode(mode);
        let graph = meeting();
        scheduler.add(Job::now("a", graph.clone())).expect("a new id");
        scheduler.add(Job::now("b", graph)).expect("a new id");
        let reports = scheduler.tick().await;
        // Alone, the first is timed out.
        assert_eq!(reports.iter().all(JobReport::is_success), meet, "{mode:?}: {reports:?}");
    }
}

/// Adds two jobs that succeed only alone, and not at the first try.
fn add_rivals(scheduler: &Scheduler) {
    let (running, tries) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let graph = move || {
        let (running, tries) = (Arc::clone(&running), Arc::clone(&tries));
        let mut graph = Graph::new();
        let work = move |_| {
            let (running, tries) = (Arc::clone(&running), Arc::clone(&tries));
            async move {
                let is_first = tries.fetch_add(1, Ordering::SeqCst) < 2;
                let mut is_alone = running.fetch_add(1, Ordering::SeqCst) == 0;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                is_alone &= running.fetch_sub(1, Ordering::SeqCst) == 1;
                if is_alone && !is_first { Ok(()) } else { Err("no room") }
            }
        };
        graph.add(Task::new("work", work)).expect("it is alone");
        graph
    };
    for id in ["a", "b"] {
        scheduler.add(Job::now(id, graph.clone())).expect("a new id");
    }
}

#[tokio::test]
async fn what_fails_in_company_is_tried_alone_if_that_is_wanted() {
    for fall_back in [false, true] {
        let scheduler = scheduler(&Set::to("2026-05-01T08:00:00Z")).fall_back(fall_back);
        add_rivals(&scheduler);
        let reports = scheduler.tick().await;
        assert!(reports.iter().all(|report| report.fell_back == fall_back), "{reports:?}");
        assert!(reports.iter().all(|report| report.is_success() == fall_back), "{reports:?}");
    }
}

#[tokio::test]
async fn by_itself_too_it_tries_one_at_a_time_what_failed_in_company() {
    let scheduler = Arc::new(scheduler(&Set::to("2026-05-01T08:00:00Z")).fall_back(true));
    add_rivals(&scheduler);
    let stop = CancellationToken::new();
    let mut reports = Vec::new();
    let told = |report| {
        reports.push(report);
        if reports.len() == 2 {
            stop.cancel();
        }
    };
    scheduler.run(stop.clone(), told).await;
    assert!(reports.iter().all(|report| report.fell_back && report.is_success()), "{reports:?}");
}

#[tokio::test]
async fn a_job_whose_graph_cannot_be_made_or_started_is_reported_and_the_others_run() {
    let scheduler = scheduler(&Set::to("2026-05-01T08:00:00Z"));
    scheduler.add(Job::now("a", || panic!("no file"))).expect("a new id");
    let unresolved = || {
        let mut graph = Graph::new();
        let task = Task::new("work", async |_| Ok::<(), TaskError>(())).needs(["nobody"]);
        graph.add(task).expect("it is alone");
        graph
    };
    scheduler.add(Job::now("b", unresolved)).expect("a new id");
    scheduler.add(Job::now("c", || one(|| Ok(())))).expect("a new id");
    let reports = scheduler.tick().await;
    let why = |at: usize| match &reports[at].end {
        JobEnd::Failed(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert!(why(0).contains("no file"), "{}", why(0));
    assert!(why(1).contains("nobody"), "{}", why(1));
    assert!(reports[2].is_success());
}

#[tokio::test]
async fn times_that_were_missed_and_are_due_at_once_are_no_overlap() {
    for overlap in [Overlap::Skip, Overlap::Wait, Overlap::Replace, Overlap::Allow] {
        let clock = Set::to("2026-05-01T08:00:30Z");
        let scheduler = Arc::new(scheduler(&clock));
        let job = Job::cron("job", "* * * * *", "UTC", || one(|| Ok(()))).expect("a schedule");
        let job = job.missed(Missed::Each { at_most: 9 }).overlap(overlap);
        scheduler.add(job).expect("a new id");
        clock.set("2026-05-01T08:05:10Z");
        let stop = CancellationToken::new();
        let mut reports = Vec::new();
        let told = |report| {
            reports.push(report);
            if reports.len() == 5 {
                stop.cancel();
            }
        };
        scheduler.run(stop.clone(), told).await;
        assert!(reports.iter().all(JobReport::is_success), "{overlap:?}: {reports:?}");
        let is_in_order = reports.windows(2).all(|two| two[0].due < two[1].due);
        assert!(is_in_order || overlap == Overlap::Allow, "{overlap:?}: {reports:?}");
    }
}

/// A scheduler that runs by itself on the paused clock, with a job each minute that takes 145 s; what it told by then.
async fn minutely(overlap: Overlap, minutes: u32) -> Vec<JobReport> {
    let start = tokio::time::Instant::now();
    let orchestrator = Orchestrator::builder().limit(8).build().expect("the settings are sound");
    let clock = move || at("2026-05-01T08:00:00Z") + start.elapsed();
    let scheduler = Arc::new(Scheduler::new(orchestrator).clock(clock));
    let graph = || {
        let mut graph = Graph::new();
        let work = async |cx: crate::Context| {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(145)) => Ok(()),
                () = cx.token().cancelled() => Err("cancelled"),
            }
        };
        graph.add(Task::new("work", work)).expect("it is alone");
        graph
    };
    let job = Job::cron("job", "* * * * *", "UTC", graph).expect("a schedule").overlap(overlap);
    scheduler.add(job).expect("a new id");
    let stop = CancellationToken::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = tokio::spawn({
        let (scheduler, stop) = (Arc::clone(&scheduler), stop.clone());
        async move { scheduler.run(stop, move |report| drop(tell.send(report))).await }
    });
    tokio::time::sleep(minutes * MINUTE + Duration::from_secs(1)).await;
    stop.cancel();
    let stopped = tokio::time::Instant::now();
    running.await.expect("it does not panic");
    assert_eq!(stopped.elapsed(), Duration::ZERO, "what runs was cancelled");
    let mut reports = Vec::new();
    while let Some(report) = told.recv().await {
        reports.push(report);
    }
    reports.sort_by_key(|report| report.due);
    reports
}

fn ends(reports: &[JobReport]) -> String {
    let letter = |report: &JobReport| match &report.end {
        JobEnd::Ran(_) if report.is_success() => 'r',
        JobEnd::Ran(_) => 'x',
        JobEnd::Overlapped => 'o',
        JobEnd::Cancelled => 'c',
        JobEnd::Failed(_) => 'f',
    };
    reports.iter().map(letter).collect()
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_due_while_it_runs_does_as_its_policy_says() {
    // Due at minutes 1 to 7; each run takes 145 s, and what lives at the end is cancelled.
    assert_eq!(ends(&minutely(Overlap::Skip, 7).await), "roorooc");
    assert_eq!(ends(&minutely(Overlap::Allow, 7).await), "rrrrccc");
    assert_eq!(ends(&minutely(Overlap::Replace, 7).await), "ccccccc");
    assert_eq!(ends(&minutely(Overlap::Wait, 7).await), "rrococo");
}

#[tokio::test(start_paused = true)]
async fn a_week_by_itself_runs_each_day_and_remembers_nothing() {
    let start = tokio::time::Instant::now();
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let clock = move || at("2026-05-01T08:00:00Z") + start.elapsed();
    let scheduler = Arc::new(Scheduler::new(orchestrator).clock(clock));
    let daily = Job::cron("daily", "0 9 * * *", "Europe/Berlin", || one(|| Ok(())));
    scheduler.add(daily.expect("a schedule")).expect("a new id");
    let stop = CancellationToken::new();
    let done = Arc::new(AtomicUsize::new(0));
    let running = tokio::spawn({
        let (scheduler, stop, done) = (Arc::clone(&scheduler), stop.clone(), Arc::clone(&done));
        async move {
            let told = |report: JobReport| {
                assert!(report.is_success());
                done.fetch_add(1, Ordering::Relaxed);
            };
            scheduler.run(stop, told).await;
        }
    });
    tokio::time::sleep(Duration::from_secs(7 * 86_400)).await;
    stop.cancel();
    running.await.expect("it does not panic");
    assert_eq!(done.load(Ordering::Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_added_while_it_sleeps_wakes_it() {
    let orchestrator = Orchestrator::builder().build().expect("the settings are sound");
    let scheduler = Arc::new(Scheduler::new(orchestrator));
    let stop = CancellationToken::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let running = tokio::spawn({
        let (scheduler, stop) = (Arc::clone(&scheduler), stop.clone());
        async move { scheduler.run(stop, move |report| drop(tell.send(report))).await }
    });
    tokio::task::yield_now().await;
    let start = tokio::time::Instant::now();
    scheduler.add(Job::now("now", || one(|| Ok(())))).expect("a new id");
    assert!(told.recv().await.expect("it runs").is_success());
    assert!(start.elapsed() < LOOK, "nobody waits for the next look");
    stop.cancel();
    running.await.expect("it does not panic");
}

/// A job that counts how often it was tried.
fn counted(succeeds: bool) -> (Arc<AtomicUsize>, impl Fn() -> Graph + Clone + Send + Sync) {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    let graph = move || {
        let count = Arc::clone(&count);
        one(move || {
            count.fetch_add(1, Ordering::Relaxed);
            if succeeds { Ok(()) } else { Err("no") }
        })
    };
    (tries, graph)
}

#[tokio::test]
async fn what_fails_alone_or_succeeds_in_company_is_not_tried_again() {
    for (limit, jobs, succeeds) in [(8, 1, false), (1, 2, false), (8, 2, true)] {
        let orchestrator = Orchestrator::builder().limit(limit).build();
        let scheduler = Scheduler::new(orchestrator.expect("the settings are sound"));
        let scheduler = scheduler.fall_back(true);
        let (tries, graph) = counted(succeeds);
        for id in ["a", "b"].into_iter().take(jobs) {
            scheduler.add(Job::now(id, graph.clone())).expect("a new id");
        }
        let reports = scheduler.tick().await;
        assert!(reports.iter().all(|report| !report.fell_back), "{reports:?}");
        assert_eq!(tries.load(Ordering::Relaxed), jobs);
    }
}

#[tokio::test(start_paused = true)]
async fn one_by_one_by_itself_no_two_jobs_run_at_once_and_none_is_tried_again() {
    let scheduler = scheduler(&Set::to("2026-05-01T08:00:00Z"));
    let scheduler = Arc::new(scheduler.mode(Mode::Sequential).fall_back(true));
    let crowd: Arc<[AtomicUsize; 2]> = Arc::default();
    for id in ["a", "b", "c"] {
        let crowd = Arc::clone(&crowd);
        let graph = move || {
            let crowd = Arc::clone(&crowd);
            let mut graph = Graph::new();
            let work = move |_| {
                let crowd = Arc::clone(&crowd);
                async move {
                    crowd[1]
                        .fetch_max(1 + crowd[0].fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    crowd[0].fetch_sub(1, Ordering::Relaxed);
                    Err::<(), _>("no")
                }
            };
            graph.add(Task::new("work", work)).expect("it is alone");
            graph
        };
        scheduler.add(Job::now(id, graph)).expect("a new id");
    }
    let stop = CancellationToken::new();
    let mut reports = Vec::new();
    let told = |report| {
        reports.push(report);
        if reports.len() == 3 {
            stop.cancel();
        }
    };
    scheduler.run(stop.clone(), told).await;
    assert_eq!(crowd[1].load(Ordering::Relaxed), 1);
    assert!(reports.iter().all(|report| !report.fell_back), "{reports:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_noticed_at_the_next_look() {
    let clock = Set::to("2026-05-01T08:00:00Z");
    let scheduler = Arc::new(scheduler(&clock));
    let (tries, graph) = counted(true);
    scheduler.add(Job::at("far", at("2027-05-01T08:00:00Z"), graph)).expect("a new id");
    let stop = CancellationToken::new();
    let running = tokio::spawn({
        let (scheduler, stop) = (Arc::clone(&scheduler), stop.clone());
        async move { scheduler.run(stop, drop).await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    clock.set("2027-05-01T08:00:00Z");
    tokio::time::sleep(LOOK).await;
    assert_eq!(tries.load(Ordering::Relaxed), 1);
    stop.cancel();
    running.await.expect("it does not panic");
}

#[tokio::test]
async fn a_time_that_is_now_is_the_last_of_those_that_were_missed() {
    let minutes = |minutes: &[&str]| -> Vec<Timestamp> {
        minutes.iter().map(|minute| at(&format!("2026-05-01T08:{minute}:00Z"))).collect()
    };
    for (at_most, expected) in [(9, minutes(&["01", "02", "03"])), (2, minutes(&["02", "03"]))] {
        let clock = Set::to("2026-05-01T08:00:00Z");
        let scheduler = scheduler(&clock);
        let job = Job::cron("a", "* * * * *", "UTC", || one(|| Ok(()))).expect("a schedule");
        scheduler.add(job.missed(Missed::Each { at_most })).expect("a new id");
        clock.set("2026-05-01T08:03:00Z");
        let due: Vec<Timestamp> = scheduler.tick().await.iter().map(|report| report.due).collect();
        assert_eq!(due, expected);
    }
}
