//! Why an operation of a store failed.

use std::fmt;

use foremap::protocol::ErrorCode;

/// Why a store operation failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreError {
    /// It did not happen and may be retried.
    Unavailable(String),
    /// A write may or may not have happened; retry it with the same write id.
    Unknown(String),
    /// Stored data cannot be read back.
    Corrupt(String),
    /// The shard has had the last version that there is.
    UsedUp,
    /// It asks for more than the store takes, however often it is retried.
    TooLarge(String),
}

impl StoreError {
    /// The code that callers see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Unavailable(_) => ErrorCode::Unavailable,
            Self::Unknown(_) => ErrorCode::Unknown,
            Self::Corrupt(_) | Self::UsedUp => ErrorCode::Internal,
            Self::TooLarge(_) => ErrorCode::BodyTooLarge,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(why) => write!(f, "the store cannot answer: {why}"),
            Self::Unknown(why) => write!(f, "the outcome of the write is not known: {why}"),
            Self::Corrupt(why) => write!(f, "the store holds damaged data: {why}"),
            Self::UsedUp => {
                f.write_str("the shard has had the last version that there is, 2^53 - 1: it takes no more writes")
            }
            Self::TooLarge(why) => write!(f, "the store does not take this: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}
