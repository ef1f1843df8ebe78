//! Pipelines of agents: what runs together, what an answer goes without, and what load changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use tidegate_workflow::pipeline::{Draft, Mode, NoAnswer, Pipeline, StageError};
use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::{Handle, Orchestrator, Outcome, Retry, StartError, TaskError};

const SECOND: Duration = Duration::from_secs(1);

fn orchestrator() -> Orchestrator {
    Orchestrator::builder().limit(100).agent_default(100).build().expect("the settings are sound")
}

async fn says(text: impl Into<String>) -> Result<String, TaskError> {
    tokio::time::sleep(SECOND).await;
    Ok(text.into())
}

/// `a` and `b`, each a second long, and `c` after both.
fn diamond() -> Pipeline<str, String> {
    let mut draft = Draft::<str>::new("diamond");
    let a = draft.stage("a").run(|request, ()| says(format!("a of {request}"))).expect("new");
    let b = draft.stage("b").run(|request, ()| says(format!("b of {request}"))).expect("new");
    let c = draft.stage("c").after((&a, &b));
    let c = c.run(|request, (a, b)| says(format!("{a}, {b} for {request}"))).expect("new");
    draft.answer(&c).expect("it is there")
}

#[tokio::test(start_paused = true)]
async fn stages_run_together_unless_one_comes_after_another_and_get_the_request_and_what_was_before()
 {
    let (orchestrator, pipeline) = (orchestrator(), diamond());
    let answer = pipeline.ask(&orchestrator, "x").await.expect("nothing fails");
    assert_eq!(*answer.value, "a of x, b of x for x");
    assert_eq!((answer.took, answer.report.peak, answer.is_degraded()), (2 * SECOND, 2, false));
    let alone = pipeline.mode(Mode::Sequential).ask(&orchestrator, "x").await.expect("as before");
    assert_eq!((alone.value, alone.took, alone.report.peak), (answer.value, 3 * SECOND, 1));
}

#[tokio::test(start_paused = true)]
async fn one_pipeline_answers_many_requests_at_once_and_counts_them() {
    let (orchestrator, pipeline) = (orchestrator(), diamond());
    let requests: Vec<String> = (0..20).map(|n| format!("request {n}")).collect();
    let asked = requests.iter().map(|request| pipeline.ask(&orchestrator, request.as_str()));
    for (request, answer) in requests.iter().zip(join_all(asked).await) {
        let answer = answer.expect("nothing fails");
        assert_eq!(*answer.value, format!("a of {request}, b of {request} for {request}"));
    }
    let statistics = pipeline.statistics();
    assert_eq!((statistics.asked, statistics.complete, statistics.ended()), (20, 20, 20));
    assert_eq!((statistics.fastest, statistics.mean(), statistics.elapsed), {
        (2 * SECOND, 2 * SECOND, 2 * SECOND)
    });
    assert_eq!((statistics.attempts, statistics.peak, statistics.busy), (60, 40, 60 * SECOND));
    assert_eq!((statistics.throughput(), statistics.speed_up()), (10.0, 30.0));
}

#[tokio::test]
async fn plain_functions_are_stages_too() {
    let mut draft = Draft::<u64>::new("sums");
    let kind = Kind::Cpu(Priority::Normal);
    let sum = draft.stage("sum").offload(kind, |request, ()| Ok((1..=*request).sum::<u64>()));
    let twice = draft.stage("twice").after(&sum.expect("new")).offload(kind, |_, sum| Ok(2 * *sum));
    let pipeline = draft.answer(&twice.expect("new")).expect("it is there");
    let answer = pipeline.ask(&orchestrator(), 10).await.expect("nothing fails");
    assert_eq!(*answer.value, 110);
}

#[tokio::test(start_paused = true)]
async fn one_after_another_two_stages_never_run_at_once_even_after_a_failure() {
    let mut draft = Draft::<str>::new("in order");
    let a = draft.stage("a").run(async |_, ()| Err::<(), _>("no".into())).expect("new");
    let b = draft.stage("b").run(|_, ()| says("b")).expect("new");
    // Skipped while `b` runs.
    let c = draft.stage("c").after(&a).run(|_, _| says("c")).expect("new");
    let d = draft.stage("d").run(|_, ()| says("d")).expect("new");
    let end = draft.stage("end").after((b.optional(), c.optional(), &d)).run(|_, _| says("end"));
    let pipeline = draft.answer(&end.expect("new")).expect("it is there").mode(Mode::Sequential);
    let answer = pipeline.ask(&orchestrator(), "").await.expect("`c` is optional");
    assert_eq!((answer.took, answer.report.peak), (3 * SECOND, 1), "{}", answer.report);
}

