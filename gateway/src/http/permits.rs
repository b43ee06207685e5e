//! Bounded numbers of places, for what stays at a node for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use foremap::node::{Shares, Subject};
use parking_lot::Mutex;

/// Most change feeds of one node in this form. Each has a queue of its own in front of its connection, and text to write:
/// the binary form is for many.
pub(super) const MAX_EVENT_FEEDS: usize = 1_024;

/// Most lists under way. Each reads up to 32 storage shards at once.
pub(super) const MAX_LISTS: usize = 64;

/// Most requests of one node that wait for a newer map.
pub(super) const MAX_MAP_WAITS: usize = 1_024;

/// One of a bounded number of places, for as long as it lives.
pub(super) struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// `None` where `most` are taken.
    pub(super) fn enter(count: &Arc<AtomicUsize>, most: usize) -> Option<Self> {
        let permit = Self(count.clone());
        // Dropped where it is one too many.
        (count.fetch_add(1, Ordering::Relaxed) < most).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One of a bounded number of places that subjects share, for as long as it lives.
pub(super) struct SubjectPermit {
    shares: Arc<Mutex<Shares>>,
    subject: Subject,
}

impl SubjectPermit {
    /// # Errors
    /// The bound that stands in the way.
    pub(super) fn enter(shares: &Arc<Mutex<Shares>>, subject: Subject) -> Result<Self, usize> {
        shares.lock().enter(subject)?;
        Ok(Self { shares: shares.clone(), subject })
    }
}

impl Drop for SubjectPermit {
    fn drop(&mut self) {
        self.shares.lock().leave(self.subject);
    }
}
