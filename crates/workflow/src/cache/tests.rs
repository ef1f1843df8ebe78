//! Each test holds computations by gates that it opens itself.

use std::sync::atomic::AtomicUsize;
use std::task::Poll;

use futures::poll;
use tokio::sync::oneshot;

use super::*;

fn key(of: &str) -> Key {
    Key::new("test", 1, of).expect("a text can be serialized")
}

/// A computation that ends when the gate is opened, with what comes through it.
async fn gated(gate: oneshot::Receiver<Result<u32, &'static str>>) -> Result<u32, TaskError> {
    Ok(gate.await.expect("the test opens it")?)
}

async fn never() -> Result<u32, TaskError> {
    panic!("it was not to be computed")
}

#[tokio::test]
async fn who_asks_for_what_is_being_computed_waits_for_it() {
    let cache = ResultCache::builder().build();
    let (gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a"), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(cache.get_or_compute(key("a"), never()));
    assert!(poll!(&mut second).is_pending());
    gate.send(Ok(7)).expect("it is computed");
    assert_eq!(*first.await.expect("it succeeds"), 7);
    assert_eq!(*second.await.expect("it succeeds"), 7);
    assert_eq!(*cache.get_or_compute(key("a"), never()).await.expect("it is kept"), 7);
    let CacheStats { computed, reused, .. } = cache.stats();
    assert_eq!((computed, reused), (1, 2));
}

#[tokio::test]
async fn a_failure_is_told_to_those_who_wait_and_not_kept() {
    let cache = ResultCache::builder().build();
    let (gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a"), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(cache.get_or_compute(key("a"), never()));
    assert!(poll!(&mut second).is_pending());
    gate.send(Err("no answer")).expect("it is computed");
    for failed in [first.await, second.await] {
        let error = failed.expect_err("it failed");
        assert_eq!(error.to_string(), "no answer");
        assert!(error.is_retryable());
    }
    let fatal = async { Err::<u32, _>(TaskError::fatal("no such model")) };
    let error = cache.get_or_compute(key("a"), fatal).await.expect_err("it failed");
    assert!(!error.is_retryable(), "what the computation said holds for all");
    let anew = cache.get_or_compute(key("a"), async { Ok::<u32, TaskError>(8) }).await;
    assert_eq!(*anew.expect("nothing of the failure is left"), 8);
}

#[tokio::test]
async fn who_computes_may_be_cancelled_and_another_does_it() {
    let cache = ResultCache::builder().build();
    let (_gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a"), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(cache.get_or_compute(key("a"), async { Ok::<u32, TaskError>(9) }));
    assert!(poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(*second.await.expect("it computes itself"), 9);
}

#[tokio::test]
async fn who_waits_may_be_cancelled_and_the_others_get_the_result() {
    let cache = ResultCache::builder().build();
    let (gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a"), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    let mut second = Box::pin(cache.get_or_compute(key("a"), never()));
    assert!(poll!(&mut second).is_pending());
    drop(second);
    gate.send(Ok(3)).expect("it is computed");
    assert_eq!(*first.await.expect("it succeeds"), 3);
}

#[tokio::test]
async fn keys_differ_by_kind_version_and_inputs_and_not_by_tags() {
    let of = |kind, version, inputs: &str| Key::new(kind, version, inputs).expect("texts");
    let one = of("a", 1, "x");
    for other in [of("b", 1, "x"), of("a", 2, "x"), of("a", 1, "y"), of("a", 1, "")] {
        assert_ne!(one, other);
    }
    assert_eq!(one, of("a", 1, "x").tags(["t"]));
}

#[tokio::test]
async fn a_tag_takes_its_results_with_it_and_no_others() {
    let cache = ResultCache::builder().build();
    let compute = async |name: &str, tag: &'static str| {
        let value = async { Ok::<u32, TaskError>(1) };
        cache.get_or_compute(key(name).tags([tag]), value).await.map(|value| *value)
    };
    compute("a", "docs").await.expect("it succeeds");
    compute("b", "code").await.expect("it succeeds");
    cache.invalidate_tag("docs");
    assert!(cache.get_or_compute(key("b"), never()).await.is_ok());
    let again = async { Ok::<u32, TaskError>(2) };
    assert_eq!(*cache.get_or_compute(key("a"), again).await.expect("it succeeds"), 2);
    cache.invalidate(&key("b")).await;
    let again = async { Ok::<u32, TaskError>(3) };
    assert_eq!(*cache.get_or_compute(key("b"), again).await.expect("it succeeds"), 3);
    cache.invalidate_all();
    let again = async { Ok::<u32, TaskError>(4) };
    assert_eq!(*cache.get_or_compute(key("a"), again).await.expect("it succeeds"), 4);
}

#[tokio::test]
async fn what_was_being_computed_when_it_was_invalidated_is_not_kept() {
    let cache = ResultCache::builder().build();
    let (gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a").tags(["docs"]), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    cache.invalidate_tag("docs");
    gate.send(Ok(1)).expect("it is computed");
    assert_eq!(*first.await.expect("who asked before gets it"), 1);
    let anew = cache.get_or_compute(key("a"), async { Ok::<u32, TaskError>(2) }).await;
    assert_eq!(*anew.expect("it succeeds"), 2);
}

#[tokio::test]
async fn another_type_under_the_same_key_is_an_error_that_names_it() {
    let cache = ResultCache::builder().build();
    let number = async { Ok::<u32, TaskError>(1) };
    cache.get_or_compute(key("a"), number).await.expect("it succeeds");
    let text = async { Ok::<String, TaskError>(String::new()) };
    let error = cache.get_or_compute(key("a"), text).await.expect_err("it is a number");
    assert!(error.to_string().contains("String"), "{error}");
}

#[tokio::test]
async fn a_full_cache_keeps_no_more_than_it_may() {
    let cache = ResultCache::builder().capacity(10).build();
    for at in 0..1_000_u32 {
        let compute = async { Ok::<u32, TaskError>(at) };
        cache.get_or_compute(key(&at.to_string()), compute).await.expect("it succeeds");
    }
    cache.0.results.run_pending_tasks().await;
    assert!(cache.stats().kept <= 10, "{:?}", cache.stats());
}

#[tokio::test]
async fn a_result_goes_when_its_time_is_over() {
    let cache = ResultCache::builder().time_to_live(Duration::from_millis(20)).build();
    let computed = AtomicUsize::new(0);
    let compute = async || {
        computed.fetch_add(1, Ordering::Relaxed);
        Ok::<u32, TaskError>(1)
    };
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while computed.load(Ordering::Relaxed) < 2 {
        assert!(std::time::Instant::now() < deadline, "it never goes");
        cache.get_or_compute(key("a"), compute()).await.expect("it succeeds");
    }
    assert!(cache.stats().reused > 0, "it was there for a while");
}

#[tokio::test]
async fn a_computation_that_panics_leaves_nobody_waiting() {
    let cache = ResultCache::builder().build();
    let computing = cache.clone();
    let (gate, opened) = oneshot::channel::<()>();
    let first = tokio::spawn(async move {
        let compute = async {
            let _ = opened.await;
            if true {
                panic!("out of memory");
            }
            Ok::<u32, TaskError>(0)
        };
        computing.get_or_compute(key("a"), compute).await.map(drop)
    });
    let mut second = Box::pin(cache.get_or_compute(key("a"), async { Ok::<u32, TaskError>(5) }));
    tokio::task::yield_now().await;
    let early = poll!(&mut second);
    gate.send(()).expect("it waits");
    assert!(first.await.expect_err("it panicked").is_panic());
    let second = match early {
        Poll::Ready(done) => done,
        Poll::Pending => second.await,
    };
    assert_eq!(*second.expect("it computes itself"), 5);
}
