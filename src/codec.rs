//! Bounded reading and writing of the binary wire forms.
//!
//! ```
//! use foremap::codec::{DecodeError, Reader, Writer};
//!
//! let mut writer = Writer::with_header(*b"DEMO", 1);
//! writer.varint(300);
//! writer.str("user/1");
//! let bytes = writer.finish();
//!
//! let mut reader = Reader::with_header(&bytes, *b"DEMO", 1)?;
//! assert_eq!((reader.varint()?, reader.str("name")?), (300, "user/1"));
//! reader.finish()?;
//! let mut cut = Reader::with_header(&bytes[..bytes.len() - 1], *b"DEMO", 1)?;
//! assert_eq!((cut.varint()?, cut.str("name")), (300, Err(DecodeError::Truncated)));
//! # Ok::<(), DecodeError>(())
//! ```
//!
//! Integers are LEB128 varints, byte strings are length-prefixed. The reader
//! trusts nothing: a length is checked against what is left before anything is
//! allocated, so that the cost of decoding arbitrary bytes is a small multiple of their length.

use std::fmt;

/// Largest integer that JavaScript represents exactly: no counter on the wire exceeds it.
pub const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// Why bytes from the network were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside a value.
    Truncated,
    /// Bytes are left over behind the last value.
    Trailing,
    /// The leading magic number is another format's.
    BadMagic,
    /// A format version this build does not read.
    BadVersion(u8),
    /// A value outside its range; names the field.
    BadValue(&'static str),
    /// More elements than the stated limit; names the field.
    TooMany(&'static str),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("the bytes end inside a value"),
            Self::Trailing => f.write_str("bytes are left over behind the last value"),
            Self::BadMagic => f.write_str("not this format: wrong magic number"),
            Self::BadVersion(version) => write!(f, "format version {version} is not supported"),
            Self::BadValue(field) => write!(f, "`{field}` is out of range"),
            Self::TooMany(field) => write!(f, "too many `{field}`"),
        }
    }
}

impl std::error::Error for DecodeError {}

/// Appends values to a byte buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Starts with a four-byte magic number and a version byte.
    pub fn with_header(magic: [u8; 4], version: u8) -> Self {
        let mut writer = Self::default();
        writer.bytes.extend_from_slice(&magic);
        writer.bytes.push(version);
        writer
    }

    /// Starts empty, with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity) }
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// An unsigned LEB128 varint, 1 to 10 bytes.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    /// Eight bytes, little-endian: for hashes, which a varint would lengthen.
    pub fn u64_le(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A length-prefixed byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.varint(value.len() as u64);
        self.bytes.extend_from_slice(value);
    }

    /// Bytes as they are, without a length: values that were written before.
    pub fn raw(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
    }

    /// A length-prefixed UTF-8 string.
    pub fn str(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// `0`, or `1` and what `write` appends.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.u8(0),
            Some(value) => {
                self.u8(1);
                write(self, value);
            }
        }
    }

    /// The number of elements, then each of them.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.varint(items.len() as u64);
        for item in items {
            write(self, item);
        }
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads values off a byte slice.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Checks the magic number and returns the reader behind the version byte.
    ///
    /// # Errors
    /// [`DecodeError::BadMagic`], [`DecodeError::BadVersion`] or [`DecodeError::Truncated`].
    pub fn with_header(bytes: &'a [u8], magic: [u8; 4], version: u8) -> Result<Self, DecodeError> {
        let mut reader = Self::new(bytes);
        if reader.take(4)? != magic {
            return Err(DecodeError::BadMagic);
        }
        match reader.u8()? {
            v if v == version => Ok(reader),
            v => Err(DecodeError::BadVersion(v)),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.take(1)?[0])
    }

    /// An unsigned varint; a form longer than needed is refused, so that a value has one encoding.
    pub fn varint(&mut self) -> Result<u64, DecodeError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::BadValue("varint"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(DecodeError::BadValue("varint")) } else { Ok(value) };
            }
        }
        Err(DecodeError::BadValue("varint"))
    }

    /// A varint of at most `max`.
    pub fn at_most(&mut self, max: u64, field: &'static str) -> Result<u64, DecodeError> {
        let value = self.varint()?;
        if value > max { Err(DecodeError::BadValue(field)) } else { Ok(value) }
    }

    /// A varint that fits 32 bits.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(self.at_most(u64::from(u32::MAX), field)? as u32)
    }

    /// Eight bytes, little-endian.
    pub fn u64_le(&mut self) -> Result<u64, DecodeError> {
        let bytes = self.take(8)?;
        Ok(u64::from_le_bytes(bytes.try_into().map_err(|_| DecodeError::Truncated)?))
    }

    /// A length-prefixed byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| DecodeError::Truncated)?)
    }

    /// So many bytes as they are.
    pub fn raw(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        self.take(length)
    }

    /// A length-prefixed UTF-8 string.
    pub fn str(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::BadValue(field))
    }

    /// Reads what [`Writer::option`] wrote.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeError::BadValue("option")),
        }
    }

    /// Reads what [`Writer::list`] wrote, of at most `max` elements.
    pub fn list<T>(
        &mut self,
        max: usize,
        field: &'static str,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(max, field)?;
        // The count is only a claim: reserve no more bytes than are left to read and
        // let elements that do arrive grow the rest.
        let mut items = Vec::with_capacity(count.min(self.rest.len() / size_of::<T>().max(1)));
        for _ in 0..count {
            items.push(read(self)?);
        }
        Ok(items)
    }

    /// Number of elements of a list that follow, at most `max`.
    pub fn count(&mut self, max: usize, field: &'static str) -> Result<usize, DecodeError> {
        let count = self.varint()?;
        if count > max as u64 { Err(DecodeError::TooMany(field)) } else { Ok(count as usize) }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.rest.len()
    }

    /// Tells whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`DecodeError::Trailing`] where bytes are left.
    pub fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() { Ok(()) } else { Err(DecodeError::Trailing) }
    }
}

/// 64-bit hashes and seeds in JSON: 16 hexadecimal digits, as JavaScript numbers are too short.
pub(crate) mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:016x}"))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        parse(&std::borrow::Cow::<str>::deserialize(deserializer)?)
    }

    fn parse<E: Error>(text: &str) -> Result<u64, E> {
        // `from_str_radix` alone would let a sign and any length pass.
        let exact = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let value = exact.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        value.ok_or_else(|| E::custom("expected 16 hexadecimal digits"))
    }

    /// Two of them.
    pub(crate) mod pair {
        use serde::{Deserialize, Deserializer, Serialize, Serializer};

        pub(crate) fn serialize<S: Serializer>(pair: &[u64; 2], serializer: S) -> Result<S::Ok, S::Error> {
            pair.map(|value| format!("{value:016x}")).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u64; 2], D::Error> {
            let [first, second] = <[String; 2]>::deserialize(deserializer)?;
            Ok([super::parse(&first)?, super::parse(&second)?])
        }
    }
}

/// A difference as a varint takes it, small ones first whatever their sign: 0, -1, 1, -2 and so on are 0, 1, 2, 3.
pub(crate) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Inverse of [`zigzag`].
pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