#[tokio::test]
async fn an_answer_goes_on_without_optional_stages_and_says_which_and_why() {
    let mut draft = Draft::<str>::new("partial");
    let web = draft.stage("web").agent("browser");
    let web = web.run(async |_, ()| Err::<String, _>("no network".into())).expect("new");
    let news = draft.stage("news").after(&web).run(|_, _| says("news")).expect("new");
    let books = draft.stage("books").run(async |_, ()| Ok("books".to_owned())).expect("new");
    let answer = draft.stage("writer").after((news.optional(), &books));
    let answer = answer.run(async |_, (news, books): (Option<Arc<String>>, Arc<String>)| {
        Ok((news.is_some(), books.to_string()))
    });
    let pipeline = draft.answer(&answer.expect("new")).expect("it is there");
    let answer = pipeline.ask(&orchestrator(), "?").await.expect("the books are there");
    assert_eq!(*answer.value, (false, "books".to_owned()));
    let missing: Vec<String> = answer.missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "agent `browser` at stage `web` failed: no network",
            "agent `news` was skipped, because `web` did not succeed",
        ]
    );
    let statistics = pipeline.statistics();
    assert_eq!((statistics.degraded, statistics.complete, statistics.success_rate()), (1, 0, 1.0));
}

#[tokio::test]
async fn without_an_essential_stage_there_is_no_answer_and_nothing_runs_twice() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let mut draft = Draft::<str>::new("whole");
    let books = draft.stage("books").run(move |_, ()| {
        count.fetch_add(1, Ordering::Relaxed);
        async { Err::<String, _>("the library is closed".into()) }
    });
    let writer = draft.stage("writer").after(&books.expect("new")).run(|_, _| says(""));
    let pipeline = draft.answer(&writer.expect("new")).expect("it is there");
    let orchestrator = orchestrator();
    let error = pipeline.ask(&orchestrator, "?").await.expect_err("the books are not there");
    assert_eq!(
        error.to_string(),
        "no answer from pipeline `whole`: agent `books` failed: the library is closed; agent `writer` was skipped, because \
         `books` did not succeed"
    );
    assert_eq!(calls.load(Ordering::Relaxed), 1, "it was no load");
    orchestrator.shutdown().await;
    let closed = pipeline.ask(&orchestrator, "?").await.expect_err("it was shut down");
    assert!(matches!(closed, NoAnswer::NotStarted(StartError::Closed)), "{closed}");
    assert_eq!((pipeline.statistics().failed, pipeline.statistics().success_rate()), (2, 0.0));
}

/// What a stage does that cannot bear company.
#[derive(Debug, Clone, Copy)]
enum Alone {
    /// It takes too long.
    Hangs,
    /// It says that it is overloaded.
    Refuses,
    /// It fails for another reason.
    Fails,
}

/// `easy` runs for a second, `shy` does its work only while `easy` does not run, `middle` comes after `easy`. The writer needs
/// `shy` if it `is_essential`. Counts how often each was called.
fn shy(alone: Alone, is_essential: bool) -> (Pipeline<str, String>, Arc<[AtomicUsize; 3]>) {
    let calls: Arc<[AtomicUsize; 3]> = Arc::default();
    let running = Arc::new(AtomicUsize::new(0));
    let mut draft = Draft::<str>::new("shy");
    let (of_easy, of_middle, of_shy) = (Arc::clone(&calls), Arc::clone(&calls), Arc::clone(&calls));
    let busy = Arc::clone(&running);
    let easy = draft.stage("easy").run(move |_, ()| {
        of_easy[0].fetch_add(1, Ordering::Relaxed);
        let busy = Arc::clone(&busy);
        async move {
            busy.store(1, Ordering::Relaxed);
            let said = says("easy").await;
            busy.store(0, Ordering::Relaxed);
            said
        }
    });
    let middle = draft.stage("middle").after(&easy.expect("new")).run(move |_, easy| {
        of_middle[1].fetch_add(1, Ordering::Relaxed);
        says(format!("{easy} and middle"))
    });
    let shy = draft.stage("shy").timeout(SECOND / 2).with(|task| task.grace(Duration::ZERO));
    let shy = shy.run(move |_, ()| {
        of_shy[2].fetch_add(1, Ordering::Relaxed);
        let running = Arc::clone(&running);
        async move {
            tokio::task::yield_now().await;
            match alone {
                _ if running.load(Ordering::Relaxed) == 0 => Ok("shy".to_owned()),
                Alone::Hangs => std::future::pending().await,
                Alone::Refuses => Err(TaskError::overloaded("too many", None)),
                Alone::Fails => Err("it is wrong".into()),
            }
        }
    });
    let (middle, shy) = (middle.expect("new"), shy.expect("new"));
    let writer = draft.stage("writer").after((&middle, shy.optional()));
    let writer = writer.run(move |_, (middle, shy)| async move {
        match shy {
            Some(shy) => Ok(format!("{middle} and {shy}")),
            None if is_essential => Err(TaskError::fatal("nothing without `shy`")),
            None => Ok(middle.to_string()),
        }
    });
    (draft.answer(&writer.expect("new")).expect("it is there"), calls)
}

