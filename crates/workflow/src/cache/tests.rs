//! Each test holds computations by gates that it opens itself.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::task::Poll;
use std::time::{Duration, Instant};

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
    cache.invalidate_tag("docs").await;
    assert!(cache.get_or_compute(key("b"), never()).await.is_ok());
    let again = async { Ok::<u32, TaskError>(2) };
    assert_eq!(*cache.get_or_compute(key("a"), again).await.expect("it succeeds"), 2);
    cache.invalidate(&key("b")).await;
    let again = async { Ok::<u32, TaskError>(3) };
    assert_eq!(*cache.get_or_compute(key("b"), again).await.expect("it succeeds"), 3);
    cache.invalidate_all().await;
    let again = async { Ok::<u32, TaskError>(4) };
    assert_eq!(*cache.get_or_compute(key("a"), again).await.expect("it succeeds"), 4);
}

#[tokio::test]
async fn what_was_being_computed_when_it_was_invalidated_is_not_kept() {
    let cache = ResultCache::builder().build();
    let (gate, opened) = oneshot::channel();
    let mut first = Box::pin(cache.get_or_compute(key("a").tags(["docs"]), gated(opened)));
    assert!(poll!(&mut first).is_pending());
    cache.invalidate_tag("docs").await;
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
    let deadline = Instant::now() + Duration::from_secs(20);
    while computed.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < deadline, "it never goes");
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

mod on_disk {
    use super::super::disk::tests::Folder;
    use super::*;

    fn open(folder: &Folder) -> ResultCache<Durable> {
        ResultCache::builder().open(&folder.0).expect("it opens")
    }

    async fn value(of: u32) -> Result<u32, TaskError> {
        Ok(of)
    }

    #[tokio::test]
    async fn another_process_finds_what_one_has_kept() {
        let folder = Folder::new();
        let (one, other) = (open(&folder), open(&folder));
        assert_eq!(*one.get_or_compute(key("a"), value(1)).await.expect("it succeeds"), 1);
        assert_eq!(*other.get_or_compute(key("a"), never()).await.expect("it is kept"), 1);
        assert_eq!(*other.get_or_compute(key("a"), never()).await.expect("it is kept"), 1);
        let stats = other.stats();
        assert_eq!((stats.computed, stats.reused, stats.from_disk), (0, 2, 1));
        let third = open(&folder);
        assert_eq!(*third.get_or_compute(key("a"), never()).await.expect("it is kept"), 1);
    }

    #[tokio::test]
    async fn who_asks_for_what_is_being_computed_waits_and_failures_are_not_kept() {
        let folder = Folder::new();
        let cache = open(&folder);
        let (gate, opened) = oneshot::channel();
        let (begins, begun) = oneshot::channel();
        let first = tokio::spawn({
            let cache = cache.clone();
            let compute = async {
                begins.send(()).expect("the test waits");
                gated(opened).await
            };
            async move { cache.get_or_compute(key("a"), compute).await }
        });
        begun.await.expect("it begins");
        let mut second = Box::pin(cache.get_or_compute(key("a"), never()));
        assert!(poll!(&mut second).is_pending());
        gate.send(Err("no answer")).expect("it is computed");
        first.await.expect("it ran").expect_err("it failed");
        second.await.expect_err("it failed");
        assert!(folder.results().is_empty());
        assert_eq!(*cache.get_or_compute(key("a"), value(2)).await.expect("it succeeds"), 2);
        assert_eq!(folder.results().len(), 1);
    }

    #[tokio::test]
    async fn a_folder_takes_little_more_than_it_may_however_much_is_computed() {
        let folder = Folder::new();
        let cache = ResultCache::builder().disk_bytes(64 << 10).open(&folder.0).expect("it opens");
        for of in 0..100 {
            let key = key(&of.to_string());
            cache.get_or_compute(key, value(of)).await.expect("it succeeds");
        }
        // Each takes a block of 4 KiB.
        let there = folder.results().len();
        assert!((8..=24).contains(&there), "{there} results");
    }

