//! Names that mark secrets.

/// Parts of the names of what holds a secret, however their words are joined.
const MARKS: &[&str] = &[
    "secret",
    "token",
    "passw",
    "passphrase",
    "credential",
    "apikey",
    "api_key",
    "access_key",
    "private_key",
];

/// Whether a value of this name is to be shown to nobody: `api-key`, `PGPASSWORD`, `GITHUB_TOKEN`. Too many rather than too few are.
///
/// # Examples
/// ```
/// use tidegate_workflow::config::is_secret;
///
/// assert!(is_secret("db.password") && is_secret("AWS_SECRET_ACCESS_KEY"));
/// assert!(!is_secret("HOME"));
/// ```
pub fn is_secret(name: &str) -> bool {
    let joined: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' })
        .collect();
    MARKS.iter().any(|mark| joined.contains(mark))
}

/// Whether a setting's value is not to be shown. Settings are amounts: those of tokens, and of an agent that is a tokenizer,
/// are none of anybody's secrets.
pub(super) fn is_hidden(path: &str) -> bool {
    let is_amount = |word: &&str| *word != "token" && word.starts_with("token");
    let path = path.to_ascii_lowercase();
    let words = path.split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !is_amount(word)).collect();
    is_secret(&words.join("_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_marks_a_secret_whatever_its_case_and_whatever_joins_its_words() {
        let secret = [
            "api-key",
            "api.key",
            "OPENAI_API_KEY",
            "apikey",
            "PGPASSWORD",
            "db passwd",
            "ssh-private-key",
            "aws access-key",
            "SIGNING_PASSPHRASE",
            "gcp_credentials",
            "clientSecret",
        ];
        for name in secret {
            assert!(is_secret(name) && is_hidden(name), "{name}");
        }
        for name in ["HOME", "KEY", "MONKEY", "keyboard_api", "pass", "author"] {
            assert!(!is_secret(name) && !is_hidden(name), "{name}");
        }
    }

    #[test]
    fn settings_that_count_tokens_are_shown() {
        assert!(!is_hidden("resources.tokens") && !is_hidden("agents.tokenizer.memory_mb"));
        assert!(is_hidden("resources.token") && is_hidden("agents.tokens.api_key"));
        assert!(is_secret("GITHUB_TOKENS"));
    }
}
