//! Canonical text of one component.

use std::fmt;

/// Why a key or prefix was refused. All of these are the error code `BAD_KEY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyError {
    /// The key, or one of its components, is empty.
    Empty,
    /// A component is `.` or `..`, which URL parsers rewrite.
    DotComponent,
    /// More than [`MAX_COMPONENTS`](crate::key::MAX_COMPONENTS) components.
    TooManyComponents,
    /// More than [`MAX_KEY_BYTES`](crate::key::MAX_KEY_BYTES) canonical bytes.
    TooLong,
    /// A `%` that is not followed by two hexadecimal digits.
    BadEscape,
    /// The decoded bytes are not UTF-8 (this includes encoded surrogates).
    NotUtf8,
}

impl KeyError {
    /// The reason in words, for error messages.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Empty => "a key has one to sixteen components and none may be empty",
            Self::DotComponent => "a component must not be `.` or `..`",
            Self::TooManyComponents => "a key has at most 16 components",
            Self::TooLong => "a key has at most 1,024 bytes in canonical form",
            Self::BadEscape => "`%` must be followed by two hexadecimal digits",
            Self::NotUtf8 => "a key must be valid UTF-8",
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for KeyError {}

/// Decodes every `%XX` of `text`. Lower-case digits are accepted.
pub(super) fn decode(text: &str) -> Result<Vec<u8>, KeyError> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let pair = bytes.get(at + 1..at + 3).ok_or(KeyError::BadEscape)?;
            out.push(hex(pair[0])? << 4 | hex(pair[1])?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Ok(out)
}

fn hex(digit: u8) -> Result<u8, KeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(KeyError::BadEscape),
    }
}

/// Appends the canonical form of the raw component `raw` to `out`.
pub(super) fn encode_into(raw: &str, out: &mut String) -> Result<(), KeyError> {
    match raw {
        "" => return Err(KeyError::Empty),
        "." | ".." => return Err(KeyError::DotComponent),
        _ => {}
    }
    for c in raw.chars() {
        if needs_escape(c) {
            const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
            let byte = c as u8;
            out.push('%');
            out.push(DIGITS[usize::from(byte >> 4)] as char);
            out.push(DIGITS[usize::from(byte & 15)] as char);
        } else {
            out.push(c);
        }
    }
    Ok(())
}

/// Only what would be ambiguous (`/`, `%`) or unprintable is escaped, so that a
/// key has exactly one canonical text and stays readable.
pub(super) fn needs_escape(c: char) -> bool {
    matches!(c, '/' | '%' | '\u{0}'..='\u{1f}' | '\u{7f}')
}
