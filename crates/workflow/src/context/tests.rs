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
    let (id, span) = (&id.into(), &Span::none());
    let of = Attempt { id, node: 4, attempt: 3, generation: 2, agent, span };
    Context::new(&of, inputs(ids), &run())
}

/// Whether it became that of another task.
fn again(of: &mut Context, id: &str, agent: &Arc<str>, ids: std::ops::Range<u32>) -> bool {
    let (id, span) = (&id.into(), &Span::none());
    of.renew(&Attempt { id, node: 5, attempt: 1, generation: 0, agent, span }, inputs(ids))
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
    let default = DEFAULT_AGENT.into();
    let mut context = context("first", &default, 0..1);
    let mut kept = context.clone();
    assert!(!again(&mut context, "second", &default, 1..2));
    assert_eq!((kept.id(), *kept.input::<u32>("0").expect("it has it")), ("first", 0));
    drop(context);
    assert!(again(&mut kept, "second", &default, 1..2), "nobody else has it any more");
}

#[test]
fn an_attempt_finds_nothing_of_the_one_whose_context_it_was_given() {
    let (default, other) = (DEFAULT_AGENT.into(), Arc::from("other"));
    let mut context = context("first", &other, 10..22);
    let first = &context;
    assert!(first.input::<u32>("21").is_ok());
    let (token, wakes) = (first.token().clone(), Arc::new(Wakes::default()));
    first.0.watch(&Waker::from(Arc::clone(&wakes)));
    first.0.made_progress(Duration::from_secs(5));
    first.0.stop_as_idle();
    assert!(token.is_cancelled());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    first.0.watch(&Waker::from(Arc::clone(&wakes)));

    assert!(!context.is_small());
    assert!(again(&mut context, "second", &default, 90..110));
    let second = &context;
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

    assert!(again(&mut context, "third", &other, 0..1));
    assert_eq!(context.agent(), "other");
    assert!(!context.token().is_cancelled());
    assert!(again(&mut context, "fourth", &other, 0..0));
    assert_eq!(context.agent(), "other");
}

#[test]
fn a_token_that_is_kept_is_not_cancelled_with_a_later_attempt() {
    let default = DEFAULT_AGENT.into();
    let mut context = context("first", &default, 0..0);
    let token = context.token().clone();
    assert!(again(&mut context, "second", &default, 0..0), "a token is no context");
    context.0.stop();
    assert!(!token.is_cancelled());
}
