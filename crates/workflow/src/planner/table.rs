//! Plans from a table: for goals that are known.

use super::{Failure, NoPlan, Plan, Planner};

/// Plans by what the goal has in it, alternatives by the agent that failed. The first entry that fits counts; the goal stands
/// for `{goal}` in instructions.
///
/// # Examples
/// ```
/// use tidegate_workflow::planner::{Plan, Planner, TablePlanner};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let planner = TablePlanner::new()
///     .when("weather", Plan::single("look up: {goal}", "forecast"))
///     .otherwise(Plan::single("{goal}", "writer"));
/// let plan = planner.plan("weather in Kiel", &[]).await?;
/// assert_eq!(plan.steps[0].instruction, "look up: weather in Kiel");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct TablePlanner {
    plans: Vec<(String, Plan)>,
    otherwise: Option<Plan>,
    alternatives: Vec<(String, Plan)>,
}

impl TablePlanner {
    /// A table without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// A plan for goals in which this text occurs, in upper or lower case.
    #[must_use]
    pub fn when(mut self, text: impl AsRef<str>, plan: Plan) -> Self {
        self.plans.push((text.as_ref().to_lowercase(), plan));
        self
    }

    /// A plan for all goals that no entry fits, wherever this stands among them; of several the last.
    #[must_use]
    pub fn otherwise(mut self, plan: Plan) -> Self {
        self.otherwise = Some(plan);
        self
    }

    /// What to do instead when a step of this agent fails; the step's own instruction stands for `{instruction}`.
    #[must_use]
    pub fn if_fails(mut self, agent: impl Into<String>, alternative: Plan) -> Self {
        self.alternatives.push((agent.into(), alternative));
        self
    }
}

impl Planner for TablePlanner {
    async fn plan(&self, goal: &str, _agents: &[String]) -> Result<Plan, NoPlan> {
        let lower = goal.to_lowercase();
        let mut plans = self.plans.iter();
        let found = plans.find(|(text, _)| lower.contains(text)).map(|(_, plan)| plan);
        let plan = found
            .or(self.otherwise.as_ref())
            .ok_or_else(|| NoPlan::because("no entry of the table fits the goal"))?;
        Ok(filled(plan, &[("{goal}", goal)]))
    }

    async fn alternative(&self, failure: &Failure, _agents: &[String]) -> Result<Plan, NoPlan> {
        let mut alternatives = self.alternatives.iter();
        let (_, plan) =
            alternatives.find(|(agent, _)| *agent == failure.step.agent).ok_or_else(|| {
                NoPlan::because(format!("the table has none for agent `{}`", failure.step.agent))
            })?;
        let instruction = failure.step.instruction.as_str();
        Ok(filled(plan, &[("{goal}", &failure.goal), ("{instruction}", instruction)]))
    }
}

fn filled(plan: &Plan, words: &[(&str, &str)]) -> Plan {
    let mut plan = plan.clone();
    for step in &mut plan.steps {
        step.instruction = replaced(&step.instruction, words);
    }
    plan
}

/// What is put in is not looked through again: a goal may hold `{instruction}`.
fn replaced(mut text: &str, words: &[(&str, &str)]) -> String {
    let mut whole = String::with_capacity(text.len());
    let first = |text: &str| {
        let found = words.iter().filter_map(|(word, by)| Some((text.find(word)?, *word, *by)));
        found.min_by_key(|(at, ..)| *at)
    };
    while let Some((at, word, by)) = first(text) {
        whole.push_str(&text[..at]);
        whole.push_str(by);
        text = &text[at + word.len()..];
    }
    whole + text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_not_looked_through_again() {
        let words = [("{goal}", "a {instruction}"), ("{instruction}", "b {goal}")];
        let text = "{instruction}, {goal}, {goal";
        assert_eq!(replaced(text, &words), "b {goal}, a {instruction}, {goal");
    }
}
