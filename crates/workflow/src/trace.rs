//! Trace context: which trace an attempt is part of, so that what it calls can go on with it.

use std::fmt;
use std::hash::BuildHasher as _;
use std::str::FromStr;

/// A place in a distributed trace, as [W3C Trace Context](https://www.w3.org/TR/trace-context/#traceparent-header) writes it:
/// in the HTTP header `traceparent`, or the environment variable `TRACEPARENT`.
///
/// # Examples
/// ```
/// use tidegate_workflow::TraceParent;
///
/// let parent: TraceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse()?;
/// assert!(parent.is_sampled());
/// assert_eq!(parent.to_string(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
/// # Ok::<(), tidegate_workflow::TraceParentError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceParent {
    trace: u128,
    span: u64,
    flags: u8,
}

impl TraceParent {
    /// What an attempt is called where nothing records spans: the same trace for a whole run, another place for each attempt.
    /// It counts as sampled, so that whoever is called decides for itself.
    pub(crate) fn made_up(instance: u64, run: u64, task: &str, attempt: u32) -> Self {
        let hasher = foldhash::quality::FixedState::with_seed(instance);
        let trace = u128::from(instance) << 64 | u128::from(hasher.hash_one(run));
        // All zeros are no place.
        let span = hasher.hash_one((run, task, attempt)).max(1);
        Self { trace: trace.max(1), span, flags: 1 }
    }

    /// The id of the trace, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace)
    }

    /// The id of the span in it, 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span)
    }

    /// Whether whoever wrote it may have recorded the span.
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text, if it is so many hexadecimal digits in lower case.
fn digits(text: Option<&str>, count: usize) -> Option<&str> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.filter(|text| text.len() == count && text.bytes().all(is_digit))
}

/// A text is no `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParentError {
    /// What is wrong with it.
    pub why: &'static str,
}

impl fmt::Display for TraceParentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no trace parent such as `00-{{32 digits}}-{{16 digits}}-01`: {}", self.why)
    }
}

impl std::error::Error for TraceParentError {}

impl FromStr for TraceParent {
    type Err = TraceParentError;

    /// Of a later version, as much is read as version 00 has.
    fn from_str(text: &str) -> Result<Self, TraceParentError> {
        let wrong = |why| TraceParentError { why };
        let mut parts = text.split('-');
        let version = digits(parts.next(), 2).ok_or(wrong("the version has not two digits"))?;
        let trace = digits(parts.next(), 32).ok_or(wrong("the trace id has not 32 digits"))?;
        let span = digits(parts.next(), 16).ok_or(wrong("the span id has not 16 digits"))?;
        let flags = digits(parts.next(), 2).ok_or(wrong("the flags have not two digits"))?;
        if version == "ff" || version == "00" && parts.next().is_some() {
            return Err(wrong("there is no such version"));
        }
        let number = |_| wrong("not hexadecimal");
        let trace = u128::from_str_radix(trace, 16).map_err(number)?;
        let span = u64::from_str_radix(span, 16).map_err(number)?;
        if trace == 0 || span == 0 {
            return Err(wrong("an id is zero"));
        }
        Ok(Self { trace, span, flags: u8::from_str_radix(flags, 16).map_err(number)? })
    }
}

#[cfg(feature = "otel")]
mod otel {
    use opentelemetry::trace::{
        SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    };
    use tracing::Span;
    use tracing_opentelemetry::OpenTelemetrySpanExt as _;

    use super::TraceParent;

    impl TraceParent {
        /// Where OpenTelemetry's layer has put the span, if there is one.
        pub(crate) fn of(span: &Span) -> Option<Self> {
            let context = span.context();
            let span = context.span();
            let context = span.span_context();
            context.is_valid().then(|| Self {
                trace: u128::from_be_bytes(context.trace_id().to_bytes()),
                span: u64::from_be_bytes(context.span_id().to_bytes()),
                flags: context.trace_flags().to_u8(),
            })
        }

        /// Makes the span a child of this place.
        pub(crate) fn adopt(self, span: &Span) {
            let (trace, id) = (TraceId::from(self.trace), SpanId::from(self.span));
            let flags = TraceFlags::new(self.flags);
            let context = SpanContext::new(trace, id, flags, true, TraceState::NONE);
            let parent = opentelemetry::Context::new().with_remote_span_context(context);
            // An error says that no layer of OpenTelemetry listens.
            let _ = span.set_parent(parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trace_parent_is_refused_with_the_reason() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let why = |text: &str| text.parse::<TraceParent>().expect_err(text).why;
        assert_eq!(why(""), "the version has not two digits");
        assert_eq!(why(&good.to_uppercase()), "the trace id has not 32 digits");
        assert_eq!(why(&good.replace("b7-", "-")), "the span id has not 16 digits");
        assert_eq!(why(&good.replace("-01", "")), "the flags have not two digits");
        assert_eq!(why(&good.replacen("00-", "ff-", 1)), "there is no such version");
        assert_eq!(why(&format!("{good}-more")), "there is no such version");
        assert_eq!(why(&good.replace("00f067aa0ba902b7", &"0".repeat(16))), "an id is zero");
        assert_eq!(
            why(&good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32))),
            "an id is zero"
        );
        assert_eq!(why(&good.replace("4bf9", "+bf9")), "the trace id has not 32 digits");
        let later = format!("{}-more", good.replacen("00-", "cc-", 1));
        assert_eq!(later.parse::<TraceParent>(), good.parse());
    }

    #[test]
    fn made_up_places_share_the_trace_of_their_run_alone() {
        let of = |run, task, attempt| TraceParent::made_up(7, run, task, attempt);
        let first = of(0, "a", 1);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert_eq!(first.trace_id(), of(0, "b", 1).trace_id());
        let others = [of(0, "b", 1), of(0, "a", 2), of(1, "a", 1)];
        assert!(others.iter().all(|other| other.span_id() != first.span_id()));
        assert_ne!(first.trace_id(), of(1, "a", 1).trace_id());
        assert_ne!(first.trace_id(), TraceParent::made_up(8, 0, "a", 1).trace_id());
    }
}
