//! Opening and closing a store file.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ::redb::{Builder, Database, DatabaseError, ReadableTable as _, StorageError};
use foremap::partition::StorageLayout;
use tokio::sync::{mpsc, oneshot, watch};

use super::apply::Retention;
use super::meta::{MetaChange, MetaOutcome};
use super::tables::{CURRENT, LOG, MEMBERS, META, META_FORMAT, SHARDS, VERSIONS};
use super::writer::{Job, MAX_QUEUE, Writer};
use crate::store::clock::system_clock;
use crate::store::record::{decode_format, encode_format};
use crate::store::{Clock, OpenError, StoreError};

/// How a store file is opened.
#[derive(Clone)]
pub struct RedbOptions {
    /// Layout of a new file. An existing file keeps its own.
    pub layout: StorageLayout,
    /// Versions kept of a key, the current one included.
    pub versions: usize,
    /// Change log entries kept of a shard.
    pub log_entries: u64,
    /// Page cache in bytes.
    pub cache_bytes: usize,
    /// Verify every page on opening: reads the whole file, and finds damage that would otherwise show later.
    pub check: bool,
    /// Microseconds since 1970.
    pub clock: Clock,
}

impl Default for RedbOptions {
    /// 100 versions a key; 100,000 log entries a shard, so that a gateway that was away reads the log instead of
    /// starting cold; 64 MiB of page cache; checked; the system's clock.
    fn default() -> Self {
        Self {
            layout: StorageLayout::default(),
            versions: 100,
            log_entries: 100_000,
            cache_bytes: 64 << 20,
            check: true,
            clock: system_clock(),
        }
    }
}

fn open_error(error: impl Into<::redb::Error>) -> OpenError {
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

/// A store in one redb file. Dropping it lets writes under way finish.
pub struct RedbStore {
    pub(super) db: Arc<Database>,
    pub(super) layout: StorageLayout,
    queue: mpsc::Sender<Job>,
    pub(super) visible: watch::Receiver<u64>,
    /// All shards in one group: they are in one file.
    pub(super) groups: watch::Receiver<Arc<Vec<Vec<u16>>>>,
    pub(super) clock: Clock,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl RedbStore {
    /// Opens the file at `path`, or creates it.
    ///
    /// # Errors
    /// [`OpenError`], in words fit for one line.
    pub fn open(path: &Path, options: &RedbOptions) -> Result<Self, OpenError> {
        // redb asserts on some kinds of damage that no checksum covers.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| Self::open_file(path, options)));
        let (db, layout) = opened.map_err(|_| OpenError::Damaged("its structure is inconsistent".into()))??;
        let db = Arc::new(db);
        let (queue, jobs) = mpsc::channel(MAX_QUEUE);
        let (sender, visible) = watch::channel(0);
        let retention = Retention { versions: options.versions, log_entries: options.log_entries };
        let writer = Writer { db: db.clone(), retention, clock: options.clock.clone(), visible: sender };
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.run(jobs));
        let writer = Mutex::new(Some(thread.map_err(OpenError::Io)?));
        let groups = watch::channel(Arc::new(vec![(0..layout.shards).collect()])).1;
        Ok(Self { db, layout, queue, visible, groups, clock: options.clock.clone(), writer })
    }

    fn open_file(path: &Path, options: &RedbOptions) -> Result<(Database, StorageLayout), OpenError> {
        let mut builder = Builder::new();
        builder.set_cache_size(options.cache_bytes).set_check_integrity_on_open(options.check);
        let db = builder.create(path).map_err(|error: DatabaseError| open_error(error))?;
        let layout = Self::prepare(&db, options.layout)?;
        Ok((db, layout))
    }

    /// Creates the tables of a new file; returns the layout of an existing one.
    fn prepare(db: &Database, layout: StorageLayout) -> Result<StorageLayout, OpenError> {
        let txn = db.begin_write().map_err(open_error)?;
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

    /// Jobs that wait for the writer.
    pub(super) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Has the writer do `job`, and waits for its result.
    pub(super) async fn submit<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Job,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, result) = oneshot::channel();
        self.queue.send(job(reply)).await.map_err(|_| closed())?;
        // Without a reply the writer died at an unknown point.
        result.await.map_err(|_| StoreError::Unknown("the store closed before it answered".into()))?
    }

    pub(super) async fn change(&self, change: MetaChange) -> Result<MetaOutcome, StoreError> {
        self.submit(|reply| Job::Meta { change, reply }).await
    }

    pub(super) async fn shut(&self) -> Result<(), StoreError> {
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        self.submit(|reply| Job::Close { reply }).await?;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(())) => Ok(()),
            _ => Err(StoreError::Unknown("the writer ended with a defect".into())),
        }
    }
}
