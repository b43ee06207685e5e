//! Components of a key: where they are, and the numbers and dates in them.

use super::packing::DIGITS;
use crate::key::MAX_COMPONENTS;

/// A key's text, split at `/`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts<'a> {
    text: &'a [u8],
    ends: [u16; MAX_COMPONENTS],
    len: u8,
}

impl<'a> Parts<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        let (mut ends, mut len) = ([0; MAX_COMPONENTS], 0);
        let mut mark = |at: usize| {
            if len < MAX_COMPONENTS - 1 {
                ends[len] = at as u16;
                len += 1;
            }
        };
        // Eight bytes at a time: most hold no `/`.
        let (words, rest) = text.as_chunks::<8>();
        for (n, word) in words.iter().enumerate() {
            let mut found = slashes(u64::from_le_bytes(*word));
            while found != 0 {
                mark(n * 8 + found.trailing_zeros() as usize / 8);
                found &= found - 1;
            }
        }
        for (n, _) in rest.iter().enumerate().filter(|&(_, &b)| b == b'/') {
            mark(words.len() * 8 + n);
        }
        ends[len] = text.len() as u16;
        Self { text, ends, len: len as u8 + 1 }
    }

    pub(super) fn len(&self) -> usize {
        self.len.into()
    }

    pub(super) fn get(&self, at: usize) -> Option<&'a [u8]> {
        if at >= self.len() {
            return None;
        }
        let start = if at == 0 { 0 } else { usize::from(self.ends[at - 1]) + 1 };
        self.text.get(start..self.ends[at].into())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &'a [u8]> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

/// The upper bit of each byte that is a `/`, without carries from one byte to the next (Lamport, 1975).
fn slashes(word: u64) -> u64 {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let other = word ^ 0x2f2f_2f2f_2f2f_2f2f;
    !(((other & LOW) + LOW) | other | LOW)
}

/// Unit in which a component counts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// The last run of digits.
    Number,
    /// `2026-11`.
    Month,
    /// `2026-11-22`.
    Day,
    /// `2026-11-22T10`.
    Hour,
    /// `2026-11-22T10:30`.
    Minute,
}

/// A place on a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) scale: Scale,
    pub(super) value: i64,
    /// Byte range of the digits; the whole component for a date.
    pub(super) digits: (usize, usize),
    /// True where the digits begin with a zero that pads them, and for a date.
    pub(super) padded: bool,
}

/// Longest run of digits that is taken as a number: what fits an `i64` whatever the digits.
const MAX_DIGITS: usize = 18;

/// The date or number in a component.
pub(super) fn read(component: &[u8]) -> Option<Reading> {
    if let Some((scale, value)) = date(component) {
        return Some(Reading { scale, value, digits: (0, component.len()), padded: true });
    }
    let end = component.iter().rposition(u8::is_ascii_digit)? + 1;
    let (mut start, mut value, mut unit) = (end, 0, 1);
    while start > 0 && component[start - 1].is_ascii_digit() {
        if end - start == MAX_DIGITS {
            return None;
        }
        start -= 1;
        value += i64::from(component[start] - b'0') * unit;
        unit = unit.wrapping_mul(10);
    }
    // The digits of an escape are no number.
    if component[start.saturating_sub(2)..start].contains(&b'%') {
        return None;
    }
    let padded = end - start > 1 && component[start] == b'0';
    Some(Reading { scale: Scale::Number, value, digits: (start, end), padded })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |value, b| b.is_ascii_digit().then(|| value * 10 + i64::from(b - b'0')))
}

