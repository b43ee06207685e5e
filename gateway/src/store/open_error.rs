//! [`OpenError`].

use std::fmt;

/// Why a store cannot be opened, in words that follow its name in one line.
#[derive(Debug)]
pub enum OpenError {
    /// Another process has the file open.
    Locked,
    /// It is not a store, or not an intact one.
    Damaged(String),
    /// The file cannot be created, read or written.
    Io(std::io::Error),
    /// No server of it answers as it should.
    Unreachable(String),
    /// A part of it is missing at the moment: says which.
    Incomplete(String),
    /// It would not keep what it promises the way it is set up: says what to change.
    Unfit(String),
}

impl OpenError {
    /// Tells whether it may be opened later, with nothing changed here.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Incomplete(_))
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("is in use by another process"),
            Self::Damaged(why) => write!(f, "is damaged or not a store: {why}"),
            Self::Io(error) => write!(f, "cannot be opened for writing: {error}"),
            Self::Unreachable(why) => write!(f, "cannot be reached: {why}"),
            Self::Incomplete(why) => write!(f, "is not complete: {why}"),
            Self::Unfit(why) => write!(f, "is not set up as it must be: {why}"),
        }
    }
}

impl std::error::Error for OpenError {}
