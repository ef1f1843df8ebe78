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

/// Encodes outputs of one type: in [postcard](https://postcard.jamesmunns.com), or in JSON if postcard could not read them back.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct Codec {
    pub(crate) encode: fn(&(dyn Any + Send + Sync)) -> Result<Vec<u8>, String>,
    pub(crate) decode: fn(&[u8]) -> Result<Output, String>,
}

/// The first byte of what is encoded.
const POSTCARD: u8 = 0;
const JSON: u8 = 1;

impl fmt::Debug for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Codec")
    }
}

/// What is encoded is read once: a type whose encoding says too little, as that of an untagged enum, is found out now and
/// not when the output is needed.
fn encode<T: Serialize + DeserializeOwned + 'static>(
    output: &(dyn Any + Send + Sync),
) -> Result<Vec<u8>, String> {
    let output: &T = output.downcast_ref().ok_or("it is of another type")?;
    let bytes = to_bytes(output);
    if let Ok(bytes) = bytes
        && from_bytes::<T>(&bytes).is_ok()
    {
        return Ok(bytes);
    }
    let bytes = to_json(output)?;
    match from_bytes::<T>(&bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("what is written of it cannot be read back: {error}")),
    }
}

/// The user's `Deserialize` may panic, wherever this is called.
fn decode<T: DeserializeOwned + Send + Sync + 'static>(bytes: &[u8]) -> Result<Output, String> {
    match catch_unwind(|| from_bytes::<T>(bytes)) {
        Ok(Ok(output)) => Ok(Arc::new(output)),
        Ok(Err(error)) => Err(format!("it is no `{}`: {error}", type_name::<T>())),
        Err(panic) => Err(format!("reading it {}", panicked(panic).message())),
    }
}

/// A value in postcard; JSON, which postcard could not read back, as its text.
pub(crate) fn to_bytes<T: Serialize + 'static>(value: &T) -> Result<Vec<u8>, String> {
    if TypeId::of::<T>() == TypeId::of::<Value>() {
        return to_json(value);
    }
    postcard::to_extend(value, vec![POSTCARD]).map_err(|error| error.to_string())
}

fn to_json<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = vec![JSON];
    serde_json::to_writer(&mut bytes, value).map_err(|error| error.to_string())?;
    Ok(bytes)
}

pub(crate) fn from_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match bytes {
        [POSTCARD, bytes @ ..] => match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err("more was written than it holds".to_owned()),
            Err(error) => Err(error.to_string()),
        },
        [JSON, bytes @ ..] => serde_json::from_slice(bytes).map_err(|error| error.to_string()),
        _ => Err("nothing of it was written".to_owned()),
    }
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
