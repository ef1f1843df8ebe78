//! What goes over the wire, as plain values: the request's JSON, and the answers as servers write them.

use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{ChatError, ChatRequest, Usage};

/// The longest text of a server that an error repeats, in characters.
const LONGEST_MESSAGE: usize = 300;

/// The body of a request.
pub(super) fn body(request: &ChatRequest, model: &str, stream: bool) -> Vec<u8> {
    let mut body = json!({ "model": model, "messages": request.messages });
    if let Some(temperature) = request.temperature {
        body["temperature"] = json!(temperature);
    }
    if let Some(tokens) = request.max_tokens {
        body["max_tokens"] = json!(tokens);
    }
    if let Some((name, schema)) = &request.schema {
        body["response_format"] =
            json!({ "type": "json_schema", "json_schema": { "name": name, "schema": schema } });
    }
    if stream {
        body["stream"] = json!(true);
        body["stream_options"] = json!({ "include_usage": true });
    }
    body.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Whole {
    choices: Vec<WholeChoice>,
    #[serde(default)]
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct WholeChoice {
    message: WholeMessage,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct WholeMessage {
    content: Option<String>,
}

/// What an answer says, or as much of it as has come.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) finish_reason: Option<String>,
    pub(super) usage: Usage,
}

/// Reads an answer that came whole.
pub(super) fn whole(body: &[u8]) -> Result<Said, ChatError> {
    let whole: Whole =
        serde_json::from_slice(body).map_err(|error| not_understood(&error, body))?;
    let choice = whole
        .choices
        .into_iter()
        .next()
        .ok_or_else(|| ChatError::NotUnderstood { why: "`choices` is empty".to_owned() })?;
    let text = choice.message.content.ok_or_else(|| ChatError::NotUnderstood {
        why: "the message has no text as `content`".to_owned(),
    })?;
    let usage = whole.usage.unwrap_or_default();
    Ok(Said { text, finish_reason: choice.finish_reason, usage })
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<ChunkChoice>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct ChunkChoice {
    #[serde(default)]
    delta: Delta,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

/// What an event of a stream brings.
pub(super) enum Piece {
    /// More text, perhaps none.
    Text(String),
    /// That nothing more will come.
    Done,
}

impl Said {
    /// Takes the data of an event.
    pub(super) fn take(&mut self, data: &[u8]) -> Result<Piece, ChatError> {
        if data == b"[DONE]" {
            return Ok(Piece::Done);
        }
        let chunk: Chunk =
            serde_json::from_slice(data).map_err(|error| not_understood(&error, data))?;
        if let Some(error) = chunk.error {
            let why = format!("an error in the stream: {}", message(error.to_string().as_bytes()));
            return Err(ChatError::NotUnderstood { why });
        }
        self.usage = chunk.usage.unwrap_or(self.usage);
        let Some(choice) = chunk.choices.into_iter().next() else {
            return Ok(Piece::Text(String::new()));
        };
        self.finish_reason = choice.finish_reason.or(self.finish_reason.take());
        let text = choice.delta.content.unwrap_or_default();
        self.text.push_str(&text);
        Ok(Piece::Text(text))
    }
}

fn not_understood(error: &serde_json::Error, body: &[u8]) -> ChatError {
    ChatError::NotUnderstood { why: format!("{error}, in `{}`", message(body)) }
}

/// What a refusal says: the `error.message` of JSON, else its beginning, on one line.
pub(super) fn message(body: &[u8]) -> String {
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let told = json.as_ref().and_then(|json| {
        let error = json.get("error").unwrap_or(json);
        error.get("message").unwrap_or(error).as_str()
    });
    let text = told.map_or_else(|| String::from_utf8_lossy(body), Into::into);
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut short: String = clean.clone().take(LONGEST_MESSAGE).collect();
    if clean.count() > LONGEST_MESSAGE {
        short.push('…');
    }
    short
}

/// Reads `Retry-After`, in seconds or as a date (RFC 9110, 10.2.3). A date is of the server's clock: if the answer tells its
/// `date`, it counts from there, else from `now`.
pub(super) fn retry_after(value: &str, date: Option<&str>, now: SystemTime) -> Option<Duration> {
    /// No server is believed that wants nothing for longer.
    const LONGEST: Duration = Duration::from_secs(3600);
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are long enough.
        return Some(value.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let since = date.and_then(|date| httpdate::parse_http_date(date).ok()).unwrap_or(now);
    // What is over already asks for no wait.
    Some(until.duration_since(since).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_wrong_shape_are_told_with_their_place() {
        let why = |body: &str| whole(body.as_bytes()).expect_err("it is wrong").to_string();
        assert!(why("<html>").contains("line 1 column 1"));
        assert!(why("{\"choices\": 7}").contains("expected a sequence"));
        assert!(why("{\"choices\": []}").contains("`choices` is empty"));
        assert!(why("{\"choices\": [{\"message\": {\"content\": null}}]}").contains("`content`"));
        assert!(why(&"x".repeat(9999)).len() < 500, "a long answer is not repeated whole");
    }

    #[test]
    fn a_refusal_is_told_by_its_message_on_one_line() {
        assert_eq!(message(b"{\"error\": {\"message\": \"slow\\ndown\"}}"), "slow down");
        assert_eq!(message(b"{\"error\": \"no\"}"), "no");
        assert_eq!(message(b"plain"), "plain");
        assert_eq!(message(b"\xff"), "\u{fffd}");
        assert_eq!(message("x".repeat(300).as_bytes()), "x".repeat(300));
        assert_eq!(message("x".repeat(301).as_bytes()), format!("{}…", "x".repeat(300)));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_an_hour() {
        let hour = Duration::from_secs(3600);
        let of = |value: &str| retry_after(value, None, SystemTime::UNIX_EPOCH + hour);
        assert_eq!(of(" 7 "), Some(Duration::from_secs(7)));
        assert_eq!(of("999999999"), Some(hour));
        assert_eq!(of(&"9".repeat(99)), Some(hour));
        for wrong in ["-1", "", "soon", "Thu, 32 Jan 1970 01:00:00 GMT"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
        assert_eq!(of("Thu, 01 Jan 1970 01:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(of("Thursday, 01-Jan-70 01:00:09 GMT"), Some(Duration::from_secs(9)));
        assert_eq!(of("Thu Jan  1 01:00:09 1970"), Some(Duration::from_secs(9)));
        assert_eq!(of("Wed, 21 Oct 2065 07:28:00 GMT"), Some(hour));
        assert_eq!(of("Thu, 01 Jan 1970 00:59:59 GMT"), Some(Duration::ZERO), "it is over");
        // The server's clock is a year ahead; it counts, not ours.
        let server = Some("Fri, 01 Jan 1971 00:00:00 GMT");
        let until = retry_after("Fri, 01 Jan 1971 00:00:05 GMT", server, SystemTime::UNIX_EPOCH);
        assert_eq!(until, Some(Duration::from_secs(5)));
    }

    #[test]
    fn pieces_add_up_to_the_answer() {
        let mut said = Said::default();
        for data in [
            "{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}",
            "{\"choices\":[{\"delta\":{\"content\":\"eig\"}}]}",
            "{\"choices\":[{\"delta\":{\"content\":\"ht\"},\"finish_reason\":\"stop\"}]}",
            "{\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}",
            "{\"choices\":[{\"delta\":{}}]}",
        ] {
            assert!(matches!(said.take(data.as_bytes()), Ok(Piece::Text(_))));
        }
        assert!(matches!(said.take(b"[DONE]"), Ok(Piece::Done)));
        assert_eq!(said.text, "eight");
        assert_eq!(said.finish_reason.as_deref(), Some("stop"));
        assert_eq!(said.usage, Usage { prompt_tokens: 9, completion_tokens: 2 });
        assert!(said.take(b"{\"error\":{\"message\":\"gone\"}}").is_err());
    }
}
