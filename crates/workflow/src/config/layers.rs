//! Defaults, files, environment, code: read in this order, judged by one schema.

mod names;
mod reader;

use std::path::PathBuf;

use super::problem::{Origin, Problem, Problems};
use super::schema::{KEYS, Key, Value};
use super::tree::{Format, Raw};
use super::{Configuration, Settings};

use reader::Reader;

/// Where settings come from, the most important last: files, then the environment, then code.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Layers {
    texts: Vec<Text>,
    environment: Option<Environment>,
    set: Vec<(String, Value, Origin)>,
}

#[derive(Debug, Clone)]
enum Text {
    File { path: PathBuf, must_be_there: bool },
    Given { name: String, format: Format, text: String },
    Read(Vec<(String, Value, Origin)>),
}

#[derive(Debug, Clone)]
enum Environment {
    Ours,
    Given(Vec<(String, String)>),
}

impl Layers {
    /// Nothing but defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file, whose name ends in `.yaml`, `.yml`, `.json` or `.toml`; it counts more than the ones before.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.texts.push(Text::File { path: path.into(), must_be_there: true });
        self
    }

    /// The same with a file that need not be there.
    pub fn file_if_there(mut self, path: impl Into<PathBuf>) -> Self {
        self.texts.push(Text::File { path: path.into(), must_be_there: false });
        self
    }

    /// A text, with the name that is told where a value came from it.
    pub fn text(
        mut self,
        name: impl Into<String>,
        format: Format,
        text: impl Into<String>,
    ) -> Self {
        self.texts.push(Text::Given { name: name.into(), format, text: text.into() });
        self
    }

    /// Settings that somebody else has read, each with its path and where it came from; they count like a file that stands here.
    ///
    /// # Examples
    /// ```
    /// use tidegate_workflow::config::{Layers, Origin};
    ///
    /// let flag = |name: &str| Origin::Given(format!("flag {name}"));
    /// let read = [("max_concurrent_tasks", 4_u64.into(), flag("--jobs"))];
    /// let configuration = Layers::new().values(read).load()?;
    /// assert_eq!(configuration.limit(), 4);
    /// assert!(configuration.explain().to_string().contains("flag --jobs"));
    /// # Ok::<(), tidegate_workflow::config::Problems>(())
    /// ```
    pub fn values<P: Into<String>>(
        mut self,
        values: impl IntoIterator<Item = (P, Value, Origin)>,
    ) -> Self {
        let values = values.into_iter().map(|(path, value, origin)| (path.into(), value, origin));
        self.texts.push(Text::Read(values.collect()));
        self
    }

    /// The environment of this process.
    pub fn environment(mut self) -> Self {
        self.environment = Some(Environment::Ours);
        self
    }

    /// Another environment.
    pub fn environment_of<N, V>(mut self, variables: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<String>,
        V: Into<String>,
    {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.environment = Some(Environment::Given(variables.collect()));
        self
    }

    /// A setting by its path, such as `agents.coding.max_concurrent_tasks`, which counts most.
    pub fn set(self, path: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set_by(Origin::Code, path, value)
    }

    /// The same in the name of somebody else: a flag of a command, a request.
    pub fn set_by(
        mut self,
        origin: Origin,
        path: impl Into<String>,
        value: impl Into<Value>,
    ) -> Self {
        let path = path.into();
        self.set.retain(|(other, ..)| *other != path);
        self.set.push((path, value.into(), origin));
        self
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// With everything that is wrong: files that cannot be read, settings that are not known, values that do not fit.
    pub fn load(self) -> Result<Configuration, Problems> {
        let mut reader = Reader::new(defaults());
        for text in &self.texts {
            reader.text(text);
        }
        if let Some(environment) = &self.environment {
            reader.environment(environment);
        }
        for (path, value, origin) in &self.set {
            reader.value(path, value, origin.clone());
        }
        let (settings, mut problems) = reader.end();
        let configuration = Configuration { layers: self, settings };
        configuration.agree(&mut problems);
        if problems.is_empty() { Ok(configuration) } else { Err(Problems(problems)) }
    }
}

fn defaults() -> Settings {
    let with_default = KEYS.iter().filter(|key| !key.unset.is_empty());
    let value = |key: &Key| match key.unset {
        "processors" => {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            Value::Count(processors as u64)
        }
        text => key.read(&Raw::Text(text.to_owned())).expect("the defaults are sound"),
    };
    with_default.map(|key| (key.path.to_owned(), vec![(value(key), Origin::Default)])).collect()
}

impl Configuration {
    /// What only makes sense together.
    fn agree(&self, problems: &mut Vec<Problem>) {
        let whole = |path: &str| self.origin(path).cloned().unwrap_or(Origin::Default);
        if let Err(error) = self.adaptive().check() {
            let set = ["adaptive.base_limit", "adaptive.min_limit", "adaptive.max_limit"];
            let origin =
                set.iter().map(|path| whole(path)).find(|origin| *origin != Origin::Default);
            let origin = origin.unwrap_or(Origin::Default);
            problems.push(Problem { origin, what: format!("`adaptive`: {error}"), hint: None });
        }
        for agent in self.agents() {
            let [failures, cool_down] = ["breaker_failures", "breaker_cool_down"]
                .map(|name| format!("agents.{agent}.{name}"));
            if self.get(&cool_down).is_some() && self.get(&failures).is_none() {
                let what = format!("`{cool_down}` is set, and `{failures}` is not");
                let hint = Some("a breaker opens after a number of failures in a row".to_owned());
                problems.push(Problem { origin: whole(&cool_down), what, hint });
            }
        }
    }
}
