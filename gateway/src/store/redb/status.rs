//! [`StoreStatus`] for [`RedbStore`].

use super::open::RedbStore;
use super::writer::MAX_QUEUE;
use crate::store::{DiskStatus, StoreStatus, Trouble};

impl StoreStatus for RedbStore {
    fn waiting(&self) -> (usize, usize) {
        (self.queued(), MAX_QUEUE)
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.handle.troubles()
    }

    fn disk(&self) -> Option<DiskStatus> {
        let health = self.handle.health();
        let is_broken = health.broken.is_some();
        Some(DiskStatus { is_broken, failed_writes: health.failed_writes, reopened: health.reopened })
    }

    fn now_us(&self) -> u64 {
        (self.clock)()
    }
}
