//! An input or output on its way.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::task::TaskError;

/// An input or output: the value itself while it stays in its process, JSON once it has left it.
///
/// # Examples
/// ```
/// use tidegate_workflow::executor::Payload;
///
/// let payload = Payload::new(vec![1_u8, 2]);
/// assert_eq!(payload.to_json()?, "[1,2]");
/// assert_eq!(Payload::from_json("[1,2]").take::<Vec<u64>>()?, [1, 2]);
/// # Ok::<(), tidegate_workflow::TaskError>(())
/// ```
pub struct Payload(Form);

type Encode = fn(&(dyn Any + Send)) -> serde_json::Result<String>;

enum Form {
    Value { value: Box<dyn Any + Send>, encode: Encode },
    Json(Box<str>),
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is in it may be secret, and long.
        match &self.0 {
            Form::Value { .. } => f.write_str("Payload(value)"),
            Form::Json(json) => write!(f, "Payload({} bytes of JSON)", json.len()),
        }
    }
}

impl Payload {
    /// A value, which is encoded only if it has to leave the process.
    pub fn new<T: Serialize + Send + 'static>(value: T) -> Self {
        Self(Form::Value { value: Box::new(value), encode: encode::<T> })
    }

    /// A value that was encoded elsewhere.
    pub fn from_json(json: impl Into<Box<str>>) -> Self {
        Self(Form::Json(json.into()))
    }

    /// The value, encoded.
    ///
    /// # Errors
    /// When its type cannot be written as JSON: a map whose keys are no texts, for instance.
    pub fn to_json(&self) -> Result<Cow<'_, str>, TaskError> {
        match &self.0 {
            Form::Json(json) => Ok(Cow::Borrowed(json)),
            Form::Value { value, encode } => encode(&**value)
                .map(Cow::Owned)
                .map_err(|why| TaskError::fatal(format!("a value that cannot be encoded: {why}"))),
        }
    }

    /// The value. One that was put in as a `T` is moved out; any other is read from its encoding.
    ///
    /// # Errors
    /// When it is no encoded `T`.
    pub fn take<T: DeserializeOwned + 'static>(self) -> Result<T, TaskError> {
        let json = match self.0 {
            Form::Json(json) => json,
            Form::Value { value, encode } => match value.downcast::<T>() {
                Ok(value) => return Ok(*value),
                Err(value) => {
                    encode(&*value).map_err(|why| TaskError::fatal(unreadable::<T>(&why)))?.into()
                }
            },
        };
        serde_json::from_str(&json).map_err(|why| TaskError::fatal(unreadable::<T>(&why)))
    }
}

fn encode<T: Serialize + 'static>(value: &(dyn Any + Send)) -> serde_json::Result<String> {
    serde_json::to_string(value.downcast_ref::<T>().expect("it is what was put in"))
}

fn unreadable<T>(why: &serde_json::Error) -> String {
    format!("a value that cannot be read as `{}`: {why}", std::any::type_name::<T>())
}
