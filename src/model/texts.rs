//! Texts of keys, each after what it shares with the one before.

use crate::codec::{DecodeError, Reader, Writer};
use crate::key::MAX_KEY_BYTES;

/// Writes `text` after `before`. Whole characters are shared: two may begin with the same byte.
pub(super) fn put(w: &mut Writer, before: &str, text: &str) {
    let alike = before.chars().zip(text.chars()).take_while(|(a, b)| a == b);
    let shared: usize = alike.map(|(a, _)| a.len_utf8()).sum();
    w.varint(shared as u64);
    w.str(text.get(shared..).unwrap_or_default());
}

/// Makes the text that [`put`] wrote of the one before.
pub(super) fn take(r: &mut Reader<'_>, text: &mut String) -> Result<(), DecodeError> {
    let shared = r.at_most(MAX_KEY_BYTES as u64, "key")? as usize;
    if !text.is_char_boundary(shared) {
        return Err(DecodeError::BadValue("key"));
    }
    text.truncate(shared);
    text.push_str(r.str("key")?);
    Ok(())
}
