//! One label set, rendered and escaped once, and compared in that form.

use crate::hash::short;

/// The label set of one series as it stands in the output: `method="GET",path="/"` and what ends it.
#[derive(Debug)]
pub(crate) struct Labels {
    /// With the tail, so that a line is two copies and a number.
    rendered: Box<[u8]>,
    tail: u8,
    /// The lengths of the values, if no value has an escape and they fit.
    lengths: Lengths,
}

/// The lengths of up to eight values, each a byte. Of label sets with the same names and lengths, each value stands at
/// the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lengths(u64);

impl Lengths {
    /// There are too many values, or one is too long.
    const NONE: Self = Self(u64::MAX);

    #[inline(always)]
    fn of(values: &[&str]) -> Self {
        if values.len() > 8 || values.iter().any(|value| value.len() >= 255) {
            return Self::NONE;
        }
        Self(values.iter().fold(0, |sum, value| (sum << 8) | value.len() as u64))
    }
}

impl Labels {
    /// `tail` is what stands between the last label and the value.
    pub(crate) fn new(names: &[String], values: &[&str], tail: &str) -> Self {
        let mut rendered = Vec::new();
        for (i, (name, value)) in names.iter().zip(values).enumerate() {
            if i > 0 {
                rendered.push(b',');
            }
            write_label(&mut rendered, name, value);
        }
        rendered.extend_from_slice(tail.as_bytes());
        let plain = !values.iter().any(|value| value.bytes().any(|c| escape(c).is_some()));
        let lengths = if plain { Lengths::of(values) } else { Lengths::NONE };
        Self { rendered: rendered.into(), tail: tail.len() as u8, lengths }
    }

    /// The labels and the tail.
    #[inline]
    pub(crate) fn with_tail(&self) -> &[u8] {
        &self.rendered
    }

    /// The labels alone.
    #[inline]
    pub(crate) fn inner(&self) -> &[u8] {
        &self.rendered[..self.rendered.len() - usize::from(self.tail)]
    }

    /// Whether these are the labels with the given values: exact, no hash decides.
    #[inline(always)]
    pub(crate) fn are(&self, names: &[String], values: &[&str]) -> bool {
        if self.lengths == Lengths::NONE {
            return self.are_escaped(names, values);
        }
        if self.lengths != Lengths::of(values) {
            return false;
        }
        let mut at = 0;
        for (name, value) in names.iter().zip(values) {
            // `name="value",`
            let from = at + name.len() + 2;
            let to = from + value.len();
            if !self.rendered.get(from..to).is_some_and(|found| same(found, value.as_bytes())) {
                return false;
            }
            at = to + 2;
        }
        true
    }

    #[cold]
    fn are_escaped(&self, names: &[String], values: &[&str]) -> bool {
        let mut rest = self.inner();
        for (i, (name, value)) in names.iter().zip(values).enumerate() {
            // `,name="`
            let skip = usize::from(i > 0) + name.len() + 2;
            let Some((before, at_value)) = rest.split_at_checked(skip) else { return false };
            match strip_escaped(at_value, value) {
                Some([b'"', after @ ..]) if before.last() == Some(&b'"') => rest = after,
                _ => return false,
            }
        }
        // The last value ended with the quote that ends the set.
        true
    }

    /// The values, unescaped.
    pub(crate) fn values(&self, names: &[String]) -> Vec<String> {
        let mut rest = self.inner();
        let mut values = Vec::with_capacity(names.len());
        for (i, name) in names.iter().enumerate() {
            rest = &rest[usize::from(i > 0) + name.len() + 2..];
            let mut value = Vec::new();
            loop {
                match rest {
                    [b'\\', c, after @ ..] => {
                        value.push(if *c == b'n' { b'\n' } else { *c });
                        rest = after;
                    }
                    [b'"', after @ ..] => break rest = after,
                    [c, after @ ..] => {
                        value.push(*c);
                        rest = after;
                    }
                    [] => unreachable!("each value ends with a quote"),
                }
            }
            values.push(String::from_utf8(value).expect("escaping keeps UTF-8 whole"));
        }
        values
    }
}

/// Appends `name="value"`, escaped.
pub(crate) fn write_label(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"=\"");
    write_escaped(out, value);
    out.push(b'"');
}

/// Appends a label value, escaped.
pub(crate) fn write_escaped(out: &mut Vec<u8>, value: &str) {
    for c in value.bytes() {
        match escape(c) {
            Some(letter) => out.extend_from_slice(&[b'\\', letter]),
            None => out.push(c),
        }
    }
}

/// Whether two texts of one length are the same; words at a time, which beats a call for values as short as labels are.
#[inline]
fn same(a: &[u8], b: &[u8]) -> bool {
    // The last words may overlap those before.
    if let (Some(end), Some(tail)) = (a.last_chunk::<16>(), b.last_chunk()) {
        end == tail && a.first_chunk::<16>() == b.first_chunk() && (a.len() <= 32 || a == b)
    } else if let (Some(end), Some(tail)) = (a.last_chunk::<8>(), b.last_chunk()) {
        end == tail && a.first_chunk::<8>() == b.first_chunk()
    } else {
        short(a) == short(b)
    }
}

/// What follows the escaped form of `value`, if `text` begins with it.
fn strip_escaped<'t>(mut text: &'t [u8], value: &str) -> Option<&'t [u8]> {
    for c in value.bytes() {
        text = match (escape(c), text) {
            (Some(letter), [b'\\', l, rest @ ..]) if *l == letter => rest,
            (None, [t, rest @ ..]) if *t == c => rest,
            _ => return None,
        };
    }
    Some(text)
}

/// The letter that follows the backslash.
fn escape(c: u8) -> Option<u8> {
    match c {
        b'\\' => Some(b'\\'),
        b'"' => Some(b'"'),
        b'\n' => Some(b'n'),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
