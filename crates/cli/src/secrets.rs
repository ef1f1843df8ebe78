//! Values that must not be kept.

/// Parts of the names of what holds a secret.
const NAMES: &[&str] =
    &["secret", "token", "passw", "api_key", "apikey", "credential", "private_key", "access_key"];

/// Shorter values hide nothing, and stand in every text.
const SHORTEST: usize = 4;

/// The values of environment variables that are named as secrets.
#[derive(Debug, Default)]
pub(crate) struct Secrets(Vec<String>);

/// Whether something of this name holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|part| name.contains(part))
}

impl Secrets {
    /// The secrets among these, and those of our own environment.
    pub(crate) fn of<'a>(given: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let given = given.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let ours = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let secret = |(name, value): &(String, String)| is_secret(name) && value.len() >= SHORTEST;
        let mut values: Vec<String> =
            ours.chain(given).filter(secret).map(|(_, value)| value).collect();
        // A secret that holds another goes first.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self(values)
    }

    /// Whether the text holds one.
    pub(crate) fn stand_in(&self, text: &str) -> bool {
        self.0.iter().any(|secret| text.contains(secret.as_str()))
    }

    /// The text without them.
    pub(crate) fn taken_from(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), "***"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_as_a_secret_is_taken_out_of_texts() {
        let env = [("GITHUB_TOKEN", "abcd1234"), ("db-password", "abcd"), ("HOME", "/root/x")];
        let secrets = Secrets::of(env);
        assert!(secrets.stand_in("it was abcd1234") && !secrets.stand_in("/root/x"));
        assert_eq!(secrets.taken_from("abcd1234, abcd, /root/x"), "***, ***, /root/x");
    }
}
