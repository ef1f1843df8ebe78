//! What finished tasks wrote, as templates see it: `tasks.list.lines`.
//!
//! Outputs stay in their files; a template reads them when it asks, up to a bound, so that a task that writes a gigabyte
//! costs nothing until somebody wants it as a value, and then an error instead of the memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Object, Serde, Value};
use minijinja::{Error, ErrorKind};

/// Largest output that a template may take when the workflow says nothing, in bytes.
pub(crate) const CAPTURE: u64 = 8 << 20;

/// The outputs of the tasks that finished well.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    tasks: Mutex<BTreeMap<String, Arc<Output>>>,
}

impl Outputs {
    /// Keeps the output of a task.
    pub(crate) fn insert(&self, output: Output) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.insert(output.id.clone(), Arc::new(output));
    }

    /// The `tasks` of templates: those of `needs` that finished well.
    pub(crate) fn visible<'a>(&self, needs: impl Iterator<Item = &'a str>) -> Value {
        let tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        let visible: BTreeMap<String, Value> = needs
            .filter_map(|id| Some((id, tasks.get(id)?)))
            .flat_map(|(id, output)| {
                let value = Value::from_dyn_object(Arc::clone(output));
                [(id.to_owned(), value.clone()), (id.replace('-', "_"), value)]
            })
            .collect();
        Value::from(visible)
    }
}

/// Where one command wrote.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) stdout: PathBuf,
    pub(crate) stderr: PathBuf,
}

/// The output of one task: of its command, or of all its items in order.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) id: String,
    pub(crate) files: Vec<Files>,
    /// Whether the task ran over a list.
    pub(crate) many: bool,
    /// Largest output that a template may take, in bytes.
    pub(crate) capture: u64,
}

impl Output {
    fn field(&self, name: &str) -> Result<Option<Value>, Error> {
        let path = |path: &Path| Value::from(path.display().to_string());
        let one = |name: &str| {
            self.files.first().filter(|_| !self.many).ok_or_else(|| {
                let message = format!("task `{}` ran over a list and has no one `{name}`", self.id);
                Error::new(ErrorKind::InvalidOperation, message)
            })
        };
        Ok(Some(match name {
            "output" => self.texts()?.join("\n").into(),
            "outputs" => self.texts()?.into_iter().collect(),
            "lines" => {
                let texts = self.texts()?;
                texts.iter().flat_map(|text| text.lines()).collect()
            }
            "json" => {
                let texts = self.texts()?;
                let values = texts.iter().map(|text| self.json(text));
                let mut values = values.collect::<Result<Vec<Value>, Error>>()?;
                if self.many { Value::from(values) } else { values.pop().unwrap_or_default() }
            }
            "stdout_file" => path(&one(name)?.stdout),
            "stderr_file" => path(&one(name)?.stderr),
            "stdout_files" => self.files.iter().map(|files| path(&files.stdout)).collect(),
            _ => return Ok(None),
        }))
    }

    fn json(&self, text: &str) -> Result<Value, Error> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            let message = format!("the output of task `{}` is not JSON", self.id);
            Error::new(ErrorKind::CannotDeserialize, message).with_source(error)
        })?;
        Ok(Value::from(Serde(value)))
    }

    /// The texts of all files, each without its trailing newlines, as `$(…)` of a shell would give them.
    fn texts(&self) -> Result<Vec<String>, Error> {
        let mut left = self.capture;
        self.files
            .iter()
            .map(|files| {
                let text = self.read(&files.stdout, left)?;
                left -= text.len() as u64;
                Ok(text.trim_end_matches(['\n', '\r']).to_owned())
            })
            .collect()
    }

    fn read(&self, path: &Path, left: u64) -> Result<String, Error> {
        let fail = |message: String| Error::new(ErrorKind::InvalidOperation, message);
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(left + 1).read_to_end(&mut bytes))
            .map_err(|error| fail(format!("cannot read {}: {error}", path.display())))?;
        if bytes.len() as u64 > left {
            return Err(fail(format!(
                "the output of task `{}` is larger than the {} KiB that a template may take; \
                 use `stdout_file`, or raise `limits.capture`",
                self.id,
                self.capture >> 10
            )));
        }
        String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            fail(format!("the output of task `{}` is not UTF-8 (byte {at})", self.id))
        })
    }
}

impl Object for Output {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.field(key.as_str()?).unwrap_or_else(|error| Some(Value::from(error)))
    }
}

#[cfg(test)]
mod tests;