    #[tokio::test]
    async fn what_one_process_invalidates_no_other_finds_in_memory_or_on_disk() {
        let folder = Folder::new();
        let (one, other) = (open(&folder), open(&folder));
        for name in ["a", "b"] {
            for cache in [&one, &other] {
                let key = key(name).tags([format!("tag {name}")]);
                cache.get_or_compute(key, value(1)).await.expect("it succeeds");
            }
        }
        other.invalidate_tag("tag a").await.expect("it is written");
        let tagged = |name: &str| key(name).tags([format!("tag {name}")]);
        assert_eq!(*one.get_or_compute(tagged("a"), value(2)).await.expect("anew"), 2);
        assert_eq!(*one.get_or_compute(tagged("b"), never()).await.expect("it is kept"), 1);
        assert_eq!(*other.get_or_compute(tagged("a"), never()).await.expect("it is kept"), 2);
        one.invalidate(&key("b")).await.expect("it is written");
        assert_eq!(*other.get_or_compute(tagged("b"), value(3)).await.expect("anew"), 3);
        one.invalidate_all().await.expect("it is written");
        assert_eq!(*other.get_or_compute(tagged("a"), value(4)).await.expect("anew"), 4);
        assert_eq!(*one.get_or_compute(tagged("b"), value(5)).await.expect("anew"), 5);
    }

    #[tokio::test]
    async fn what_comes_from_the_disk_lives_no_longer_than_what_was_left_of_its_time() {
        let folder = Folder::new();
        let hour = ResultCache::builder().time_to_live(Duration::from_secs(3600));
        let one = hour.open(&folder.0).expect("it opens");
        one.get_or_compute(key("a"), value(1)).await.expect("it succeeds");
        // For a process that keeps results for less than it is old, it is not there.
        let short = ResultCache::builder().time_to_live(Duration::from_nanos(1));
        let short = short.open(&folder.0).expect("it opens");
        assert_eq!(short.stats().from_disk, 0);
        assert_eq!(*short.get_or_compute(key("a"), value(2)).await.expect("anew"), 2);
        let limited = ResultCache::builder().time_to_live(Duration::from_secs(3600));
        let limited = limited.open(&folder.0).expect("it opens");
        limited.get_or_compute(key("b"), value(1)).await.expect("it succeeds");
        // The folder knows ages in milliseconds.
        let computed = Instant::now();
        while computed.elapsed() < Duration::from_millis(2) {
            tokio::task::yield_now().await;
        }
        let again = open(&folder);
        let files = again.0.files::<u32>(&key("b"), <Durable as Keeps<u32>>::codec());
        let kept = files.expect("there is a disk").find().await.expect("it is kept");
        assert_eq!(kept.lives, None);
        let files = limited.0.files::<u32>(&key("b"), <Durable as Keeps<u32>>::codec());
        let kept = files.expect("there is a disk").find().await.expect("it is kept");
        assert!(kept.lives.expect("it is limited") < Duration::from_secs(3600));
    }

    #[tokio::test]
    async fn what_cannot_be_read_back_is_handed_out_and_not_kept() {
        let folder = Folder::new();
        let cache = open(&folder);
        // Postcard cannot read the one, JSON cannot write the other.
        let neither = HashMap::from([((1, 2), serde_json::json!(3))]);
        let compute = async || Ok::<_, TaskError>(neither.clone());
        let result = cache.get_or_compute(key("a"), compute()).await.expect("it succeeds");
        assert_eq!(*result, neither);
        assert_eq!(cache.stats().not_kept, 1);
        assert!(folder.results().is_empty());
    }

    #[tokio::test]
    async fn a_type_of_another_shape_under_the_same_name_is_computed_again() {
        let folder = Folder::new();
        let cache = open(&folder);
        let files = cache.0.files::<String>(&key("a"), <Durable as Keeps<String>>::codec());
        let files = files.expect("there is a disk");
        // No text: its length is missing.
        files.disk.keep(&files.place, &[200]);
        let text = async { Ok::<String, TaskError>("new".to_owned()) };
        assert_eq!(*cache.get_or_compute(key("a"), text).await.expect("anew"), "new");
        let stats = cache.stats();
        assert_eq!((stats.computed, stats.from_disk, stats.damaged), (1, 0, 1));
    }
}
