//! Templates: `{{ … }}` and `{% … %}` over inputs, items and the outputs of upstream tasks.

use std::collections::BTreeSet;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, ObjectRepr, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use crate::shell::{self, CLOSE, LIST, NEXT, OPEN};

/// Names that templates know at the top.
pub(crate) const ROOTS: &[&str] = &["env", "index", "inputs", "item", "run", "tasks", "workflow"];
/// What `tasks.ID` offers.
pub(crate) const TASK_FIELDS: &[&str] =
    &["json", "lines", "output", "outputs", "stderr_file", "stdout_file", "stdout_files"];
/// What `run` offers.
pub(crate) const RUN_FIELDS: &[&str] = &["dir", "id"];
/// What `workflow` offers.
pub(crate) const WORKFLOW_FIELDS: &[&str] = &["dir", "file", "name"];

/// Work that one template may do; a loop over a hundred thousand lines fits, an endless one ends.
const FUEL: u64 = 50_000_000;

/// The template engine, set up once for plain texts and once for shell scripts.
#[derive(Debug)]
pub(crate) struct Templates {
    plain: Environment<'static>,
    script: Environment<'static>,
}

/// A template that does not parse, or a value that cannot be computed.
#[derive(Clone, Debug)]
pub(crate) struct TemplateError {
    pub(crate) message: String,
    /// Byte offset in the template, when known.
    pub(crate) offset: Option<usize>,
}

impl From<&Error> for TemplateError {
    fn from(error: &Error) -> Self {
        let mut message = match error.detail() {
            Some(detail) => detail.to_owned(),
            None => error.kind().to_string(),
        };
        if error.kind() == ErrorKind::UndefinedError && error.detail().is_none() {
            let expression = error.range().and_then(|range| error.template_source()?.get(range));
            message = match expression {
                Some(expression) => format!("`{}` is undefined", expression.trim()),
                None => "a value is undefined".to_owned(),
            };
        }
        let mut source = std::error::Error::source(error);
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self { message, offset: error.range().map(|range| range.start) }
    }
}

impl Templates {
    /// The engine with our filters and without those that would undo quoting.
    pub(crate) fn new() -> Self {
        let mut plain = Environment::new();
        let syntax = SyntaxConfig::builder()
            // `{#` would swallow the shell's `${#name}`.
            .comment_delimiters("{%#", "#%}")
            .keep_trailing_newline(true)
            .build()
            .expect("the delimiters differ from each other");
        plain.set_syntax(syntax);
        plain.set_undefined_behavior(UndefinedBehavior::Strict);
        plain.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        plain.remove_filter("safe");
        plain.remove_filter("escape");
        plain.remove_filter("e");
        plain.add_filter("tojson", to_json);
        plain.add_filter("raw", |text: String| Value::from_object(Raw(text)));
        plain.set_fuel(Some(FUEL));
        // Errors then say which part of the template they mean.
        plain.set_debug(true);
        plain
            .set_formatter(|out, _, value| out.write_str(&plain_text(value)?).map_err(Error::from));
        let mut script = plain.clone();
        script.set_formatter(|out, _, value| out.write_str(&marked(value)?).map_err(Error::from));
        Self { plain, script }
    }

    /// Checks the syntax of a text and names the variables that it reads, as `tasks.list.lines`.
    ///
    /// # Errors
    ///
    /// A syntax error.
    pub(crate) fn variables(&self, source: &str) -> Result<BTreeSet<String>, TemplateError> {
        let template =
            self.plain.template_from_named_str("", source).map_err(|e| TemplateError::from(&e))?;
        let mut names: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
        // Subscripts by a constant (`tasks['a-b'].output`) are not tracked by the engine.
        names.extend(subscripts(source));
        Ok(names)
    }

    /// Whether the whole of `source` is one `{{ expression }}`; gives the expression.
    pub(crate) fn expression(source: &str) -> Option<&str> {
        let inner = source.trim().strip_prefix("{{")?.strip_suffix("}}")?;
        (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim())
    }

    /// Renders a text as it is, without quoting.
    ///
    /// # Errors
    ///
    /// A value that is undefined or cannot be computed.
    pub(crate) fn render(&self, source: &str, context: &Value) -> Result<String, TemplateError> {
        if !source.contains("{{") && !source.contains("{%") {
            return Ok(source.to_owned());
        }
        self.plain.render_str(source, context.clone()).map_err(|e| TemplateError::from(&e))
    }

    /// Renders a shell script: each value is quoted for the place where it stands.
    ///
    /// # Errors
    ///
    /// A value that is undefined, cannot be computed, or stands where it cannot be quoted.
    pub(crate) fn script(&self, source: &str, context: &Value) -> Result<String, TemplateError> {
        let rendered =
            self.script.render_str(source, context.clone()).map_err(|e| TemplateError::from(&e))?;
        shell::script(&rendered).map_err(|refused| TemplateError {
            message: format!("{}; {}", refused.why, refused.hint),
            offset: None,
        })
    }

    /// The value of an expression.
    ///
    /// # Errors
    ///
    /// A value that is undefined or cannot be computed.
    pub(crate) fn eval(&self, expression: &str, context: &Value) -> Result<Value, TemplateError> {
        self.plain
            .compile_expression_owned(expression.to_owned())
            .and_then(|expression| expression.eval(context.clone()))
            .map_err(|e| TemplateError::from(&e))
    }
}

/// `tasks['id']` and `tasks["id"]`, as `tasks.id`.
fn subscripts(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (from, _) in source.match_indices("tasks[") {
        let inner = source[from + "tasks[".len()..].trim_start();
        let Some(quote @ ('\'' | '"')) = inner.chars().next() else { continue };
        if let Some(end) = inner[1..].find(quote) {
            found.insert(format!("tasks.{}", &inner[1..=end]));
        }
    }
    found
}

/// Text that the user declared to be shell code.
#[derive(Debug)]
struct Raw(String);

impl Object for Raw {
    fn repr(self: &std::sync::Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &std::sync::Arc<Self>, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn to_json(value: &Value) -> Result<String, Error> {
    serde_json::to_string(value)
        .map_err(|e| Error::new(ErrorKind::BadSerialization, "not a JSON value").with_source(e))
}

fn marked(value: &Value) -> Result<String, Error> {
    if let Some(raw) = value.downcast_object_ref::<Raw>() {
        return Ok(shell::unmarked(&raw.0));
    }
    if let ValueKind::Seq | ValueKind::Iterable = value.kind() {
        let mut words = Vec::new();
        for element in value.try_iter()? {
            words.push(shell::unmarked(&plain_text(&element)?));
        }
        return Ok(format!("{OPEN}{LIST}{}{CLOSE}", words.join(&NEXT.to_string())));
    }
    Ok(format!("{OPEN}{}{CLOSE}", shell::unmarked(&plain_text(value)?)))
}

fn plain_text(value: &Value) -> Result<String, Error> {
    match value.kind() {
        // Undefined variables never come here, the engine refuses them: this is an `if` without `else`.
        ValueKind::Undefined | ValueKind::None => Ok(String::new()),
        ValueKind::Map | ValueKind::Seq | ValueKind::Iterable => to_json(value),
        ValueKind::Bytes => Err(Error::new(ErrorKind::InvalidOperation, "bytes are not a text")),
        ValueKind::Invalid => Err(Error::new(ErrorKind::InvalidOperation, value.to_string())),
        _ => Ok(value.to_string()),
    }
}

#[cfg(test)]
mod tests;
