//! Numbers as text: the shortest that reads back to the same value.

use std::io::Write as _;

/// Appends a whole number.
#[inline]
pub(crate) fn write_u64(out: &mut Vec<u8>, value: u64) {
    let mut digits = [0_u8; 20];
    let at = digits_of(value, &mut digits);
    out.extend_from_slice(&digits[at..]);
}

/// Appends a whole number and the end of the line.
#[inline]
pub(crate) fn write_u64_line(out: &mut Vec<u8>, value: u64) {
    let mut line = [b'\n'; 21];
    let digits: &mut [u8; 20] = line.first_chunk_mut().expect("21 is more than 20");
    let at = digits_of(value, digits);
    out.extend_from_slice(&line[at..]);
}

/// Appends a float: whole numbers without a point, others as short as they can be, extremes with an exponent.
pub(crate) fn write_f64(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else if value == 0.0 && value.is_sign_negative() {
        // Python reads `-0` as a whole number, which has no sign.
        out.extend_from_slice(b"-0.0");
    } else if value.fract() == 0.0 && value.abs() < 1e15 {
        if value < 0.0 {
            out.push(b'-');
        }
        write_u64(out, value.abs() as u64);
    } else {
        let plain = (1e-5..1e16).contains(&value.abs());
        let written = if plain { write!(out, "{value}") } else { write!(out, "{value:e}") };
        written.expect("a vector takes every write");
    }
}

/// A bucket bound as OpenMetrics writes it (`0.1`, `1.0`, `1e+06`), in both formats, so that a series keeps its name
/// when a server changes the format it asks for.
pub(crate) fn bound(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("the format has an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..6).contains(&exponent) {
        let plain = format!("{value}");
        if plain.contains('.') { plain } else { plain + ".0" }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{mantissa}e{sign}{:02}", exponent.abs())
    }
}

/// Writes the digits at the end of `digits`; returns where they begin.
#[inline]
fn digits_of(mut value: u64, digits: &mut [u8; 20]) -> usize {
    const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
        2021222324252627282930313233343536373839\
        4041424344454647484950515253545556575859\
        6061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899";
    let mut at = 20;
    while value >= 100 {
        let pair = (value % 100) as usize * 2;
        value /= 100;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    }
    if value >= 10 {
        let pair = value as usize * 2;
        at -= 2;
        digits[at..at + 2].copy_from_slice(&PAIRS[pair..pair + 2]);
    } else {
        at -= 1;
        digits[at] = b'0' + value as u8;
    }
    at
}
