//! Texts and variables on their way to settings: every name and value is judged here.

use std::io::Read as _;
use std::path::Path;
use std::{fs, io};

use super::names::{Known, Meaning, known, list, near, siblings, translated};
use super::{Environment, Text};
use crate::config::Settings;
use crate::config::problem::{Origin, Problem};
use crate::config::schema::{Key, VARIABLES, Value, WRAPPERS, yes_or_no};
use crate::config::secret::is_hidden;
use crate::config::tree::{self, Format, LONGEST, Node, Place, Raw};
use crate::nearest::nearest;

/// What the variables of our own begin with.
const PREFIX: &str = "TIDEGATE_";

/// Takes in one layer after another.
pub(super) struct Reader {
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader {
    pub(super) fn new(defaults: Settings) -> Self {
        Self { settings: defaults, problems: Vec::new() }
    }

    /// Every value, and everything that is wrong.
    pub(super) fn end(self) -> (Settings, Vec<Problem>) {
        (self.settings, self.problems)
    }

    fn problem(&mut self, origin: Origin, what: impl Into<String>, hint: Option<String>) {
        self.problems.push(Problem { origin, what: what.into(), hint });
    }

    pub(super) fn text(&mut self, text: &Text) {
        let (name, format, text) = match text {
            Text::Read(values) => {
                let values = values.iter();
                return values.for_each(|(path, value, of)| self.value(path, value, of.clone()));
            }
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

    pub(super) fn environment(&mut self, environment: &Environment) {
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

    /// A value that is one already.
    pub(super) fn value(&mut self, path: &str, value: &Value, origin: Origin) {
        let raw = match value {
            Value::Off => Raw::Null,
            Value::Bool(is_true) => Raw::Bool(*is_true),
            Value::Count(count) => Raw::Int((*count).into()),
            Value::Number(number) => Raw::Float(*number),
            Value::Time(time) => Raw::Float(time.as_secs_f64()),
            Value::Text(text) => Raw::Text(text.clone()),
        };
        self.assign(path, &raw, origin);
    }

    /// Takes the value in, under our own name of the setting.
    fn assign(&mut self, written: &str, raw: &Raw, origin: Origin) {
        let (path, meaning) = translated(written);
        let Some(key) = Key::find(&path) else {
            let hint = near(&written.split('.').collect::<Vec<_>>());
            return self.problem(origin, format!("there is no setting `{written}`"), hint);
        };
        let turned = match (raw, meaning) {
            (Raw::Int(count), Meaning::OneMore) => Raw::Int(count.saturating_add(1)),
            (Raw::Bool(is_true), Meaning::Contrary) => Raw::Bool(!is_true),
            (Raw::Text(text), Meaning::Contrary) => {
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
        _ if is_hidden(path) => "no such value (it is not shown)".to_owned(),
        Raw::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Raw::Int(int) => int.to_string(),
        Raw::Float(float) => float.to_string(),
        Raw::Bool(is_true) => is_true.to_string(),
        Raw::Null | Raw::List | Raw::Map(_) => raw.kind().to_owned(),
    }
}
