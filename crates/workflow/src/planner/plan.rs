//! Plans as data, their check, and the JSON Schema that says what they look like.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Spent;

/// Steps and which needs which.
///
/// # Examples
/// ```
/// use tidegate_workflow::planner::Plan;
///
/// let plan: Plan = serde_json::from_str(
///     r#"{"steps": [
///         {"id": "find", "agent": "search", "instruction": "spiders"},
///         {"id": "tell", "agent": "writer", "instruction": "in one sentence", "needs": ["find"]}
///     ]}"#,
/// )?;
/// assert_eq!(plan.check(&["search".to_owned(), "writer".to_owned()]), []);
/// let flaws = plan.check(&["search".to_owned()]);
/// assert_eq!(flaws[0].to_string(), "step `tell` names the agent `writer`; there are: search");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The steps, in any order.
    pub steps: Vec<Step>,
    /// What the planner spent on it. It is no part of what is written down of a plan.
    #[serde(skip)]
    pub spent: Spent,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What others call it.
    pub id: String,
    /// Who does it.
    pub agent: String,
    /// What is to be done.
    pub instruction: String,
    /// The steps whose results it gets; it starts after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The steps whose results it gets if they succeed; it starts after them in any case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wants: Vec<String>,
}

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// It has no steps.
    Empty,
    /// It has more steps than are allowed.
    TooLong {
        /// How many.
        steps: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// An id is empty, or longer than 100 characters, or has one of `~()` in it.
    BadId {
        /// The id.
        id: String,
    },
    /// Two steps have one id.
    Duplicate {
        /// The id.
        id: String,
    },
    /// Nobody has this name.
    UnknownAgent {
        /// The step.
        step: String,
        /// Its agent.
        agent: String,
        /// Who there is.
        agents: Vec<String>,
    },
    /// A step needs or wants one that is not there.
    UnknownNeed {
        /// The step.
        step: String,
        /// What it needs.
        need: String,
    },
    /// Steps need each other.
    Cycle {
        /// The ids along the needs, the first again at the end.
        path: Vec<String>,
    },
}

impl Plan {
    /// The most steps that a plan may have.
    pub const LONGEST: usize = 1000;

    /// A plan of one step, whose instruction is the goal.
    pub fn single(goal: &str, agent: impl Into<String>) -> Self {
        let step = Step {
            id: "goal".to_owned(),
            agent: agent.into(),
            instruction: goal.to_owned(),
            needs: Vec::new(),
            wants: Vec::new(),
        };
        Self { steps: vec![step], spent: Spent::default() }
    }

    /// Everything that is wrong with it; nothing if these agents can do it.
    pub fn check(&self, agents: &[String]) -> Vec<Flaw> {
        if self.steps.is_empty() {
            return vec![Flaw::Empty];
        }
        if self.steps.len() > Self::LONGEST {
            return vec![Flaw::TooLong { steps: self.steps.len(), limit: Self::LONGEST }];
        }
        let mut flaws = Vec::new();
        let mut ids = HashSet::new();
        for step in &self.steps {
            let id = step.id.clone();
            if id.is_empty() || id.chars().count() > 100 || id.contains(['~', '(', ')']) {
                flaws.push(Flaw::BadId { id });
            } else if !ids.insert(step.id.as_str()) {
                flaws.push(Flaw::Duplicate { id });
            }
        }
        for step in &self.steps {
            if !agents.contains(&step.agent) {
                flaws.push(Flaw::UnknownAgent {
                    step: step.id.clone(),
                    agent: step.agent.clone(),
                    agents: agents.to_vec(),
                });
            }
            for need in step.before().filter(|need| !ids.contains(need)) {
                let (step, need) = (step.id.clone(), need.to_owned());
                flaws.push(Flaw::UnknownNeed { step, need });
            }
        }
        flaws.extend(self.cycle().map(|path| Flaw::Cycle { path }));
        flaws
    }

    /// The ids of the steps that no other needs or wants.
    pub fn ends(&self) -> Vec<&str> {
        let needed: HashSet<&str> = self.steps.iter().flat_map(Step::before).collect();
        let ids = self.steps.iter().map(|step| step.id.as_str());
        ids.filter(|id| !needed.contains(id)).collect()
    }

    /// A cycle, if there is one.
    fn cycle(&self) -> Option<Vec<String>> {
        let mut open: BTreeMap<&str, &Step> =
            self.steps.iter().map(|step| (step.id.as_str(), step)).collect();
        // Whoever needs nothing that is open is closed, until nothing changes.
        loop {
            let done: Vec<&str> = open
                .values()
                .filter(|step| !step.before().any(|need| open.contains_key(need)))
                .map(|step| step.id.as_str())
                .collect();
            if done.is_empty() {
                break;
            }
            open.retain(|id, _| !done.contains(id));
        }
        // Each step that is left needs another that is left: following them leads round.
        let mut at = *open.keys().next()?;
        let (mut path, mut seen) = (Vec::new(), BTreeSet::new());
        while seen.insert(at) {
            path.push(at);
            at = open[at].before().find(|need| open.contains_key(need))?;
        }
        path.push(at);
        let from = path.iter().position(|id| *id == at)?;
        Some(path[from..].iter().map(|id| (*id).to_owned()).collect())
    }

