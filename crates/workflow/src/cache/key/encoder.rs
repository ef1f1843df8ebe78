//! Values as bytes that tell what they are: two values give the same bytes only if they say the same.
//!
//! A format that leaves out what the reader's type knows cannot serve for keys: in it `-1` and `1` of a `serde_json::Value`,
//! the empty text and the empty list, and two structs that each leave out another field, are the same bytes. So each value
//! begins with its tag, fields and variants have their names, and what has parts has an end. Entries of maps are sorted: a
//! `HashMap` has no order of its own.

use std::fmt;

use serde::Serialize;
use serde::ser::{self, Serializer};

/// What a value begins with.
#[derive(Clone, Copy)]
enum Tag {
    End,
    False,
    True,
    Natural,
    Negative,
    Float,
    Char,
    Text,
    Bytes,
    None,
    Some,
    Unit,
    Variant,
    List,
    Struct,
    Map,
}

/// The bytes of a value.
///
/// # Errors
/// What its `Serialize` says.
pub(super) fn encode(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, Refused> {
    let mut bytes = Bytes(Vec::new());
    value.serialize(&mut bytes)?;
    Ok(bytes.0)
}

/// Why a value cannot be serialized.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn tag(&mut self, tag: Tag) {
        self.0.push(tag as u8);
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self, mut number: u128) {
        while number >= 0x80 {
            self.0.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn natural(&mut self, number: u128) -> Result<(), Refused> {
        self.tag(Tag::Natural);
        self.number(number);
        Ok(())
    }

    /// The same number is the same bytes, whatever its type.
    fn integer(&mut self, number: i128) -> Result<(), Refused> {
        match u128::try_from(number) {
            Ok(number) => self.natural(number),
            Err(_) => {
                self.tag(Tag::Negative);
                self.number(number.unsigned_abs());
                Ok(())
            }
        }
    }

    fn long(&mut self, tag: Tag, bytes: &[u8]) {
        self.tag(tag);
        self.number(bytes.len() as u128);
        self.0.extend_from_slice(bytes);
    }

    fn variant(&mut self, name: &str) {
        self.long(Tag::Variant, name.as_bytes());
    }

    fn begin(&mut self, tag: Tag) -> Parts<'_> {
        self.tag(tag);
        Parts(self)
    }
}

impl<'b> Serializer for &'b mut Bytes {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Parts<'b>;
    type SerializeTuple = Parts<'b>;
    type SerializeTupleStruct = Parts<'b>;
    type SerializeTupleVariant = Parts<'b>;
    type SerializeMap = Entries<'b>;
    type SerializeStruct = Parts<'b>;
    type SerializeStructVariant = Parts<'b>;

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_bool(self, value: bool) -> Result<(), Refused> {
        self.tag(if value { Tag::True } else { Tag::False });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result<(), Refused> {
        self.integer(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Refused> {
        self.integer(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Refused> {
        self.integer(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Refused> {
        self.integer(value.into())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Refused> {
        self.integer(value)
    }

    fn serialize_u8(self, value: u8) -> Result<(), Refused> {
        self.natural(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Refused> {
        self.natural(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Refused> {
        self.natural(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Refused> {
        self.natural(value.into())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Refused> {
        self.natural(value)
    }

    fn serialize_f32(self, value: f32) -> Result<(), Refused> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), Refused> {
        self.tag(Tag::Float);
        self.0.extend_from_slice(&value.to_bits().to_le_bytes());
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Refused> {
        self.tag(Tag::Char);
        self.number(u32::from(value).into());
        Ok(())
    }

    fn serialize_str(self, value: &str) -> Result<(), Refused> {
        self.long(Tag::Text, value.as_bytes());
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Refused> {
        self.long(Tag::Bytes, value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Refused> {
        self.tag(Tag::None);
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        self.tag(Tag::Some);
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Refused> {
        self.tag(Tag::Unit);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Refused> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<(), Refused> {
        self.variant(variant);
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.variant(variant);
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'b>, Refused> {
        Ok(self.begin(Tag::List))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'b>, Refused> {
        Ok(self.begin(Tag::List))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'b>, Refused> {
        Ok(self.begin(Tag::List))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'b>, Refused> {
        self.variant(variant);
        Ok(self.begin(Tag::List))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Entries<'b>, Refused> {
        Ok(Entries { to: self, entries: Vec::new() })
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'b>, Refused> {
        Ok(self.begin(Tag::Struct))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'b>, Refused> {
        self.variant(variant);
        Ok(self.begin(Tag::Struct))
    }
}

/// What has parts in an order; none of them begins like an end.
struct Parts<'b>(&'b mut Bytes);

impl Parts<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        value.serialize(&mut *self.0)
    }

    fn field<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), Refused> {
        self.0.long(Tag::Text, name.as_bytes());
        self.part(value)
    }

    fn over(self) -> Result<(), Refused> {
        self.0.tag(Tag::End);
        Ok(())
    }
}

/// One trait for each of serde's words for a list.
macro_rules! list {
    ($($part:ident of $list:ident),+) => {$(
        impl ser::$list for Parts<'_> {
            type Ok = ();
            type Error = Refused;

            fn $part<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
                self.part(value)
            }

            fn end(self) -> Result<(), Refused> {
                self.over()
            }
        }
    )+};
}

list!(
    serialize_element of SerializeSeq,
    serialize_element of SerializeTuple,
    serialize_field of SerializeTupleStruct,
    serialize_field of SerializeTupleVariant
);

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Refused> {
        self.over()
    }
}

impl ser::SerializeStructVariant for Parts<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        self.field(name, value)
    }

    fn end(self) -> Result<(), Refused> {
        self.over()
    }
}

/// A map, whose entries are put in order when all are there.
struct Entries<'b> {
    to: &'b mut Bytes,
    entries: Vec<Vec<u8>>,
}

impl ser::SerializeMap for Entries<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        self.entries.push(encode(key)?);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        let value = encode(value)?;
        self.entries
            .last_mut()
            .ok_or_else(|| Refused("a value without a key".to_owned()))?
            .extend(value);
        Ok(())
    }

    fn end(mut self) -> Result<(), Refused> {
        self.entries.sort_unstable();
        self.to.tag(Tag::Map);
        self.to.0.extend(self.entries.into_iter().flatten());
        self.to.tag(Tag::End);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
