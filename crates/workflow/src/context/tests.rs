use std::collections::HashMap;
use std::task::Wake;

use super::*;
use crate::engine::Link;
use crate::machine::RunId;
use crate::run::Address;

fn run() -> Run {
    let link = Arc::new(Link::new(HashMap::new(), None));
    Run::new(Address { id: RunId(7), link, name: Some("r".into()), trace_parent: None })
}

/// So many inputs, whose values are their numbers.
fn inputs(ids: std::ops::Range<u32>) -> impl Iterator<Item = (Arc<str>, Option<Output>)> {
    ids.map(|at| (Arc::from(at.to_string()), Some(Arc::new(at) as Output)))
}

fn context(id: &str, agent: &Arc<str>, ids: std::ops::Range<u32>) -> Context {
    let of = Attempt { id: &id.into(), attempt: 3, generation: 2, agent, span: &Span::none() };
    Context::new(of, inputs(ids), run().of_task(4))
}

fn again(spare: Spare, id: &str, agent: &Arc<str>, ids: std::ops::Range<u32>) -> Context {
    let of = Attempt { id: &id.into(), attempt: 1, generation: 0, agent, span: &Span::none() };
    spare.renew(of, inputs(ids), 5)
}

#[derive(Default)]
struct Wakes(AtomicU64);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_context_that_somebody_keeps_serves_nobody_else() {
    let context = context("first", &DEFAULT_AGENT.into(), 0..1);
    let kept = context.clone();
    assert!(context.spare().is_none());
    assert_eq!((kept.id(), *kept.input::<u32>("0").expect("it has it")), ("first", 0));
    assert!(kept.spare().is_some(), "nobody has it any more");
}

#[test]
fn an_attempt_finds_nothing_of_the_one_whose_context_it_was_given() {
    let (default, other) = (DEFAULT_AGENT.into(), Arc::from("other"));
    let first = context("first", &other, 10..22);
    assert!(first.input::<u32>("21").is_ok());
    let (token, wakes) = (first.token().clone(), Arc::new(Wakes::default()));
    first.0.watch(&Waker::from(Arc::clone(&wakes)));
    first.0.made_progress(Duration::from_secs(5));
    first.0.stop_as_idle();
    assert!(token.is_cancelled());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    first.0.watch(&Waker::from(Arc::clone(&wakes)));

    let second = again(first.spare().expect("nobody has it"), "second", &default, 90..110);
    assert_eq!((second.id(), second.attempt(), second.agent()), ("second", 1, DEFAULT_AGENT));
    assert_eq!(second.idempotency_key(), "r/second");
    assert_eq!(second.run().by, Some(5));
    assert!(second.input::<u32>("10").is_err());
    for at in 90..110 {
        assert_eq!(*second.input::<u32>(&at.to_string()).expect("it has it"), at);
    }
    assert!(!second.0.is_stopped() && !second.0.was_idle() && !second.token().is_cancelled());
    assert_eq!(second.0.last_progress(), Duration::ZERO);
    second.0.stop();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1, "who has watched the first");

    let third = again(second.spare().expect("nobody has it"), "third", &other, 0..1);
    assert_eq!(third.agent(), "other");
    assert!(!third.token().is_cancelled());
    let fourth = again(third.spare().expect("nobody has it"), "fourth", &other, 0..0);
    assert_eq!(fourth.agent(), "other");
}

#[test]
fn a_token_that_is_kept_is_not_cancelled_with_a_later_attempt() {
    let first = context("first", &DEFAULT_AGENT.into(), 0..0);
    let token = first.token().clone();
    let spare = first.spare().expect("a token is no context");
    again(spare, "second", &DEFAULT_AGENT.into(), 0..0).0.stop();
    assert!(!token.is_cancelled());
}