fn date(text: &[u8]) -> Option<(Scale, i64)> {
    let mark = |at: usize, mark: u8| text.get(at) == Some(&mark);
    let two = |at: usize| text.get(at..at + 2).and_then(digits);
    if !mark(4, b'-') || text.len() > 16 {
        return None;
    }
    let (year, month) = (text.get(..4).and_then(digits)?, two(5)?);
    if !(1..=12).contains(&month) {
        return None;
    }
    if text.len() == 7 {
        return Some((Scale::Month, year * 12 + month - 1));
    }
    let day = two(8)?;
    let days = days_from_civil(year, month, day);
    if !mark(7, b'-') || civil_from_days(days) != (year, month, day) {
        return None;
    }
    if text.len() == 10 {
        return Some((Scale::Day, days));
    }
    let hour = two(11).filter(|hour| *hour < 24)?;
    if !mark(10, b'T') {
        return None;
    }
    if text.len() == 13 {
        return Some((Scale::Hour, days * 24 + hour));
    }
    let minute = two(14).filter(|minute| *minute < 60)?;
    (mark(13, b':') && text.len() == 16).then_some((Scale::Minute, (days * 24 + hour) * 60 + minute))
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (Hinnant, "chrono-compatible low-level date algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let years = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * years + years / 4 - years / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (years + era * 400 + i64::from(month <= 2), month, of_year - (153 * shifted + 2) / 5 + 1)
}

/// Appends `value`, which is not negative, with at least `width` digits.
fn push_digits(out: &mut Vec<u8>, value: i64, width: usize) {
    let (mut text, mut at) = ([b'0'; 20], 20);
    let mut push = |pair: u32| {
        at -= 2;
        text[at..at + 2].copy_from_slice(&DIGITS[pair as usize]);
    };
    let mut rest = value.unsigned_abs();
    while rest > u32::MAX.into() {
        push((rest % 100) as u32);
        rest /= 100;
    }
    // Most numbers are short, and short ones are divided in a third of the time.
    let mut rest = rest as u32;
    while rest >= 10 {
        push(rest % 100);
        rest /= 100;
    }
    if rest > 0 || at == 20 {
        at -= 1;
        text[at] = b'0' + rest as u8;
    }
    out.extend_from_slice(&text[at.min(20 - width.min(20))..]);
}

/// Appends `component`, read as `reading`, moved by `step` on its scale; `pad` keeps the number of digits. Returns `false`, with
/// `out` in an undefined state, where the result would leave the scale.
pub(super) fn push_moved(out: &mut Vec<u8>, component: &[u8], reading: &Reading, step: i64, pad: bool) -> bool {
    let Some(value) = reading.value.checked_add(step) else { return false };
    if reading.scale == Scale::Number {
        if !(0..1_000_000_000_000_000_000).contains(&value) {
            return false;
        }
        let (start, end) = reading.digits;
        out.extend_from_slice(&component[..start]);
        push_digits(out, value, if pad { end - start } else { 1 });
        out.extend_from_slice(&component[end..]);
        return true;
    }
    push_date(out, reading.scale, value)
}

fn push_date(out: &mut Vec<u8>, scale: Scale, value: i64) -> bool {
    let (days, minutes) = match scale {
        Scale::Number | Scale::Month => (days_from_civil(value.div_euclid(12), value.rem_euclid(12) + 1, 1), 0),
        Scale::Day => (value, 0),
        Scale::Hour => (value.div_euclid(24), value.rem_euclid(24) * 60),
        Scale::Minute => (value.div_euclid(1_440), value.rem_euclid(1_440)),
    };
    let (year, month, day) = civil_from_days(days);
    if !(0..=9_999).contains(&year) {
        return false;
    }
    push_digits(out, year, 4);
    let mut push = |mark: u8, value: i64| {
        out.push(mark);
        push_digits(out, value, 2);
    };
    push(b'-', month);
    if scale != Scale::Month {
        push(b'-', day);
    }
    if matches!(scale, Scale::Hour | Scale::Minute) {
        push(b'T', minutes / 60);
    }
    if scale == Scale::Minute {
        push(b':', minutes % 60);
    }
    true
}

#[cfg(test)]
#[path = "components_tests.rs"]
mod tests;
