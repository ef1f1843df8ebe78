//! Durations as people write them: `500ms`, `30s`, `1h30m`.

use std::time::Duration;

/// Longest duration that is accepted: a year. Above it, deadlines overflow clocks.
const MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Reads a duration: numbers, each with its unit (`ms`, `s`, `m`, `h`, `d`), the larger unit first.
///
/// # Errors
///
/// What is wrong, as a fragment.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let bad = || format!("`{text}` is not a duration");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    let mut previous = f64::INFINITY;
    if rest.is_empty() {
        return Err("the duration is empty".to_owned());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| bad())?;
        let tail = tail.trim_start();
        let letters = tail.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let seconds = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            "" => return Err(format!("`{text}` has no unit")),
            _ => return Err(format!("`{unit}` is not a unit of time")),
        };
        if seconds >= previous {
            return Err(bad());
        }
        previous = seconds;
        total = Duration::try_from_secs_f64(number * seconds)
            .ok()
            .and_then(|part| total.checked_add(part))
            .filter(|&total| total <= MAX)
            .ok_or_else(|| format!("`{text}` is more than a year"))?;
        rest = tail.trim_start();
    }
    Ok(total)
}