fn counts(calls: &[AtomicUsize; 3]) -> [usize; 3] {
    std::array::from_fn(|at| calls[at].load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn if_load_kept_the_answer_from_coming_what_did_not_succeed_runs_once_more_alone() {
    for alone in [Alone::Hangs, Alone::Refuses] {
        let (pipeline, calls) = shy(alone, true);
        let orchestrator = orchestrator();
        let answer = pipeline.ask(&orchestrator, "").await.expect("alone it works");
        assert_eq!(*answer.value, "easy and middle and shy");
        assert_eq!(counts(&calls), [1, 1, 2], "what succeeded is kept");
        let given_up = answer.given_up.expect("the concurrent run brought nothing");
        assert!(given_up.tasks.iter().any(|task| *task.id == *"easy"));
        let ids: Vec<&str> = answer.report.tasks.iter().map(|task| &*task.id).collect();
        assert_eq!((ids, answer.missing.len()), (vec!["shy", "writer"], 0));
        assert!(answer.report.critical_path.iter().all(|id| matches!(&**id, "shy" | "writer")));
        let statistics = pipeline.statistics();
        assert_eq!((statistics.fell_back, statistics.complete, statistics.asked), (1, 1, 1));

        let error = pipeline.mode(Mode::Concurrent).ask(&orchestrator, "").await;
        let Err(NoAnswer::Failed { missing, given_up: None, .. }) = error else {
            panic!("it was not to fall back")
        };
        let why = [&missing[0].outcome, &missing[1].outcome];
        assert!(matches!(why, [Outcome::TimedOut | Outcome::Failed { .. }, _]), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_degraded_answer_and_other_errors_are_no_reason_to_run_anything_twice() {
    let (pipeline, calls) = shy(Alone::Hangs, false);
    let answer = pipeline.ask(&orchestrator(), "").await.expect("`shy` is optional");
    assert_eq!((answer.missing[0].outcome.clone(), counts(&calls)), (Outcome::TimedOut, [1; 3]));
    let (pipeline, calls) = shy(Alone::Fails, true);
    pipeline.ask(&orchestrator(), "").await.expect_err("`shy` fails in company");
    assert_eq!(counts(&calls), [1; 3]);
}

#[tokio::test(start_paused = true)]
async fn load_elsewhere_or_that_has_passed_is_no_reason_to_fall_back() {
    let mut draft = Draft::<str>::new("aside");
    let overloaded = || TaskError::overloaded("too many", None);
    let aside = draft.stage("aside").run(move |_, ()| async move { Err::<(), _>(overloaded()) });
    let after = draft.stage("after aside").after(&aside.expect("new")).run(|_, _| says(""));
    after.expect("new");
    let wrong = draft.stage("wrong").retry(Retry::attempts(2));
    let wrong = wrong.run_with(move |cx, _, ()| async move {
        Err::<(), _>(if cx.attempt() == 1 { overloaded() } else { "it is wrong".into() })
    });
    let pipeline = draft.answer(&wrong.expect("new")).expect("it is there");
    pipeline.ask(&orchestrator(), "").await.expect_err("it is wrong");
    assert_eq!((pipeline.statistics().attempts, pipeline.statistics().fell_back), (3, 0));
}

#[tokio::test]
async fn a_stage_whose_condition_says_no_is_not_missing() {
    let mut draft = Draft::<str>::new("conditions");
    let extra = draft.stage("extra").with(|task| task.when(|_| false)).run(|_, ()| says("extra"));
    let more =
        draft.stage("more").after(&extra.expect("new")).run(|_, _| says("more")).expect("new");
    let answer = draft.stage("answer").after(more.optional());
    let answer = answer.run(async |_, more| Ok(more.is_none())).expect("new");
    let pipeline = draft.answer(&answer).expect("it is there");
    let answer = pipeline.ask(&orchestrator(), "").await.expect("nothing fails");
    assert!(*answer.value && answer.missing.is_empty(), "{:?}", answer.missing);
    let mut draft = Draft::<str>::new("without");
    let no = draft.stage("no").with(|task| task.when(|_| false)).run(|_, ()| says("no"));
    let answer = draft.stage("answer").after(&no.expect("new")).run(|_, _| says("yes"));
    let pipeline = draft.answer(&answer.expect("new")).expect("it is there");
    let error = pipeline.ask(&orchestrator(), "").await.expect_err("it was to be there");
    assert!(error.to_string().contains("`no` was not to start"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_bear_each_other_runs_one_after_another_once_it_is_tried_again() {
    let running = Arc::new(AtomicUsize::new(0));
    let mut draft = Draft::<str>::new("rivals");
    let mut rival = |id: &'static str| {
        let running = Arc::clone(&running);
        let stage = draft.stage(id).with(|task| task.needs(["nobody"]));
        stage.run(move |_, ()| {
            let running = Arc::clone(&running);
            async move {
                let before = running.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(SECOND).await;
                let after = running.fetch_sub(1, Ordering::Relaxed);
                let is_alone = (before, after) == (0, 1);
                if is_alone { Ok(()) } else { Err(TaskError::overloaded("too many", None)) }
            }
        })
    };
    let (a, b) = (rival("a").expect("new"), rival("b").expect("new"));
    let both = draft.stage("both").after((&a, &b)).run(async |_, _| Ok(())).expect("new");
    let pipeline = draft.answer(&both).expect("it is there");
    pipeline.ask(&orchestrator(), "").await.expect("each alone has room");
    assert_eq!((pipeline.statistics().fell_back, pipeline.statistics().complete), (1, 1));
}

#[tokio::test]
async fn a_request_that_fails_twice_has_fallen_back_and_failed() {
    let mut draft = Draft::<str>::new("full");
    let full = async |_, ()| Err::<(), _>(TaskError::overloaded("too many", None));
    let full = draft.stage("full").run(full).expect("new");
    let pipeline = draft.answer(&full).expect("it is there");
    pipeline.ask(&orchestrator(), "").await.expect_err("there is never room");
    let statistics = pipeline.statistics();
    assert_eq!((statistics.failed, statistics.fell_back, statistics.attempts), (1, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn who_drops_the_question_cancels_its_stages_and_is_counted() {
    let (orchestrator, pipeline) = (orchestrator(), diamond());
    let asking = pipeline.ask(&orchestrator, "x");
    tokio::time::timeout(SECOND / 2, asking).await.expect_err("it takes two seconds");
    orchestrator.wait().await.expect("no task of `go` has failed");
    let statistics = pipeline.statistics();
    assert_eq!((statistics.dropped, statistics.ended(), statistics.attempts), (1, 0, 2));
    tokio::time::sleep(SECOND).await;
    assert_eq!(pipeline.statistics().busy, statistics.busy, "nothing runs any more");
}

#[test]
fn a_draft_takes_new_stages_after_known_ones_only() {
    let mut draft = Draft::<str>::new("draft");
    let a = draft.stage("a").run(|_, ()| says("a")).expect("new");
    let error = draft.stage("a").run(|_, ()| says("a")).expect_err("it is there");
    assert_eq!(error.to_string(), "a stage `a` was added before");
    let later = Handle::<String>::named("later");
    let error = draft.stage("b").after((&a, later.optional())).run(|_, _| says("b"));
    let error = error.expect_err("nobody has added it");
    assert_eq!(error.to_string(), "stage `b` names the stage `later`, which was not added before");
    let error = draft.answer(&Handle::<u32>::named("a")).expect_err("it is a text");
    assert_eq!(error, StageError::OtherType { stage: "a".to_owned(), wanted: "u32" });
}
