//! Which agents work on which question, and what each of them waits for.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_workflow::chat::{ChatClient, ChatError, ChatRequest};
use tidegate_workflow::pipeline::{Draft, Mode, Pipeline, Router, StageError};
use tidegate_workflow::pools::{Kind, Priority};
use tidegate_workflow::{Handle, TaskError};

use crate::agents::{
    Evidence, Query, Reply, asks_for_a_figure, asks_for_a_place, check, define, find, understand,
    write,
};
use crate::corpus;
use crate::search::Hit;

/// Everybody, but for the model, whose agent has the model's name.
pub(crate) const AGENTS: &[&str] =
    &["understand", "docs", "tables", "code", "names", "check", "writer"];

/// Work that computes, and reads files that the system has in memory.
const COMPUTES: Kind = Kind::Cpu(Priority::Normal);

/// What all pipelines are made of.
#[derive(Debug, Clone)]
pub(crate) struct Staff {
    pub(crate) root: PathBuf,
    /// The agents that are to fail.
    pub(crate) without: Arc<BTreeSet<String>>,
    pub(crate) model: Option<ChatClient>,
}

/// Found passages of one agent.
type Found = Handle<Vec<Hit>>;

impl Staff {
    /// The router over all pipelines.
    pub(crate) fn router(&self, mode: Mode) -> Result<Router<str, Reply>, StageError> {
        let explain = self.pipeline(
            "explain",
            "what something is, how it works, and why",
            &["docs", "code", "names"],
        )?;
        let figures =
            self.pipeline("figures", "numbers: how many, how much, how fast", &["tables", "docs"])?;
        let places =
            self.pipeline("places", "where in the code something is", &["names", "code"])?;
        let router = Router::new(&explain.mode(mode))
            .when(asks_for_a_figure, &figures.mode(mode))
            .when(asks_for_a_place, &places.mode(mode));
        Ok(match &self.model {
            Some(model) => router.model(model.clone(), Duration::from_secs(20), str::to_owned),
            None => router,
        })
    }

    /// `understand`, then these agents at once, then `check`, then the model if there is one, then `writer`.
    fn pipeline(
        &self,
        name: &str,
        about: &str,
        finders: &[&'static str],
    ) -> Result<Pipeline<str, Reply>, StageError> {
        let mut draft = Draft::<str>::new(name).about(about);
        let on_duty = self.on_duty("understand");
        let query = draft.stage("understand").run(move |question, ()| {
            let query = on_duty().and_then(|()| understand(&question));
            async move { query }
        })?;
        let mut found: Vec<Found> = Vec::new();
        for agent in finders {
            found.push(self.finder(&mut draft, agent, &query)?);
        }
        let (on_duty, root) = (self.on_duty("check"), self.root.clone());
        // Whoever of them does not work is missed, and not waited for.
        let optional: Vec<_> = found.iter().map(Handle::optional).collect();
        let evidence = draft.stage("check").after((&query, optional));
        let evidence = evidence.offload(COMPUTES, move |_, (query, found)| {
            on_duty()?;
            let there: Vec<&[Hit]> = found.iter().flatten().map(|hits| hits.as_slice()).collect();
            if there.is_empty() {
                return Err(TaskError::fatal("nobody who searches has worked"));
            }
            Ok(check(&root, &query, &there))
        })?;
        let on_duty = self.on_duty("writer");
        let answer = match &self.model {
            Some(model) => {
                let said = self.asked(&mut draft, model, &evidence)?;
                draft.stage("writer").after((&evidence, said.optional())).run(
                    move |_, (evidence, said)| {
                        let reply = on_duty().map(|()| {
                            said.map_or_else(|| write(&evidence), |said| Reply::clone(&said))
                        });
                        async move { reply }
                    },
                )?
            }
            None => draft.stage("writer").after(&evidence).run(move |_, evidence| {
                let reply = on_duty().map(|()| write(&evidence));
                async move { reply }
            })?,
        };
        draft.answer(&answer)
    }

    /// Fails if the agent is one of those that are to.
    fn on_duty(&self, agent: &str) -> impl Fn() -> Result<(), TaskError> + Send + Sync + 'static {
        let is_off = self.without.contains(agent);
        move || if is_off { Err(TaskError::fatal("switched off by --without")) } else { Ok(()) }
    }

    fn finder(
        &self,
        draft: &mut Draft<str>,
        agent: &'static str,
        query: &Handle<Query>,
    ) -> Result<Found, StageError> {
        let (on_duty, root) = (self.on_duty(agent), self.root.clone());
        draft.stage(agent).after(query).offload(COMPUTES, move |_, query| {
            on_duty()?;
            match agent {
                "docs" => find(&root, corpus::Kind::Prose, &query),
                "tables" => find(&root, corpus::Kind::Rows, &query),
                "code" => find(&root, corpus::Kind::Docs, &query),
                _ => define(&root, &query),
            }
        })
    }

    /// The model's answer out of the quotes; it fails if it does not say where it has it from.
    fn asked(
        &self,
        draft: &mut Draft<str>,
        model: &ChatClient,
        evidence: &Handle<Evidence>,
    ) -> Result<Handle<Reply>, StageError> {
        let (on_duty, model) = (self.on_duty(model.agent()), model.clone());
        let stage = draft.stage("model").agent(model.agent()).timeout(Duration::from_secs(60));
        stage.after(evidence).run(move |question, evidence| {
            let (on_duty, model) = (on_duty(), model.clone());
            async move {
                on_duty?;
                if evidence.quotes.is_empty() {
                    return Ok(write(&evidence));
                }
                let quotes = evidence.quotes.iter().enumerate().map(|(at, quote)| {
                    format!("[{}] {}:{} {}\n{}", at + 1, quote.path, quote.line, quote.title, quote.text)
                });
                let quotes: Vec<String> = quotes.collect();
                let request = ChatRequest::new(format!("{question}\n\nQuotes:\n{}", quotes.join("\n\n")))
                    .system(
                        "Answer in at most three sentences, from the quotes alone. After each statement stands the number of \
                         the quote that says so, like [1]. If the quotes do not answer the question, say so.",
                    )
                    .temperature(0.0);
                let answer = model.complete(&request).await.map_err(ChatError::into_task_error)?;
                cited(&answer.text, evidence.quotes.len())?;
                let (text, quotes) = (format!("{}\n", answer.text.trim()), evidence.quotes.clone());
                Ok(Reply { text, quotes, by: model.agent().to_owned() })
            }
        })
    }
}

/// Whether a text refers to quotes, and only to those that there are.
fn cited(text: &str, quotes: usize) -> Result<(), TaskError> {
    let numbers =
        text.split('[').skip(1).filter_map(|part| part.split_once(']')?.0.parse::<usize>().ok());
    let numbers: Vec<usize> = numbers.collect();
    if numbers.is_empty() {
        return Err(TaskError::fatal("the model refers to no quote"));
    }
    match numbers.iter().find(|number| !(1..=quotes).contains(*number)) {
        Some(number) => {
            Err(TaskError::fatal(format!("the model refers to quote [{number}] of {quotes}")))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_refers_to_quotes_that_there_are() {
        assert!(cited("So it is [1], and so [2].", 2).is_ok());
        assert!(cited("So it is.", 2).is_err());
        let error = cited("So it is [1], and so [3].", 2).expect_err("there are two");
        assert_eq!(error.to_string(), "the model refers to quote [3] of 2");
    }
}
