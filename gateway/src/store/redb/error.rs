//! Errors of redb, in the words of a store.

use crate::store::{OpenError, StoreError};

/// Before the commit nothing has happened yet, so a failure is never an unknown outcome.
pub(super) fn failed(error: impl Into<::redb::Error>) -> StoreError {
    match error.into() {
        ::redb::Error::Corrupted(why) => StoreError::Corrupt(why),
        ::redb::Error::Io(error) if error.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Corrupt(error.to_string())
        }
        other => StoreError::Unavailable(other.to_string()),
    }
}

pub(super) fn open_error(error: impl Into<::redb::Error>) -> OpenError {
    use std::io::ErrorKind;
    match error.into() {
        ::redb::Error::DatabaseAlreadyOpen => OpenError::Locked,
        // redb reports a wrong magic number or a file cut short as one of these.
        ::redb::Error::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            OpenError::Damaged(error.to_string())
        }
        ::redb::Error::Io(error) => OpenError::Io(error),
        other => OpenError::Damaged(other.to_string()),
    }
}
