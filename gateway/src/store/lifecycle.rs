//! [`Lifecycle`]: what stays from the opening of a store to its end.

use tokio::sync::mpsc;

use super::{StoreError, StoreFuture};

/// Guarantee for a write that was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Promise {
    /// It is on the disk of every server that may answer for it.
    Durable,
    /// Every server that may answer for it has it, and its disk has it within two seconds. It is lost where one of them
    /// crashes before that and answers again before another took its place.
    Replicated,
}

impl Promise {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Durable => "durable",
            Self::Replicated => "replicated",
        }
    }
}

/// The frames of a backup, in order. It is whole if it ends with its last frame, and not with an error or before.
pub type Backup = mpsc::Receiver<Result<Vec<u8>, StoreError>>;

/// Reason that there is no backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoBackup {
    /// Another one is being made.
    Busy,
    /// The store is backed up by other means.
    Elsewhere,
}

/// Counts of what was found in a store file or a backup, where nothing is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checked {
    /// Keys with a keymap; 0 where they were not counted.
    pub keys: u64,
    /// Versions.
    pub versions: u64,
    /// Entries of change logs.
    pub log_entries: u64,
}

/// Properties of a store that stay, its backup, and its end.
pub trait Lifecycle: Send + Sync + 'static {
    /// Tells whether other processes may use the store at the same time.
    fn is_shared(&self) -> bool;

    /// Guarantee for a write that was acknowledged. A file is written to disk first.
    fn promise(&self) -> Promise {
        Promise::Durable
    }

    /// Begins a backup of the store as it is at this moment, while it goes on. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`NoBackup::Busy`] while another one is being made, [`NoBackup::Elsewhere`] where that is not for this process.
    fn backup(&self) -> Result<Backup, NoBackup> {
        Err(NoBackup::Elsewhere)
    }

    /// Ends the store: writes under way are finished, later ones are refused. A second time does nothing.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] where a write under way may not have been finished.
    fn close(&self) -> StoreFuture<'_, ()>;
}
