//! Opening and closing a store file.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use foremap::partition::StorageLayout;
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot, watch};

use super::dump;
use super::handle::Handle;
use super::meta::{MetaChange, MetaOutcome};
use super::options::{RedbOptions, Retention};
use super::writer::{MAX_QUEUE, RedbWriter, WriterJob};
use crate::store::{Backup, Checked, Clock, Lifecycle, NoBackup, OpenError, StoreError, StoreFuture};

/// A store in one redb file. Dropping it lets writes under way finish.
pub struct RedbStore {
    pub(super) handle: Arc<Handle>,
    pub(super) layout: StorageLayout,
    queue: mpsc::Sender<WriterJob>,
    pub(super) visible: watch::Receiver<u64>,
    /// All shards in one group: they are in one file.
    pub(super) groups: watch::Receiver<Arc<Vec<Vec<u16>>>>,
    pub(super) clock: Clock,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Held while a backup is being made.
    backing_up: Arc<tokio::sync::Mutex<()>>,
}

impl RedbStore {
    /// Opens the file at `path`, or creates it.
    ///
    /// # Errors
    /// [`OpenError`], in words fit for one line.
    pub fn open(path: &Path, options: &RedbOptions) -> Result<Self, OpenError> {
        let (handle, layout) = Handle::open(path, options)?;
        let handle = Arc::new(handle);
        let (queue, jobs) = mpsc::channel(MAX_QUEUE);
        let (sender, visible) = watch::channel(0);
        let retention = Retention { versions: options.versions, log_entries: options.log_entries };
        let (clock, probe) = (options.clock.clone(), queue.downgrade());
        let writer = RedbWriter::new(handle.clone(), retention, clock, sender, probe);
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.run(jobs));
        let writer = Mutex::new(Some(thread.map_err(OpenError::Io)?));
        let groups = watch::channel(Arc::new(vec![(0..layout.shards).collect()])).1;
        Ok(Self {
            handle,
            layout,
            queue,
            visible,
            groups,
            clock: options.clock.clone(),
            writer,
            backing_up: Arc::default(),
        })
    }

    /// Makes the file at `path`, which must not exist, of a backup. It is a new store to clients, whose incarnation is
    /// `incarnation` at least.
    ///
    /// # Errors
    /// What is wrong, in words; then there is no file at `path`.
    pub fn restore(path: &Path, from: impl std::io::Read, incarnation: u32) -> Result<Checked, String> {
        dump::restore(path, from, incarnation)
    }

    /// Verifies a file that nobody has open: every page, every record, and that they agree.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(path: &Path) -> Result<Checked, String> {
        if !path.exists() {
            return Err("it does not exist".to_owned());
        }
        let options = RedbOptions { check: true, ..RedbOptions::default() };
        let (handle, _) = Handle::open(path, &options).map_err(|error| error.to_string())?;
        dump::check(&handle).map_err(|error| error.to_string())
    }

    /// Jobs that wait for the writer.
    pub(super) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Has the writer do `job`, and waits for its result.
    pub(super) async fn submit<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> WriterJob,
    ) -> Result<T, StoreError> {
        let closed = || StoreError::Unavailable("the store is closed".into());
        let (reply, result) = oneshot::channel();
        self.queue.send(job(reply)).await.map_err(|_| closed())?;
        // Without a reply the writer died at an unknown point.
        result.await.map_err(|_| StoreError::Unknown("the store closed before it answered".into()))?
    }

    pub(super) async fn change(&self, change: MetaChange) -> Result<MetaOutcome, StoreError> {
        self.submit(|reply| WriterJob::Meta { change, reply }).await
    }

    async fn shut(&self) -> Result<(), StoreError> {
        let thread = self.writer.lock().take();
        let Some(thread) = thread else { return Ok(()) };
        self.submit(|reply| WriterJob::Close { reply }).await?;
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        match joined {
            Ok(Ok(())) => {
                self.handle.shut();
                Ok(())
            }
            _ => Err(StoreError::Unknown("the writer ended with a defect".into())),
        }
    }
}

impl Lifecycle for RedbStore {
    fn is_shared(&self) -> bool {
        false
    }

    fn backup(&self) -> Result<Backup, NoBackup> {
        let alone = self.backing_up.clone().try_lock_owned().map_err(|_| NoBackup::Busy)?;
        // A few frames ahead of whoever reads them.
        let (frames, backup) = mpsc::channel(4);
        let (handle, begun_us) = (self.handle.clone(), (self.clock)());
        tokio::task::spawn_blocking(move || {
            dump::dump(&handle, begun_us, &frames);
            drop(alone);
        });
        Ok(backup)
    }

    fn close(&self) -> StoreFuture<'_, ()> {
        Box::pin(self.shut())
    }
}
