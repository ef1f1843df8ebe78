//! Defaults, files, environment, code: read in this order, judged by one schema.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::problem::{Origin, Problem, Problems};
use super::schema::{
    KEYS, Key, OTHER_PATHS, VARIABLES, Value, WRAPPERS, fits, is_secret, yes_or_no,
};
use super::tree::{self, Format, LONGEST, Node, Place, Raw};
use super::{Configuration, Settings};

/// What the variables of our own begin with.
const PREFIX: &str = "TIDEGATE_";

/// Where settings come from, the most important last: files, then the environment, then code.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Layers {
    texts: Vec<Text>,
    environment: Option<Environment>,
    set: Vec<(String, Value)>,
}

#[derive(Debug, Clone)]
enum Text {
    File { path: PathBuf, must_be_there: bool },
    Given { name: String, format: Format, text: String },
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

    /// A setting by its path, such as `agents.coding.max_concurrent_tasks`.
    pub fn set(mut self, path: impl Into<String>, value: impl Into<Value>) -> Self {
        let path = path.into();
        self.set.retain(|(other, _)| *other != path);
        self.set.push((path, value.into()));
        self
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// With everything that is wrong: files that cannot be read, settings that are not known, values that do not fit.
    pub fn load(self) -> Result<Configuration, Problems> {
        let mut reader = Reader { settings: defaults(), problems: Vec::new() };
        for text in &self.texts {
            reader.text(text);
        }
        if let Some(environment) = &self.environment {
            reader.environment(environment);
        }
        for (path, value) in &self.set {
            reader.code(path, value);
        }
        let Reader { settings, mut problems } = reader;
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

struct Reader {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader {
    fn problem(&mut self, origin: Origin, what: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { origin, what: what.into(), hint });
    }

    fn text(&mut self, text: &Text) {
        let (name, format, text) = match text {
            Text::Given { name, format, text } => (name.clone(), *format, text.clone()),
            Text::File { path, must_be_there } => {
                let name = path.display().to_string();
                let origin = Origin::File { name: name.clone(), line: 1, column: 1 };
                let Some(format) = Format::of(path) else {
                    let hint = "settings are read from `.yaml`, `.yml`, `.json` and `.toml`";
                    return self.problem(
                        origin,
                        "the name does not tell the format",
                        Some(hint.to_owned()),
                    );
                };
                match read(path) {
                    Ok(text) => (name, format, text),
                    Err(error) if error.kind() == io::ErrorKind::NotFound && !must_be_there => {
                        return;
                    }
                    Err(error) => {
                        return self.problem(origin, format!("cannot be read: {error}"), None);
                    }
                }
            }
        };
        let origin = |place: Place| Origin::File {
            name: name.clone(),
            line: place.line,
            column: place.column,
        };
        match tree::parse(&text, format) {
            Err(error) => self.problem(origin(error.place), error.what, None),
            Ok(Node { value: Raw::Map(entries), .. }) => {
                for (key, place, node) in &entries {
                    match &node.value {
                        Raw::Map(inner) if WRAPPERS.contains(&key.as_str()) => {
                            self.map(&[], inner, &origin);
                        }
                        _ => self.entry(&[], key, *place, node, &origin),
                    }
                }
            }
            Ok(node) => {
                let what = format!("the settings are {}", node.value.kind());
                let hint = "they are a mapping such as `max_concurrent_tasks: 10`";
                self.problem(origin(node.place), what, Some(hint.to_owned()));
            }
        }
    }

    fn map(
        &mut self,
        path: &[&str],
        entries: &[(String, Place, Node)],
        origin: &dyn Fn(Place) -> Origin,
    ) {
        for (key, place, node) in entries {
            self.entry(path, key, *place, node, origin);
        }
    }

    fn entry(
        &mut self,
        path: &[&str],
        key: &str,
        place: Place,
        node: &Node,
        origin: &dyn Fn(Place) -> Origin,
    ) {
        let path: Vec<&str> = path.iter().copied().chain([key]).collect();
        match known(&path) {
            Known::Setting => self.assign(&path.join("."), &node.value, origin(node.place)),
            Known::Section => match &node.value {
                Raw::Map(entries) => self.map(&path, entries, origin),
                Raw::Null => {}
                other => {
                    let what = format!("`{}` is {}", path.join("."), other.kind());
                    let hint = format!("it is a mapping of {}", list(&siblings(&path)));
                    self.problem(origin(node.place), what, Some(hint));
                }
            },
            Known::Not => {
                let hint = near(&path);
                let what = format!("there is no setting `{}`", path.join("."));
                self.problem(origin(place), what, hint);
            }
        }
    }

    fn environment(&mut self, environment: &Environment) {
        let mut variables: Vec<(String, String)> = match environment {
            Environment::Given(variables) => variables.clone(),
            // Settings are no secrets, and all of them are text.
            Environment::Ours => std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .collect(),
        };
        variables.sort_unstable();
        for (name, path) in VARIABLES {
            if let Some((_, value)) = variables.iter().find(|(variable, _)| variable == name) {
                self.assign(path, &Raw::Text(value.clone()), Origin::Variable((*name).to_owned()));
            }
        }
        for (name, value) in &variables {
            let origin = Origin::Variable(name.clone());
            let Some(rest) = name.strip_prefix(PREFIX) else {
                self.mistyped(name, origin);
                continue;
            };
            let lower = rest.to_lowercase();
            let path: Vec<&str> = lower.split("__").collect();
            match known(&path) {
                Known::Setting => {
                    let path = self.named(&path);
                    self.assign(&path, &Raw::Text(value.clone()), origin);
                }
                // Variables of others may begin like ours.
                Known::Section => {}
                Known::Not => {
                    let hint = near(&path);
                    if path.len() > 1 && known(&path[..1]) == Known::Section || hint.is_some() {
                        let what = format!("there is no setting `{}`", path.join("."));
                        self.problem(origin, what, hint);
                    }
                }
            }
        }
    }

    /// A variable of another design that is nearly one that we know.
    fn mistyped(&mut self, name: &str, origin: Origin) {
        let ours = ["ORCHESTRATION_", "ADVANCED_ORCHESTRATION_", "AGENT_MAX_"];
        let is_known = VARIABLES.iter().any(|(known, _)| *known == name);
        if is_known || !ours.iter().any(|prefix| name.starts_with(prefix)) {
            return;
        }
        if let Some(nearest) = nearest(name, VARIABLES.iter().map(|(known, _)| *known)) {
            let hint = format!("did you mean `{nearest}`?");
            self.problem(origin, "there is no setting of this name", Some(hint));
        }
    }

    /// A path of the environment, whose names have lost their case: that of a name in a file is given back.
    fn named(&self, path: &[&str]) -> String {
        let plain = |name: &str| -> String {
            let letters = name.to_lowercase();
            letters.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect()
        };
        let joined = path.join(".");
        let same = self.settings.keys().find(|known| plain(known) == plain(&joined));
        let agent = self.settings.keys().find_map(|known| {
            let name = known.strip_prefix("agents.")?.rsplit_once('.')?.0;
            (path.len() == 3 && plain(name) == plain(path[1])).then_some(name)
        });
        match (same, agent) {
            (Some(same), _) => same.clone(),
            (None, Some(agent)) if path[0] == "agents" => format!("agents.{agent}.{}", path[2]),
            _ => joined,
        }
    }

    fn code(&mut self, path: &str, value: &Value) {
        let raw = match value {
            Value::Off => Raw::Null,
            Value::Bool(is_true) => Raw::Bool(*is_true),
            Value::Count(count) => Raw::Int((*count).into()),
            Value::Number(number) => Raw::Float(*number),
            Value::Time(time) => Raw::Float(time.as_secs_f64()),
            Value::Text(text) => Raw::Text(text.clone()),
        };
        self.assign(path, &raw, Origin::Code);
    }

    /// Takes the value in, under our own name of the setting.
    fn assign(&mut self, written: &str, raw: &Raw, origin: Origin) {
        let (path, is_negated) = translated(written);
        let Some(key) = Key::find(&path) else {
            let hint = near(&written.split('.').collect::<Vec<_>>());
            return self.problem(origin, format!("there is no setting `{written}`"), hint);
        };
        let turned = match (raw, is_negated) {
            (Raw::Bool(is_true), true) => Raw::Bool(!is_true),
            (Raw::Text(text), true) => {
                yes_or_no(text).map_or_else(|| raw.clone(), |is| Raw::Bool(!is))
            }
            _ => raw.clone(),
        };
        match key.read(&turned) {
            Ok(value) => self.settings.entry(path).or_default().push((value, origin)),
            Err(wanted) => {
                let what = format!("`{written}` is {}", shown(written, raw));
                self.problem(origin, what, Some(format!("it must be {wanted}")));
            }
        }
    }
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(io::Error::other(format!("it is longer than {LONGEST} bytes")));
    }
    Ok(text)
}

/// A value as an error shows it; one that may be a secret is not.
fn shown(path: &str, raw: &Raw) -> String {
    match raw {
        _ if is_secret(path) => "no such value (it is not shown)".to_owned(),
        Raw::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Raw::Int(int) => int.to_string(),
        Raw::Float(float) => float.to_string(),
        Raw::Bool(is_true) => is_true.to_string(),
        Raw::Null | Raw::List | Raw::Map(_) => raw.kind().to_owned(),
    }
}

/// Our own path for one of another design, and whether it says the contrary.
fn translated(path: &str) -> (String, bool) {
    let Some((form, to)) = OTHER_PATHS.iter().find(|(form, _)| fits(form, path)) else {
        return (path.to_owned(), false);
    };
    let name = form
        .split_once('*')
        .and_then(|(before, after)| path.strip_prefix(before)?.strip_suffix(after));
    let to_plain = to.trim_start_matches('!');
    (to_plain.replace('*', name.unwrap_or_default()), to_plain.len() < to.len())
}

#[derive(Debug, PartialEq, Eq)]
enum Known {
    Setting,
    Section,
    Not,
}

fn forms() -> impl Iterator<Item = &'static str> {
    KEYS.iter().map(|key| key.path).chain(OTHER_PATHS.iter().map(|(form, _)| *form))
}

/// Whether the parts of a form are these, as far as they go; and how many it has.
fn begins(form: &str, path: &[&str]) -> bool {
    let mut parts = form.split('.');
    path.iter().all(|part| parts.next().is_some_and(|of| of == "*" || of == *part))
}

fn known(path: &[&str]) -> Known {
    let mut known = Known::Not;
    for form in forms().filter(|form| begins(form, path)) {
        if form.split('.').count() == path.len() {
            return Known::Setting;
        }
        known = Known::Section;
    }
    known
}

/// What may stand at the end of this path, of our own names.
fn siblings(path: &[&str]) -> Vec<&'static str> {
    let parts = KEYS.iter().map(|key| key.path).filter(|form| begins(form, path));
    let mut names: Vec<&str> = parts.filter_map(|form| form.split('.').nth(path.len())).collect();
    names.dedup();
    names
}

fn list(names: &[&str]) -> String {
    match names {
        ["*"] => "names".to_owned(),
        names => format!("`{}`", names.join("`, `")),
    }
}

/// What may have been meant.
fn near(path: &[&str]) -> Option<String> {
    let (last, before) = path.split_last()?;
    let all = forms().filter(|form| begins(form, before));
    let here = all.filter_map(|form| form.split('.').nth(before.len())).filter(|name| *name != "*");
    if let Some(name) = nearest(last, here) {
        let whole: Vec<&str> = before.iter().copied().chain([name]).collect();
        return Some(format!("did you mean `{}`?", whole.join(".")));
    }
    let elsewhere = KEYS.iter().find(|key| key.path.rsplit('.').next() == Some(*last))?;
    Some(format!("it stands at `{}`", elsewhere.path.replace('*', "NAME")))
}

/// The known name nearest to this one, when it is near enough to be a slip of the finger.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let reach = (name.chars().count() / 4).clamp(1, 4);
    known
        .map(|candidate| (strsim::damerau_levenshtein(&name, &candidate.to_lowercase()), candidate))
        .filter(|(distance, _)| *distance <= reach)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
