//! What the tasks of these tests do, by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidegate_workflow::TaskError;
use tidegate_workflow::executor::{Named, Registry};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) url: String,
    pub(crate) words: Vec<String>,
    pub(crate) weight: f64,
}

pub(crate) type Counts = BTreeMap<String, u32>;

pub(crate) const FETCH: Named<String, Page> = Named::new("fetch");
pub(crate) const COUNT: Named<Arc<Page>, Counts> = Named::new("count");
type All = (Vec<Arc<Counts>>, Option<Arc<Page>>);
pub(crate) const MERGE: Named<All, (Counts, bool)> = Named::new("merge");
pub(crate) const FLAKY: Named<u32, String> = Named::new("flaky");
pub(crate) const REFUSE: Named<(), Page> = Named::new("refuse");
pub(crate) const PANIC: Named<(), ()> = Named::new("panic");
pub(crate) const SPIN: Named<(), ()> = Named::new("spin");
pub(crate) const ABORT: Named<(), ()> = Named::new("abort");
pub(crate) const UNWRITABLE: Named<(), BTreeMap<(u8, u8), u8>> = Named::new("unwritable");
pub(crate) const KEY: Named<u32, (String, u32, String)> = Named::new("key");

pub(crate) fn registry() -> Registry {
    Registry::new()
        .with(FETCH, fetch)
        .with(COUNT, count)
        .with(MERGE, merge)
        .with_call(FLAKY, async |call, failures: u32| match call.attempt {
            attempt if attempt <= failures => Err("the line is busy".into()),
            attempt => Ok(format!("through at attempt {attempt}")),
        })
        .with(REFUSE, async |()| Err(TaskError::fatal("no such model")))
        .with(PANIC, async |()| panic!("an index out of bounds"))
        .with_call(SPIN, async |call, ()| {
            while !call.token.is_cancelled() {
                std::hint::spin_loop();
            }
            Ok(())
        })
        .with(ABORT, async |()| std::process::abort())
        .with(UNWRITABLE, async |()| Ok(BTreeMap::from([((1, 2), 3)])))
        .with_call(KEY, async |call, failures| match call.attempt {
            attempt if attempt <= failures => Err("again".into()),
            attempt => Ok((call.task.to_string(), attempt, call.key.to_string())),
        })
}

async fn fetch(url: String) -> Result<Page, TaskError> {
    tokio::task::yield_now().await;
    let words = url.split('/').map(str::to_owned).collect();
    // A number that JSON readers which round get wrong.
    Ok(Page { url, words, weight: 0.1 + 0.2 })
}

async fn count(page: Arc<Page>) -> Result<Counts, TaskError> {
    let mut counts = Counts::new();
    page.words.iter().for_each(|word| *counts.entry(word.clone()).or_default() += 1);
    Ok(counts)
}

async fn merge((counts, extra): All) -> Result<(Counts, bool), TaskError> {
    let mut all = Counts::new();
    for (word, count) in counts.iter().flat_map(|counts| counts.iter()) {
        *all.entry(word.clone()).or_default() += count;
    }
    Ok((all, extra.is_some()))
}