    /// What a plan looks like, as a JSON Schema (draft 2020-12), when these agents are there.
    pub fn schema(agents: &[String]) -> Value {
        let text = json!({ "type": "string" });
        let id =
            json!({ "type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[^~()]+$" });
        let ids = json!({ "type": "array", "items": id });
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Plan",
            "type": "object",
            "additionalProperties": false,
            "required": ["steps"],
            "properties": {
                "steps": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": Self::LONGEST,
                    "items": {
                        "type": "object",
                        "additionalProperties": false,
                        "required": ["id", "agent", "instruction"],
                        "properties": {
                            "id": id,
                            "agent": { "enum": agents },
                            "instruction": text,
                            "needs": ids,
                            "wants": ids,
                        },
                    },
                },
            },
        })
    }
}

impl Step {
    /// What it needs and what it wants.
    pub(super) fn before(&self) -> impl Iterator<Item = &str> {
        self.needs.iter().chain(&self.wants).map(String::as_str)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the plan has no steps"),
            Self::TooLong { steps, limit } => {
                write!(f, "the plan has {steps} steps; at most {limit} are allowed")
            }
            Self::BadId { id } => {
                let short: String = id.chars().take(100).collect();
                write!(f, "`{short}` is no id: 1 to 100 characters, none of them `~`, `(` or `)`")
            }
            Self::Duplicate { id } => write!(f, "two steps have the id `{id}`"),
            Self::UnknownAgent { step, agent, agents } => {
                let agents = agents.join(", ");
                write!(f, "step `{step}` names the agent `{agent}`; there are: {agents}")
            }
            Self::UnknownNeed { step, need } => {
                write!(f, "step `{step}` needs `{need}`, which is no step")
            }
            Self::Cycle { path } => {
                write!(f, "steps need each other in a cycle: {}", path.join(" -> "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(id: &str, needs: &[&str]) -> Step {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Step { needs, ..Plan::single("", "a").steps.remove(0) }.called(id)
    }

    impl Step {
        fn called(self, id: &str) -> Self {
            Self { id: id.to_owned(), ..self }
        }
    }

    #[test]
    fn every_flaw_is_told() {
        let agents = ["a".to_owned()];
        let mut plan = Plan {
            steps: vec![
                step("x", &["z"]),
                step("y", &["x", "nobody"]),
                step("z", &["y"]),
                step("x", &[]),
                step("(", &[]),
            ],
            ..Plan::default()
        };
        plan.steps[4].agent = "b".to_owned();
        let flaws: Vec<String> = plan.check(&agents).iter().map(Flaw::to_string).collect();
        assert_eq!(flaws.len(), 4, "{flaws:#?}");
        assert_eq!(flaws[0], "two steps have the id `x`");
        assert!(flaws[1].contains("is no id"));
        assert!(flaws[2].contains("`nobody`"));
        assert!(flaws[3].contains("the agent `b`; there are: a"));
        plan.steps.truncate(3);
        plan.steps[1].needs.pop();
        let expected = Flaw::Cycle { path: ["x", "z", "y", "x"].map(str::to_owned).to_vec() };
        assert_eq!(plan.check(&agents), [expected]);
        assert_eq!(Plan::default().check(&agents), [Flaw::Empty]);
    }

    #[test]
    fn a_cycle_is_found_behind_steps_that_are_none_of_it() {
        let steps = vec![
            step("a", &[]),
            step("b", &["a"]),
            step("x", &["b", "z"]),
            step("y", &["x"]),
            step("z", &["a", "y"]),
        ];
        let expected = Flaw::Cycle { path: ["x", "z", "y", "x"].map(str::to_owned).to_vec() };
        assert_eq!(Plan { steps, ..Plan::default() }.check(&["a".to_owned()]), [expected]);
    }

    #[test]
    fn ids_and_plans_may_be_as_long_as_is_said_and_no_longer() {
        let flaws = |steps: Vec<Step>| Plan { steps, ..Plan::default() }.check(&["a".to_owned()]);
        assert_eq!(flaws(vec![step(&"x".repeat(100), &[])]), []);
        assert!(matches!(flaws(vec![step(&"x".repeat(101), &[])])[..], [Flaw::BadId { .. }]));
        let many = |count: usize| (0..count).map(|at| step(&at.to_string(), &[])).collect();
        assert_eq!(flaws(many(Plan::LONGEST)), []);
        assert!(matches!(flaws(many(Plan::LONGEST + 1))[..], [Flaw::TooLong { .. }]));
    }

    #[test]
    fn the_ends_are_what_nobody_needs() {
        let steps = vec![step("x", &[]), step("y", &["x"]), step("z", &["x"])];
        let plan = Plan { steps, ..Plan::default() };
        assert_eq!(plan.ends(), ["y", "z"]);
    }

    #[test]
    fn what_the_schema_requires_is_what_is_read() {
        let schema = Plan::schema(&["a".to_owned()]);
        let of_step = &schema["properties"]["steps"]["items"];
        let step = step("x", &["y"]);
        let written =
            serde_json::to_value(Step { wants: step.needs.clone(), ..step }).expect("plain");
        let keys: Vec<&String> = written.as_object().expect("an object").keys().collect();
        let properties: Vec<&String> =
            of_step["properties"].as_object().expect("an object").keys().collect();
        assert_eq!(keys, properties);
        for required in of_step["required"].as_array().expect("a list") {
            let mut without = written.clone();
            let required = required.as_str().expect("a text");
            without.as_object_mut().expect("an object").remove(required);
            assert!(serde_json::from_value::<Step>(without).is_err(), "{required} is required");
        }
        let more = json!({ "steps": [], "more": 1 });
        assert!(serde_json::from_value::<Plan>(more).is_err());
    }
}
