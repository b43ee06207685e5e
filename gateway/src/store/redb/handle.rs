//! [`Handle`]: the open file, and how it is opened again.
//!
//! After any error of the disk redb refuses everything until it is opened anew, and what it holds in memory may not be
//! what is on the disk. So the file is opened again, at once, for reads; whether it can be written again is the writer's
//! to find out.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ::redb::backends::FileBackend;
use ::redb::{
    BackendError, Builder, Database, DatabaseError, ReadTransaction, ReadableDatabase as _, ReadableTable as _,
    StorageBackend, StorageError,
};
use foremap::partition::StorageLayout;
use parking_lot::{Mutex, MutexGuard, RwLock};

use super::error::{failed, open_error};
use super::options::{Disk, RedbOptions};
use super::pages::{FileKind, Pages};
use super::tables::{CURRENT, LOG, MEMBERS, META, META_FORMAT, SHARDS, VERSIONS};
use crate::store::record::{decode_format, encode_format};
use crate::store::{OpenError, StoreError, Trouble};

/// Shortest time between two attempts to open a file that does not open.
const PAUSE: Duration = Duration::from_millis(200);

/// State of the file.
#[derive(Debug, Default)]
pub(super) struct FileHealth {
    /// Why nothing can be written, and since when.
    pub(super) broken: Option<(String, Instant)>,
    /// Writes that failed or were refused as the disk does.
    pub(super) failed_writes: u64,
    /// Times that the file was opened again.
    pub(super) reopened: u64,
    /// True while a thread asks for probes.
    pub(super) is_probing: bool,
    /// Time that it took to open it the last time.
    pub(super) took: Duration,
    /// Damage of the file, as it was last read.
    pub(super) damage: Option<String>,
}

/// The open file. Another one takes its place after an error.
pub(super) struct Handle {
    path: PathBuf,
    options: RedbOptions,
    /// With the number of times that it was opened.
    database: RwLock<(u64, Option<Database>)>,
    tried: Mutex<Option<Instant>>,
    health: Mutex<FileHealth>,
}

/// Why a transaction did not begin.
pub(super) enum NotBegun {
    /// The file is not open.
    Shut,
    /// It is, as the n-th time, and has an error.
    Failed(u64, ::redb::Error),
}

impl Handle {
    /// Opens the file at `path`, or creates it.
    pub(super) fn open(path: &Path, options: &RedbOptions) -> Result<(Self, StorageLayout), OpenError> {
        let (database, layout) = open_file(path, options, options.check)?;
        let handle = Self {
            path: path.to_owned(),
            options: options.clone(),
            database: RwLock::new((1, Some(database))),
            tried: Mutex::default(),
            health: Mutex::default(),
        };
        Ok((handle, layout))
    }

    pub(super) fn health(&self) -> MutexGuard<'_, FileHealth> {
        self.health.lock()
    }

    /// Begins a transaction with `begin`, and says in which opening of the file.
    pub(super) fn begin<T, E: Into<::redb::Error>>(
        &self,
        begin: impl FnOnce(&Database) -> Result<T, E>,
    ) -> Result<(u64, T), NotBegun> {
        let open = self.database.read();
        let Some(database) = &open.1 else { return Err(NotBegun::Shut) };
        begin(database).map(|txn| (open.0, txn)).map_err(|error| NotBegun::Failed(open.0, error.into()))
    }

    /// Runs `read` on a snapshot. Where the file had to be opened again, once more. Blocks on the disk.
    pub(super) fn read<T>(&self, read: impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = self.read_once(&read);
        match outcome {
            Err((opening, StoreError::Unavailable(_))) if self.reopen(opening) => {
                self.read_once(&read).map_err(|(_, error)| error)
            }
            Err((opening, error @ StoreError::Corrupt(_))) => {
                self.damaged(&error);
                // What is damaged stays so; everything else can be read again.
                self.reopen(opening);
                Err(error)
            }
            Err((_, error)) => Err(error),
            Ok(value) => Ok(value),
        }
    }

    fn read_once<T>(&self, read: &impl Fn(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, (u64, StoreError)> {
        // redb asserts on some kinds of damage that no checksum covers.
        let opening = self.opening();
        let outcome = catch_unwind(AssertUnwindSafe(|| match self.begin(Database::begin_read) {
            Ok((_, txn)) => read(&txn),
            Err(NotBegun::Failed(_, error)) => Err(failed(error)),
            Err(NotBegun::Shut) => Err(StoreError::Unavailable("the file is being opened again".into())),
        }));
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Corrupt("its structure is inconsistent".into())));
        outcome.map_err(|error| (opening, error))
    }

    pub(super) fn opening(&self) -> u64 {
        self.database.read().0
    }

    /// Opens the file again, unless somebody has since it was opened for the `opening`-th time. Says whether it is open.
    pub(super) fn reopen(&self, opening: u64) -> bool {
        let mut tried = self.tried.lock();
        {
            let mut open = self.database.write();
            if open.0 != opening {
                return open.1.is_some();
            }
            if open.1.is_none() && tried.is_some_and(|at| at.elapsed() < PAUSE) {
                return false;
            }
            // Closed first: it holds the lock on the file. What still reads it is told so.
            open.1 = None;
        }
        let begun = Instant::now();
        let opened = open_file(&self.path, &self.options, false);
        *tried = Some(Instant::now());
        self.health().took = begun.elapsed();
        let mut open = self.database.write();
        match opened {
            Ok((database, _)) => {
                *open = (opening + 1, Some(database));
                self.health().reopened += 1;
                true
            }
            Err(error) => {
                let mut health = self.health();
                if health.broken.is_none() {
                    tracing::error!("the store {} {error}", self.path.display());
                    health.broken = Some((format!("the file {error}"), Instant::now()));
                }
                false
            }
        }
    }

    /// Notes damage, once in the log.
    pub(super) fn damaged(&self, error: &StoreError) {
        let mut health = self.health();
        if health.damage.is_none() {
            tracing::error!("the store {}: {error}; see what `foremap-gateway check` says", self.path.display());
        }
        health.damage = Some(error.to_string());
    }

    /// Ends it.
    pub(super) fn shut(&self) {
        self.database.write().1 = None;
    }

    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let health = self.health();
        let what = self.path.display().to_string();
        let broken = health.broken.as_ref().map(|(why, since)| {
            let (seconds, failed) = (since.elapsed().as_secs(), health.failed_writes);
            let why = format!(
                "nothing can be written since {seconds} s, {failed} writes failed: {why}; it goes on by itself"
            );
            Trouble { what: what.clone(), why, is_whole: true }
        });
        let damage = health.damage.as_ref().map(|why| {
            let why = format!("{why}; see what `foremap-gateway check` says, and restore a backup");
            Trouble { what: what.clone(), why, is_whole: false }
        });
        broken.into_iter().chain(damage).collect()
    }
}

