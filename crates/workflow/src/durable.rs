//! What makes a graph's outputs last: how a value of a type is encoded, and the proof that it can be.

use std::any::{Any, TypeId, type_name};
use std::fmt;
use std::panic::catch_unwind;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::task::{Output, panicked};

/// Marks graphs and tasks whose outputs stay in memory: they may be of any type.
#[derive(Debug, Clone, Copy)]
pub enum Volatile {}

/// Marks graphs and tasks whose outputs can be kept in a [`journal`](crate::journal): they are `Serialize` and
/// `DeserializeOwned`.
#[derive(Debug, Clone, Copy)]
pub enum Durable {}

/// Whether tasks of this mark may return a `T`. Nobody else can implement it.
#[diagnostic::on_unimplemented(
    message = "a durable task cannot return a `{T}`",
    label = "not `Serialize` and `DeserializeOwned`",
    note = "derive both, return something smaller, or use a graph made by `Graph::new`"
)]
pub trait Keeps<T>: sealed::Mark {
    /// How a `T` is encoded, if it is kept.
    #[doc(hidden)]
    fn codec() -> Option<Codec>;
}

mod sealed {
    pub trait Mark: 'static {}
    impl Mark for super::Volatile {}
    impl Mark for super::Durable {}
}

impl<T: Send + Sync + 'static> Keeps<T> for Volatile {
    fn codec() -> Option<Codec> {
        None
    }
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Keeps<T> for Durable {
    fn codec() -> Option<Codec> {
        Some(Codec { encode: encode::<T>, decode: decode::<T> })
    }
}

/// Encodes outputs of one type in [postcard](https://postcard.jamesmunns.com).
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Codec {
    pub(crate) encode: fn(&(dyn Any + Send + Sync)) -> Result<Vec<u8>, postcard::Error>,
    pub(crate) decode: fn(&[u8]) -> Result<Output, String>,
}

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// What is encoded is read once: a type whose encoding says too little, as that of an untagged enum, is found out now and
/// not when the output is needed.
fn encode<T: Serialize + DeserializeOwned + 'static>(
    output: &(dyn Any + Send + Sync),
) -> Result<Vec<u8>, postcard::Error> {
    let output: &T = output.downcast_ref().ok_or(postcard::Error::SerdeSerCustom)?;
    let bytes = to_bytes(output)?;
    from_bytes::<T>(&bytes)?;
    Ok(bytes)
}

/// The user's `Deserialize` may panic, wherever this is called.
fn decode<T: DeserializeOwned + Send + Sync + 'static>(bytes: &[u8]) -> Result<Output, String> {
    match catch_unwind(|| from_bytes::<T>(bytes)) {
        Ok(Ok(output)) => Ok(Arc::new(output)),
        Ok(Err(error)) => Err(format!("it is no `{}`: {error}", type_name::<T>())),
        Err(panic) => Err(format!("reading it {}", panicked(panic).message())),
    }
}

/// Why a value cannot be kept, for people.
pub(crate) fn unfit(error: &postcard::Error) -> String {
    match error {
        postcard::Error::WontImplement => {
            "its type has to be asked what it is, as an untagged enum, or a \
            `serde_json::Value` within another type; return a `Value` itself, or the text of it"
                .to_owned()
        }
        error => error.to_string(),
    }
}

/// A value in postcard; JSON, which postcard could not read back, as its text.
pub(crate) fn to_bytes<T: Serialize + 'static>(value: &T) -> Result<Vec<u8>, postcard::Error> {
    match (value as &dyn Any).downcast_ref::<Value>() {
        Some(json) => serde_json::to_vec(json).map_err(|_| postcard::Error::SerdeSerCustom),
        None => postcard::to_stdvec(value),
    }
}

pub(crate) fn from_bytes<T: DeserializeOwned + 'static>(
    bytes: &[u8],
) -> Result<T, postcard::Error> {
    if TypeId::of::<T>() != TypeId::of::<Value>() {
        // What is left over was written by another type.
        return match postcard::take_from_bytes(bytes)? {
            (value, []) => Ok(value),
            _ => Err(postcard::Error::DeserializeBadEncoding),
        };
    }
    let mut json: Option<Value> = serde_json::from_slice(bytes).ok();
    let json = (&mut json as &mut dyn Any).downcast_mut::<Option<T>>().and_then(Option::take);
    json.ok_or(postcard::Error::SerdeDeCustom)
}

/// A number that stays the same in every process and version, for [`Task::version`](crate::Task::version): FNV-1a of 64 bits
/// (Fowler, Noll and Vo). Good for telling changes, not against forgers.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u64 {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |byte: u8| sum = (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    for part in parts {
        part.iter().copied().for_each(&mut take);
        // No byte of a text: `ab`, `c` is not `a`, `bc`.
        take(0xff);
    }
    sum
}
