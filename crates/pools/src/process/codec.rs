//! serde values to bytes and back (postcard), bounded while they are written.

use postcard::ser_flavors::Flavor;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a value did not become bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EncodeError {
    TooLarge,
    Unfit(String),
}

/// Appends to `bytes` and stops at `max` bytes in all: a value that is too large costs no more memory than the limit.
struct Bounded {
    bytes: Vec<u8>,
    max: usize,
}

impl Bounded {
    fn check(&self, more: usize) -> postcard::Result<()> {
        let fits = more <= self.max.saturating_sub(self.bytes.len());
        if fits { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

impl Flavor for Bounded {
    type Output = Vec<u8>;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.check(data.len())?;
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.check(1)?;
        self.bytes.push(byte);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Vec<u8>> {
        Ok(self.bytes)
    }
}

/// `bytes`, with the value appended; at most `max` bytes in all.
pub(super) fn append<T: Serialize + ?Sized>(
    bytes: Vec<u8>,
    max: usize,
    value: &T,
) -> Result<Vec<u8>, EncodeError> {
    postcard::serialize_with_flavor(value, Bounded { bytes, max }).map_err(|error| match error {
        postcard::Error::SerializeBufferFull => EncodeError::TooLarge,
        other => EncodeError::Unfit(other.to_string()),
    })
}

/// The value that all of `bytes` stand for.
pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::{EncodeError, append, decode};

    #[test]
    fn a_value_comes_back() {
        let value = (7_u8, String::from("seven"), Some(vec![1.5_f64]));
        let bytes = append(Vec::new(), 100, &value).expect("small");
        assert_eq!(decode::<(u8, String, Option<Vec<f64>>)>(&bytes), Ok(value));
    }

    #[test]
    fn a_value_is_refused_at_the_limit_and_not_after_it() {
        assert_eq!(append(Vec::new(), 10, &vec![1_u8; 10]), Err(EncodeError::TooLarge));
        assert!(append(Vec::new(), 11, &vec![1_u8; 10]).is_ok());
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        assert_eq!(decode::<u8>(&[1, 2]), Err("1 bytes are left over".to_owned()));
    }
}
