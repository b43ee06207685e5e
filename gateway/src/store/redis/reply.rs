//! Answers of Redis, read with suspicion: whatever the bytes, an error and never a panic.

use ::redis::{ServerError, ServerErrorKind, Value};
use foremap::protocol::{Keymap, MAX_VERSION};

use super::options::Address;
use crate::store::record::decode_version;
use crate::store::{StoreError, VersionRecord};

/// Why a request has no answer that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Another master has the slot: nothing was executed here.
    Elsewhere(String),
    /// The slot is on its way to another master. This one does not have the key: that one has it, or nobody.
    Asked { to: Address, why: String },
    /// The slot is on its way, and some of the keys are here and some are not: nothing was executed.
    Moving(String),
    /// The master lacks the functions: nothing was executed.
    NoFunctions,
    /// It was not executed.
    Refused(String),
    /// The connection broke: it may have been executed.
    Dropped(String),
    /// It may have been executed, but what was answered does not count.
    Uncounted(String),
    /// The server says that it cannot be done with what is stored.
    Failed(String),
}

impl Fault {
    /// Error that the caller of a write is told.
    pub(super) fn of_write(self) -> StoreError {
        match self {
            Self::Dropped(why) | Self::Uncounted(why) => StoreError::Unknown(why),
            Self::Failed(why) => StoreError::Unknown(why),
            other => other.of_read(),
        }
    }

    /// Error that the caller of a read is told.
    pub(super) fn of_read(self) -> StoreError {
        match self {
            Self::Elsewhere(why)
            | Self::Asked { why, .. }
            | Self::Moving(why)
            | Self::Refused(why)
            | Self::Dropped(why)
            | Self::Uncounted(why) => StoreError::Unavailable(why),
            Self::NoFunctions => StoreError::Unavailable("the master lacks the function library".into()),
            Self::Failed(why) => StoreError::Corrupt(why),
        }
    }

    /// An error among the answers.
    pub(super) fn of_error(error: &ServerError) -> Self {
        use ServerErrorKind as Kind;
        let why = format!("{} {}", error.code(), error.details().unwrap_or_default());
        let to = || Address::parse(error.details()?.split_whitespace().nth(1)?);
        if error.kind() == Some(Kind::Ask)
            && let Some(to) = to()
        {
            return Self::Asked { to, why };
        }
        match error.kind() {
            Some(Kind::Moved | Kind::ClusterDown | Kind::ReadOnly | Kind::MasterDown) => Self::Elsewhere(why),
            Some(Kind::Ask | Kind::TryAgain) => Self::Moving(why),
            Some(Kind::BusyLoading) => Self::Refused(why),
            // Redis checks these before it executes anything.
            None if ["OOM", "MISCONF", "NOREPLICAS", "BUSY", "NOAUTH"].contains(&error.code()) => Self::Refused(why),
            _ if why.starts_with("ERR Function not found") => Self::NoFunctions,
            _ => Self::Failed(why),
        }
    }

    /// Tells whether it only says that another server is to be asked.
    pub(super) fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Elsewhere(_) | Self::Asked { .. } | Self::Moving(_))
    }

    /// The first error among the answers to one request.
    pub(super) fn among(values: &[Value]) -> Option<Self> {
        values.iter().find_map(|value| match value {
            Value::ServerError(error) => Some(Self::of_error(error)),
            _ => None,
        })
    }
}

/// Damage: an answer that no such command gives to what was stored.
pub(super) fn odd(what: &str) -> StoreError {
    StoreError::Corrupt(format!("{what} is not what it should be"))
}

/// The answers to one request, taken one by one.
pub(super) struct Replies(std::vec::IntoIter<Value>);

impl Replies {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    /// The next one; nil where there is none.
    pub(super) fn next(&mut self) -> Value {
        self.0.next().unwrap_or(Value::Nil)
    }
}

/// A byte string, or nil.
pub(super) fn bytes(value: Value, what: &str) -> Result<Option<Vec<u8>>, StoreError> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(bytes)),
        Value::SimpleString(text) => Ok(Some(text.into_bytes())),
        _ => Err(odd(what)),
    }
}

/// A list.
pub(super) fn items(value: Value, what: &str) -> Result<Vec<Value>, StoreError> {
    match value {
        Value::Array(items) | Value::Set(items) => Ok(items),
        Value::Map(pairs) => Ok(pairs.into_iter().flat_map(|(key, value)| [key, value]).collect()),
        _ => Err(odd(what)),
    }
}

/// An integer up to 2^53 - 1, as such or in decimal digits; 0 for nil.
pub(super) fn number(value: &Value, what: &str) -> Result<u64, StoreError> {
    let found = match value {
        Value::Nil => Some(0),
        Value::Int(number) => u64::try_from(*number).ok(),
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    found.filter(|&number| number <= MAX_VERSION).ok_or_else(|| odd(what))
}

/// A version record: eight bytes of version, then what the stores have in common.
pub(super) fn record(bytes: &[u8]) -> Result<VersionRecord, StoreError> {
    let (version, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| odd("a version record"))?;
    let version = u64::from_be_bytes(*version);
    if version == 0 || version > MAX_VERSION {
        return Err(odd("a version"));
    }
    let mut record = decode_version(version, rest)?;
    if let Some(keymap) = &mut record.keymap {
        keymap.version = version;
    }
    Ok(record)
}

/// The newest record of a key: its version, 0 for none, and the keymap if that is not a marker.
pub(super) fn head(value: Value) -> Result<(u64, Option<Keymap>), StoreError> {
    match bytes(value, "a version record")? {
        None => Ok((0, None)),
        Some(bytes) => record(&bytes).map(|record| (record.version, record.keymap)),
    }
}

/// The records of a list.
pub(super) fn records(value: Value) -> Result<Vec<VersionRecord>, StoreError> {
    let one = |value| record(&bytes(value, "a version record")?.ok_or_else(|| odd("a version record"))?);
    items(value, "the versions of a key")?.into_iter().map(one).collect()
}

/// The value of `name` in the text of an INFO.
pub(super) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.trim())
}

/// Names and values, which RESP2 tells as a flat list.
pub(super) fn pairs(value: Value) -> Result<Vec<(Vec<u8>, Value)>, StoreError> {
    let mut list = items(value, "a list of names and values")?.into_iter();
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (list.next(), list.next()) {
        pairs.push((bytes(name, "a name")?.unwrap_or_default(), value));
    }
    Ok(pairs)
}

/// The answer to TIME, in microseconds since 1970.
pub(super) fn time(value: Value) -> Result<u64, StoreError> {
    let parts = items(value, "the time")?;
    let [seconds, micros] = parts.as_slice() else { return Err(odd("the time")) };
    let seconds = number(seconds, "the time")?.checked_mul(1_000_000).ok_or_else(|| odd("the time"))?;
    seconds.checked_add(number(micros, "the time")?).ok_or_else(|| odd("the time"))
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
