//! A model that chooses a pipeline, held to what there is and to its time.

use std::time::Duration;

use serde::Deserialize;
use serde_json::json;

use super::MissingStage;
use crate::chat::{ChatAnswer, ChatClient, ChatRequest, Role, unfenced};
use crate::graph::Graph;
use crate::orchestrator::Orchestrator;
use crate::retry::Retry;

/// How often it is asked for one choice.
const ROUNDS: u32 = 2;

/// The model, how long it may take for a choice, and how a request reads.
pub(super) struct Chooser<Q: ?Sized> {
    pub(super) client: ChatClient,
    pub(super) patience: Duration,
    pub(super) show: Box<dyn Fn(&Q) -> String + Send + Sync>,
}

/// What the model answers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice {
    pipeline: String,
}

impl<Q: ?Sized> Chooser<Q> {
    /// The place in the list of names and what they are about; or why there is no choice.
    pub(super) async fn choose(
        &self,
        orchestrator: &Orchestrator,
        request: &Q,
        list: &[(&str, &str)],
    ) -> Result<usize, String> {
        let choosing = self.ask(orchestrator, (self.show)(request), list);
        let late = Err(format!("there was none within {:?}", self.patience));
        tokio::time::timeout(self.patience, choosing).await.unwrap_or(late)
    }

    async fn ask(
        &self,
        orchestrator: &Orchestrator,
        request: String,
        list: &[(&str, &str)],
    ) -> Result<usize, String> {
        let names: Vec<&str> = list.iter().map(|(name, _)| *name).collect();
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "required": ["pipeline"],
            "properties": { "pipeline": { "enum": names } },
        });
        let about: Vec<String> =
            list.iter().map(|(name, about)| format!("- {name}: {about}")).collect();
        let system = format!(
            "You choose who answers a request, and do not answer it yourself. There are:\n{}\nAnswer with one JSON object that \
             follows this JSON Schema, and nothing else: {schema}",
            about.join("\n")
        );
        let mut request =
            ChatRequest::new(request).system(system).temperature(0.0).schema("choice", schema);
        let mut why = String::new();
        for _ in 0..ROUNDS {
            let said = self.complete(orchestrator, request.clone()).await?;
            match read(&said, &names) {
                Ok(at) => return Ok(at),
                Err(wrong) => why = wrong,
            }
            let back = format!("This is no such choice: {why}. Answer again.");
            request = request.message(Role::Assistant, said).message(Role::User, back);
        }
        Err(why)
    }

    /// What the model says, asked within the limits of its agent.
    async fn complete(
        &self,
        orchestrator: &Orchestrator,
        request: ChatRequest,
    ) -> Result<String, String> {
        let mut graph = Graph::new();
        let task = self.client.task("choice", move |_| Ok(request.clone())).retry(Retry::NEVER);
        graph.add(task).expect("it is the only one");
        let finished = orchestrator.run(graph).await.map_err(|error| error.to_string())?;
        let answer = finished.output::<ChatAnswer>("choice");
        answer.map(|answer| answer.text.clone()).map_err(|error| {
            let missing = MissingStage::of(finished.report(), true);
            missing.first().map_or(error.to_string(), ToString::to_string)
        })
    }
}

/// The place of the chosen name; or what is wrong with the answer.
fn read(text: &str, names: &[&str]) -> Result<usize, String> {
    let choice: Choice = serde_json::from_str(unfenced(text)).map_err(|error| error.to_string())?;
    let chosen = names.iter().position(|name| *name == choice.pipeline);
    chosen.ok_or_else(|| {
        format!("there is no pipeline `{}`; there are: {}", choice.pipeline, names.join(", "))
    })
}
