//! What is in force, and why.

use std::fmt;

use super::schema::Value;
use super::secret::is_hidden;
use super::{Configuration, Origin};

/// A setting, its value, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// Its path.
    pub setting: String,
    /// Its value; `***` for what is named as a secret.
    pub value: String,
    /// Where the value came from.
    pub origin: Origin,
    /// The values that it overrides, the most important first.
    pub over: Vec<(String, Origin)>,
}

/// All settings, by path. As text, one a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation(pub Vec<Explained>);

impl Configuration {
    /// What is in force, and where each value came from.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::config::{Format, Layers};
    ///
    /// let configuration = Layers::new()
    ///     .text("mine.toml", Format::Toml, "default_timeout = '5m'")
    ///     .environment_of([("ORCHESTRATION_DEFAULT_TIMEOUT", "300.5")])
    ///     .load()?;
    /// let text = configuration.explain().to_string();
    /// let line = text.lines().find(|line| line.starts_with("default_timeout ")).unwrap_or_default();
    /// let words: Vec<&str> = line.split_whitespace().collect();
    /// assert_eq!(
    ///     words.join(" "),
    ///     "default_timeout = 300.5s variable ORCHESTRATION_DEFAULT_TIMEOUT (over 300s from mine.toml:1:19, off by default)"
    /// );
    /// # Ok::<(), tidegate_workflow::config::Problems>(())
    /// ```
    pub fn explain(&self) -> Explanation {
        let settings = self.settings.iter().filter_map(|(path, values)| {
            let mut values =
                values.iter().rev().map(|(value, origin)| (masked(path, value), origin.clone()));
            let (value, origin) = values.next()?;
            Some(Explained { setting: path.clone(), value, origin, over: values.collect() })
        });
        Explanation(settings.collect())
    }
}

/// The value, unless it may be a secret.
pub(super) fn masked(path: &str, value: &Value) -> String {
    if is_hidden(path) { "***".to_owned() } else { value.to_string() }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Explained) -> usize| self.0.iter().map(of).max().unwrap_or(0);
        let names = width(|explained| explained.setting.chars().count());
        let values = width(|explained| explained.value.chars().count());
        for Explained { setting, value, origin, over } in &self.0 {
            write!(f, "{setting:names$} = {value:values$}  {origin}")?;
            for (at, (value, origin)) in over.iter().enumerate() {
                f.write_str(if at == 0 { " (over " } else { ", " })?;
                match origin {
                    Origin::Default | Origin::Code => write!(f, "{value} {origin}")?,
                    _ => write!(f, "{value} from {origin}")?,
                }
            }
            f.write_str(if over.is_empty() { "\n" } else { ")\n" })?;
        }
        Ok(())
    }
}
