//! Values that must not be kept.

use tidegate_workflow::config::is_secret;

/// Shorter values hide nothing, and stand in every text.
const SHORTEST: usize = 4;

/// The values of environment variables that are named as secrets.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Vec<String>);

impl Secrets {
    /// The secrets of our own environment.
    pub(crate) fn ours() -> Self {
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        Self::default().and(&ours.collect::<Vec<_>>())
    }

    /// These, and those among the named values.
    pub(crate) fn and(mut self, given: &[(String, String)]) -> Self {
        let secret = |(name, value): &&(String, String)| is_secret(name) && value.len() >= SHORTEST;
        self.0.extend(given.iter().filter(secret).map(|(_, value)| value.clone()));
        // A secret that holds another goes first.
        self.0.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        self.0.dedup();
        self
    }

    /// How many bytes the longest has.
    pub(crate) fn longest(&self) -> usize {
        self.0.first().map_or(0, String::len)
    }

    /// Whether the text holds one.
    pub(crate) fn stand_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// The text without them.
    pub(crate) fn taken_from(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }

    /// The text from about `from` on without them; one that stands across `from` is left out as a whole.
    pub(crate) fn taken_from_rest(&self, text: &str, from: usize) -> String {
        let mut from = text.ceil_char_boundary(from);
        let found = |secret: &String| {
            let length = secret.len();
            text.match_indices(secret.as_str()).map(|(at, _)| at..at + length).collect::<Vec<_>>()
        };
        let found: Vec<_> = self.0.iter().flat_map(found).collect();
        while let Some(across) = found.iter().find(|at| at.start < from && from < at.end) {
            from = across.end;
        }
        self.taken_from(&text[from..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_as_a_secret_is_taken_out_of_texts() {
        let env = [("GITHUB_TOKEN", "abcd1234"), ("db-password", "abcd"), ("HOME", "/root/x")];
        let secrets = Secrets::default().and(&env.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert!(secrets.stand_in("it was abcd1234") && !secrets.stand_in("/root/x"));
        assert_eq!(secrets.taken_from("abcd1234, abcd, /root/x"), "***, ***, /root/x");
        for (from, rest) in [(0, "x ***, é"), (3, ", é"), (9, ", é"), (10, ", é"), (13, "")] {
            assert_eq!(secrets.taken_from_rest("x abcd1234, é", from), rest, "{from}");
        }
    }
}
