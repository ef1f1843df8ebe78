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

/// Appends to `bytes` and stops at the length `end`: a value that is too large costs no more memory than the limit.
struct Bounded<'b> {
    bytes: &'b mut Vec<u8>,
    end: usize,
}

impl Bounded<'_> {
    fn check(&self, more: usize) -> postcard::Result<()> {
        let fits = more <= self.end.saturating_sub(self.bytes.len());
        if fits { Ok(()) } else { Err(postcard::Error::SerializeBufferFull) }
    }
}

impl Flavor for Bounded<'_> {
    type Output = ();

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

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Appends the value in at most `max` bytes; after an error `bytes` is what it was.
pub(super) fn append<T: Serialize + ?Sized>(
    bytes: &mut Vec<u8>,
    max: usize,
    value: &T,
) -> Result<(), EncodeError> {
    let start = bytes.len();
    let bounded = Bounded { end: start.saturating_add(max), bytes };
    postcard::serialize_with_flavor(value, bounded).map_err(|error| {
        bytes.truncate(start);
        match error {
            postcard::Error::SerializeBufferFull => EncodeError::TooLarge,
            other => EncodeError::Unfit(other.to_string()),
        }
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
        let mut bytes = Vec::new();
        append(&mut bytes, 100, &value).expect("small");
        assert_eq!(decode::<(u8, String, Option<Vec<f64>>)>(&bytes), Ok(value));
    }

    #[test]
    fn a_value_is_refused_at_the_limit_and_not_after_it() {
        let mut bytes = vec![7];
        assert_eq!(append(&mut bytes, 10, &vec![1_u8; 10]), Err(EncodeError::TooLarge));
        assert_eq!(bytes, [7], "nothing is left of it");
        assert_eq!(append(&mut bytes, 11, &vec![1_u8; 10]), Ok(()));
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        assert_eq!(decode::<u8>(&[1, 2]), Err("1 bytes are left over".to_owned()));
    }
}
