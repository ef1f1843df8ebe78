//! Chat completions of any OpenAI-compatible endpoint, as tasks.
//!
//! A request goes out, an answer comes back whole or piece by piece. What the server says of its load is passed on to the
//! engine: after 429 or 503 nothing of the agent starts before `Retry-After` is over, and the law of the agent's limit counts
//! an overload. Nothing of this hangs, and no answer takes more memory than was allowed: every wait has a time-out, every body
//! a bound.

mod client;
pub(crate) mod error;
mod sse;
pub(crate) mod transport;
mod wire;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::trace::TraceParent;

pub use client::{ChatBuilder, ChatClient, ChatTotals};
pub use error::{ChatConfigError, ChatError, Phase};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The instructions that hold for the whole conversation.
    System,
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// What is asked.
///
/// # Examples
/// ```
/// use tidegate_workflow::chat::ChatRequest;
///
/// let request = ChatRequest::new("How many legs has a spider?").system("Answer in one word.").temperature(0.0);
/// assert_eq!(request.messages.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far, oldest first.
    pub messages: Vec<Message>,
    /// How freely to choose words; the server's default if `None`.
    pub temperature: Option<f64>,
    /// The most tokens to answer with; the server's default if `None`.
    pub max_tokens: Option<u32>,
    /// A JSON Schema, with its name, that the answer has to follow, for servers that can hold the model to one.
    pub schema: Option<(String, serde_json::Value)>,
    /// For the header `traceparent`; of a [task](ChatClient::task) that of its attempt, if it is `None`.
    pub trace_parent: Option<TraceParent>,
    /// For the header `Idempotency-Key`, by which servers that know it answer a repeated request once; of a task that of the
    /// task, if it is `None`.
    pub idempotency_key: Option<String>,
}

impl ChatRequest {
    /// A question.
    pub fn new(question: impl Into<String>) -> Self {
        let message = Message { role: Role::User, content: question.into() };
        Self {
            messages: vec![message],
            temperature: None,
            max_tokens: None,
            schema: None,
            trace_parent: None,
            idempotency_key: None,
        }
    }

    /// Instructions, put before everything else.
    pub fn system(mut self, instructions: impl Into<String>) -> Self {
        self.messages.insert(0, Message { role: Role::System, content: instructions.into() });
        self
    }

    /// One more message.
    pub fn message(mut self, role: Role, content: impl Into<String>) -> Self {
        self.messages.push(Message { role, content: content.into() });
        self
    }

    /// How freely to choose words.
    pub fn temperature(mut self, temperature: f64) -> Self {
        self.temperature = Some(temperature);
        self
    }

    /// The most tokens to answer with.
    pub fn max_tokens(mut self, tokens: u32) -> Self {
        self.max_tokens = Some(tokens);
        self
    }

    /// Makes it part of a distributed trace.
    pub fn trace_parent(mut self, parent: TraceParent) -> Self {
        self.trace_parent = Some(parent);
        self
    }

    /// Names it, so that a server that knows such keys answers it once, however often it comes.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Asks for an answer that follows this JSON Schema.
    pub fn schema(mut self, name: impl Into<String>, schema: serde_json::Value) -> Self {
        self.schema = Some((name.into(), schema));
        self
    }
}

/// What was answered, and what it took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatAnswer {
    /// The text.
    pub text: String,
    /// Why the model stopped: `stop`, `length`, …
    pub finish_reason: Option<String>,
    /// What the server counted; zero if it did not say.
    pub usage: Usage,
    /// By the client's [`Price`]; zero without one.
    pub cost: f64,
    /// From the request to the last byte.
    pub latency: Duration,
    /// From the request to the first piece of text, of an answer that came in pieces.
    pub first_piece: Option<Duration>,
}

/// How many tokens went in and came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Those of the question.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Those of the answer.
    #[serde(default)]
    pub completion_tokens: u64,
}

impl Usage {
    /// Both together. What a server counts is not believed to fit in here.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            prompt_tokens: self.prompt_tokens.saturating_add(other.prompt_tokens),
            completion_tokens: self.completion_tokens.saturating_add(other.completion_tokens),
        }
    }
}

/// What tokens cost, in any currency.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Price {
    /// For a million tokens of questions.
    pub prompt_per_million: f64,
    /// For a million tokens of answers.
    pub completion_per_million: f64,
}

impl Price {
    /// What so many tokens cost.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::chat::{Price, Usage};
    ///
    /// let price = Price { prompt_per_million: 2.0, completion_per_million: 8.0 };
    /// let cost = price.of(Usage { prompt_tokens: 500_000, completion_tokens: 250_000 });
    /// assert_eq!(cost, 3.0);
    /// ```
    pub fn of(&self, usage: Usage) -> f64 {
        (usage.prompt_tokens as f64 * self.prompt_per_million
            + usage.completion_tokens as f64 * self.completion_per_million)
            / 1e6
    }
}

/// What an answer says, without the fence of Markdown that models like to put around JSON.
pub(crate) fn unfenced(text: &str) -> &str {
    let text = text.trim();
    let fenced = text.strip_prefix("```json").or_else(|| text.strip_prefix("```"));
    fenced.and_then(|text| text.trim_end().strip_suffix("```")).unwrap_or(text)
}
