//! Plans by a model, whose answers are checked and asked for again with the reasons.

use super::{Failure, Flaw, NoPlan, Plan, Planner, Spent};
use crate::chat::{ChatClient, ChatRequest, Role, Usage, unfenced};

/// Asks a model for plans that follow [`Plan::schema`]. An answer that is none, names agents that are not there, or goes in a
/// cycle is sent back with everything that is wrong with it, up to three times in all.
///
/// Its requests are no tasks: they count for no agent, so that limits, rate and breaker of the agent that is named after the model
/// do not hold for them, and a [`Retry-After`](crate::TaskError::overloaded) ends the planning. Where that matters, give the planner a client and a
/// quota of its own.
///
/// # Examples
/// ```no_run
/// use tidegate_workflow::chat::ChatClient;
/// use tidegate_workflow::planner::{ChatPlanner, Planner};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let planner = ChatPlanner::new(ChatClient::from_env()?);
/// let plan = planner.plan("compare two texts", &["reader".to_owned(), "writer".to_owned()]).await?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct ChatPlanner {
    client: ChatClient,
    rounds: u32,
}

impl ChatPlanner {
    /// A planner that asks this model.
    pub fn new(client: ChatClient) -> Self {
        Self { client, rounds: 3 }
    }

    /// How often it asks at most for one plan; at least once.
    #[must_use]
    pub fn rounds(mut self, rounds: u32) -> Self {
        self.rounds = rounds.max(1);
        self
    }

    async fn ask(&self, task: String, agents: &[String]) -> Result<Plan, NoPlan> {
        let schema = Plan::schema(agents);
        let system = format!(
            "You plan work for these agents: {}. Split the work into steps that can run at the same time where they do not \
             need each other. Answer with one JSON object that follows this JSON Schema, and nothing else: {schema}",
            agents.join(", ")
        );
        let mut request =
            ChatRequest::new(task).system(system).temperature(0.0).schema("plan", schema);
        let (mut reasons, mut spent, mut usage) = (Vec::new(), Spent::default(), Usage::default());
        for _ in 0..self.rounds {
            let answer = self.client.complete(&request).await;
            let answer = answer.map_err(|error| NoPlan::because(error.to_string()))?;
            spent.requests += 1;
            usage = usage.and(answer.usage);
            spent.cost += answer.cost;
            match read(&answer.text, agents) {
                Ok(plan) => {
                    let Usage { prompt_tokens, completion_tokens } = usage;
                    let spent = Spent { prompt_tokens, completion_tokens, ..spent };
                    return Ok(Plan { spent, ..plan });
                }
                Err(why) => reasons = why,
            }
            let back = format!("This is no such plan: {}. Answer again.", reasons.join("; "));
            request = request.message(Role::Assistant, answer.text).message(Role::User, back);
        }
        Err(NoPlan { reasons })
    }
}

impl Planner for ChatPlanner {
    async fn plan(&self, goal: &str, agents: &[String]) -> Result<Plan, NoPlan> {
        self.ask(format!("The goal: {goal}"), agents).await
    }

    async fn alternative(&self, failure: &Failure, agents: &[String]) -> Result<Plan, NoPlan> {
        let Failure { goal, step, error, .. } = failure;
        let (agent, instruction) = (&step.agent, &step.instruction);
        let task = format!(
            "The goal: {goal}\nA step by the agent `{agent}` failed.\nIts instruction: {instruction}\nThe error: {error}\nPlan \
             other steps that do what it was to do. They cannot name the other steps of the plan."
        );
        self.ask(task, agents).await
    }
}

/// Reads a plan, in a fence of Markdown or without; or says everything that is wrong with it.
fn read(text: &str, agents: &[String]) -> Result<Plan, Vec<String>> {
    let plan: Plan =
        serde_json::from_str(unfenced(text)).map_err(|error| vec![error.to_string()])?;
    let flaws: Vec<String> = plan.check(agents).iter().map(Flaw::to_string).collect();
    if flaws.is_empty() { Ok(plan) } else { Err(flaws) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_read_in_a_fence_or_without() {
        let agents = ["a".to_owned()];
        let json = serde_json::to_string(&Plan::single("go", "a")).expect("plain");
        for text in [json.clone(), format!("```json\n{json}\n```"), format!(" ```\n{json}``` ")] {
            assert_eq!(read(&text, &agents), Ok(Plan::single("go", "a")), "{text}");
        }
        assert!(read("[]", &agents).is_err());
        assert!(read(&json, &[]).is_err(), "nobody is there to do it");
    }
}