/// Opens the file for whoever owns it alone, or creates it.
fn file(path: &Path) -> Result<(File, FileKind), OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let opened = options.open(path);
    let is_missing = opened.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
    if is_missing {
        options.create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        return Ok((options.open(path).map_err(OpenError::Io)?, FileKind::Summed));
    }
    let mut file = opened.map_err(OpenError::Io)?;
    let mut head = Vec::new();
    (&mut file).take(16).read_to_end(&mut head).map_err(OpenError::Io)?;
    Ok((file, FileKind::of(&head)))
}

fn backend(file: File, disk: &Disk) -> Result<Box<dyn StorageBackend>, OpenError> {
    Ok(disk(FileBackend::new(file).map_err(|error: DatabaseError| open_error(error))?))
}

/// A backend of any kind, as redb takes one.
#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.query_lock_range(start, end)
    }
}

fn open_file(path: &Path, options: &RedbOptions, check: bool) -> Result<(Database, StorageLayout), OpenError> {
    // redb asserts on some kinds of damage that no checksum covers.
    let opened = catch_unwind(AssertUnwindSafe(|| open_database(path, options, check)));
    opened.map_err(|_| OpenError::Damaged("its structure is inconsistent".into()))?
}

fn open_database(path: &Path, options: &RedbOptions, check: bool) -> Result<(Database, StorageLayout), OpenError> {
    let mut builder = Builder::new();
    builder.set_cache_size(options.cache_bytes).set_check_integrity_on_open(check);
    let (opened, kind) = file(path)?;
    let database = match kind {
        FileKind::Empty => return Err(OpenError::Damaged("it is empty: if nothing was ever stored, remove it".into())),
        FileKind::Other => return Err(OpenError::Damaged("it begins with something else".into())),
        FileKind::Plain => {
            tracing::warn!(
                "the store {} is from before blocks had checksums: backed up and restored it has them",
                path.display()
            );
            builder.create_with_backend(Boxed(backend(opened, &options.disk)?)).map_err(open_error)?
        }
        FileKind::Summed => {
            let mut pages = Pages::new(backend(opened, &options.disk)?, true).map_err(OpenError::Io)?;
            if pages.needs_recovery().map_err(OpenError::Io)? {
                // What a crash left is cleared up first, by redb's own checksums.
                drop(builder.create_with_backend(pages.unverified()).map_err(open_error)?);
                builder.set_check_integrity_on_open(false);
                pages = Pages::new(backend(file(path)?.0, &options.disk)?, true).map_err(OpenError::Io)?;
                pages.seal().map_err(OpenError::Io)?;
            }
            builder.create_with_backend(pages).map_err(open_error)?
        }
    };
    let layout = prepare(&database, options.layout)?;
    Ok((database, layout))
}

/// Creates the tables of a new file; returns the layout of an existing one, which is not written to.
fn prepare(database: &Database, layout: StorageLayout) -> Result<StorageLayout, OpenError> {
    let txn = database.begin_read().map_err(open_error)?;
    let has_all = txn.open_table(CURRENT).is_ok()
        && txn.open_table(VERSIONS).is_ok()
        && txn.open_table(LOG).is_ok()
        && txn.open_table(SHARDS).is_ok()
        && txn.open_table(MEMBERS).is_ok();
    if has_all
        && let Ok(meta) = txn.open_table(META)
        && let Some(stored) = meta.get(META_FORMAT).map_err(|error: StorageError| open_error(error))?
    {
        return decode_format(stored.value()).map_err(|error| OpenError::Damaged(error.to_string()));
    }
    drop(txn);
    let txn = database.begin_write().map_err(open_error)?;
    let layout = {
        let mut meta = txn.open_table(META).map_err(open_error)?;
        let stored = meta.get(META_FORMAT).map_err(|error: StorageError| open_error(error))?;
        let stored = stored.map(|bytes| decode_format(bytes.value()));
        match stored {
            Some(layout) => layout.map_err(|error| OpenError::Damaged(error.to_string()))?,
            None => {
                meta.insert(META_FORMAT, encode_format(layout).as_slice()).map_err(open_error)?;
                layout
            }
        }
    };
    // Opened once, so that readers find them.
    txn.open_table(CURRENT).map_err(open_error)?;
    txn.open_table(VERSIONS).map_err(open_error)?;
    txn.open_table(LOG).map_err(open_error)?;
    txn.open_table(SHARDS).map_err(open_error)?;
    txn.open_table(MEMBERS).map_err(open_error)?;
    txn.commit().map_err(open_error)?;
    Ok(layout)
}
