//! The model that clients share, at the edge: what isolates and a hub between them do where there is no leader.
//!
//! A hub is woken by a request or by its alarm, may be gone a few seconds later, and finds again what its host stored for
//! it. It performs nothing: it is told what came and says what is to be stored, what is to be answered, and when it wants
//! to be woken.
//!
//! ```text
//! client -> isolate --- summary ----> Hub::take -> a row, stored before it is acknowledged
//!           Observers - page -------> Hub::take_page -> a row
//!                             alarm -> Hub::merge each row -> Hub::round -> counts and model, stored; rows leave
//! isolate <- model --- Hub::body
//! ```
//!
//! ```
//! use foremap::hub::{Encoding, Hub, HubConfig, Observers, PendingRows};
//! use foremap::{key::CompositeKey, model::ClientId, protocol::ModelSnapshot};
//! # let (list, item) = (CompositeKey::parse("shop/list")?, CompositeKey::parse("shop/item")?);
//!
//! let mut isolate = Observers::new(7);
//! for client in (0..40).map(ClientId) {
//!     isolate.note(0, client, "", &list);
//!     isolate.note(0, client, "", &item);
//! }
//! let mut hub = Hub::new(HubConfig::default());
//! let (row, _) = hub.take_page(0, &isolate.tell(0)[""], PendingRows::default())?;
//! hub.resume(&[], &[]);
//! hub.merge(0, &row);
//! assert!(hub.round(60_000, PendingRows::default(), &<[u8]>::len).model.is_some());
//! let body = hub.body(None, None, Encoding::Identity, None, &|bytes, _| bytes.to_vec())?.expect("a model");
//! assert_eq!(ModelSnapshot::decode(&body.bytes)?.keys, ["shop/item", "shop/list"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! So what was acknowledged is in a row or in the stored counts, whatever ends a hub between two steps. A row that is
//! merged twice counts once.

mod observers;
mod refusal;
mod served_snapshots;
mod shards;
mod told;

use crate::Millis;
use crate::key::KeyPrefix;
use crate::model::{
    CLASSES, Earlier, Handover, KeeperConfig, MergerConfig, ModelKeeper, SharedModelConfig, class_named,
};
use serde::Serialize;

pub use observers::{Observers, ObserversStats};
pub use refusal::Refusal;
pub use served_snapshots::{Body, Encoding};
pub use shards::shares;
pub use told::{Caller, PendingRows, client_named};

use served_snapshots::ServedSnapshots;
use told::HubInbox;

/// Choices of an operator about a hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubConfig {
    /// Clients that must have gone the same way before others are told of it.
    pub clients: u32,
    /// Keys below these everybody may know, however few asked for them.
    pub shared: Vec<KeyPrefix>,
    /// Age at which the model is made anew, if there is news.
    pub every_ms: Millis,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self { clients: 5, shared: Vec::new(), every_ms: 60_000 }
    }
}

/// Most ways of a hub: merged they take some 20 MB, and making a model of them another 50, of the 128 that an isolate may have.
const MAX_WAYS: usize = 1 << 16;
/// Most pairs of a client and a way in an hour.
const MAX_SHARES: usize = 1 << 17;
/// Most instances whose epochs are remembered.
const MAX_INSTANCES: usize = 1 << 14;
/// Largest form of the counts.
const MAX_COUNTS_BYTES: usize = 4 << 20;
/// Parts of the age of a snapshot after which what was told is merged.
const FOLDS: Millis = 4;

impl HubConfig {
    fn keeper(&self) -> KeeperConfig {
        let merger = MergerConfig {
            max_ways: MAX_WAYS,
            max_shares: MAX_SHARES,
            max_instances: MAX_INSTANCES,
            ..MergerConfig::default()
        };
        KeeperConfig {
            model: SharedModelConfig { merger, every_ms: self.every_ms, ..SharedModelConfig::default() },
            min_clients: self.clients,
            shared: self.shared.clone(),
            sizes: CLASSES.to_vec(),
            max_state_bytes: MAX_COUNTS_BYTES,
        }
    }

    /// Longest time that what was told waits to be merged.
    fn fold_ms(&self) -> Millis {
        (self.every_ms / FOLDS).max(1)
    }
}

/// Outcome of the rows that were merged.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// The model in all its sizes, if a new one was due.
    pub model: Option<Vec<u8>>,
    /// The counts, if they are due: with them stored, the rows that were merged may leave, and not before.
    pub counts: Option<Vec<u8>>,
    /// With the counts: what each client contributed in this hour.
    pub shares: Option<Vec<u8>>,
    /// When the next round is due.
    pub wake: Option<Millis>,
}

/// See the head of the file. Memory is bounded by that of its parts.
#[derive(Debug)]
pub struct Hub {
    config: HubConfig,
    inbox: HubInbox,
    /// Loaded with the first round.
    keeper: Option<ModelKeeper>,
    /// Something was merged that is not in the counts that were given out last.
    is_unsaved: bool,
    served: Option<ServedSnapshots>,
    counts: Counts,
}

/// Counts of what happened since the hub was loaded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    received: u64,
    refused: u64,
    merged_rows: u64,
    models: u64,
    /// Stored forms that could not be read.
    unreadable: u64,
}

impl Hub {
    /// One that was told nothing yet.
    pub fn new(config: HubConfig) -> Self {
        Self {
            config,
            inbox: HubInbox::default(),
            keeper: None,
            is_unsaved: false,
            served: None,
            counts: Counts::default(),
        }
    }

    /// Tells whether [`Hub::resume`] was called.
    pub fn is_merging(&self) -> bool {
        self.keeper.is_some()
    }

    /// Goes on from what an earlier hub had stored, each empty where there is nothing. What cannot be read counts as
    /// nothing. O(bytes).
    pub fn resume(&mut self, counts: &[u8], shares: &[u8]) {
        let config = self.config.keeper();
        let judged = self.served.as_ref().and_then(ServedSnapshots::judged);
        let keeper = match counts {
            [] => Ok(ModelKeeper::new(config.clone())),
            counts => ModelKeeper::resume(config.clone(), counts, judged.as_ref()),
        };
        let mut keeper = keeper.unwrap_or_else(|_| {
            self.counts.unreadable += 1;
            ModelKeeper::new(config)
        });
        if !shares.is_empty() && keeper.resume_shares(shares).is_err() {
            self.counts.unreadable += 1;
        }
        self.keeper = Some(keeper);
        self.is_unsaved = false;
    }

    /// Takes what one client tells. What comes back is a row to be stored before that is acknowledged, and when the next
    /// round is due with it. O(bytes).
    ///
    /// # Errors
    /// [`Refusal`] with the code that gateways answer with.
    pub fn take(
        &mut self,
        now: Millis,
        caller: &Caller,
        summary: &[u8],
        pending: PendingRows,
    ) -> Result<(Vec<u8>, Millis), Refusal> {
        let taken = self.inbox.take(now, caller, summary, pending);
        self.count(taken, now, pending)
    }

    /// Takes what an isolate of the same operator observed: a page of [`Observers::tell`].
    ///
    /// # Errors
    /// [`Refusal`] where it is none, or where there is no room for it.
    pub fn take_page(&mut self, now: Millis, page: &[u8], pending: PendingRows) -> Result<(Vec<u8>, Millis), Refusal> {
        let taken = told::take_page(page, pending);
        self.count(taken, now, pending)
    }

    fn count(
        &mut self,
        taken: Result<Vec<u8>, Refusal>,
        now: Millis,
        pending: PendingRows,
    ) -> Result<(Vec<u8>, Millis), Refusal> {
        match taken {
            Ok(row) => {
                self.counts.received += 1;
                let wait = if pending.with(row.len()).is_much() { 0 } else { self.config.fold_ms() };
                Ok((row, now + wait))
            }
            Err(refusal) => {
                self.counts.refused += 1;
                Err(refusal)
            }
        }
    }

    /// Merges a row, after [`Hub::resume`]; `now` is wall-clock time. O(steps).
    pub fn merge(&mut self, now: Millis, row: &[u8]) {
        let (Some(keeper), Ok(page)) = (&mut self.keeper, Handover::decode(row)) else { return };
        keeper.merge(now, &page.told);
        self.counts.merged_rows += 1;
        self.is_unsaved = true;
    }

    /// Forgets every way over a key below `prefix` that was merged; the next round makes everything anew.
    pub fn forget(&mut self, prefix: &KeyPrefix) {
        if let Some(keeper) = &mut self.keeper {
            keeper.forget(prefix);
        }
        if let Some(served) = &mut self.served {
            served.forget_earlier();
        }
    }

    /// Makes what is due, after [`Hub::resume`] and with all rows merged, of which so many are still stored. `compressed`
    /// tells the size of bytes as they are sent. Where something of it cannot be stored, the hub is to be dropped, and
    /// another one goes on from what is stored.
    pub fn round(&mut self, now: Millis, pending: PendingRows, compressed: &dyn Fn(&[u8]) -> usize) -> Round {
        let Some(keeper) = &mut self.keeper else { return Round::default() };
        let mut kept = keeper.round(now, compressed);
        if pending.is_much() && kept.state.is_none() {
            kept.state = keeper.last(now);
        }
        let served = kept.snapshots.as_deref().and_then(ServedSnapshots::of);
        let model = served.as_ref().map(ServedSnapshots::encode);
        if let Some(served) = served {
            self.counts.models += 1;
            self.served = Some(served.after(self.served.take()));
        }
        let shares = kept.state.is_some().then(|| keeper.shares());
        self.is_unsaved &= kept.state.is_none();
        let is_wanted = self.is_unsaved || keeper.is_due(now + self.config.every_ms);
        let wake = is_wanted.then(|| now + self.config.fold_ms());
        Round { model, counts: kept.state, shares, wake }
    }

    /// A round that made a model took so long, until `now`.
    pub fn took(&mut self, now: Millis, took: Millis) {
        if let Some(keeper) = &mut self.keeper {
            keeper.took(now, took);
        }
    }

    /// Serves a stored model, if it can be read. O(bytes).
    pub fn serve(&mut self, model: &[u8]) {
        if model.is_empty() {
            return;
        }
        match ServedSnapshots::decode(model) {
            Ok(served) => self.served = Some(served),
            Err(_) => self.counts.unreadable += 1,
        }
    }

    /// The model for a caller who may read below `prefixes` only, where there are any, in the largest of the sizes that is
    /// not over `bytes`; as the difference from the one that was made at `from`, where that is known and less. `None` while
    /// there is no model.
    ///
    /// # Errors
    /// [`Refusal`] for a number of bytes that nobody may name.
    pub fn body(
        &mut self,
        prefixes: Option<&[KeyPrefix]>,
        bytes: Option<u64>,
        encoding: Encoding,
        from: Option<u64>,
        compress: &dyn Fn(&[u8], Encoding) -> Vec<u8>,
    ) -> Result<Option<Body>, Refusal> {
        let class = class_named(bytes)?;
        Ok(self.served.as_mut().map(|served| served.body(prefixes, class, encoding, from, compress)))
    }

    /// Fills, bounds and counts.
    pub fn stats(&self) -> impl Serialize + use<> {
        HubStats {
            counts: self.counts,
            malformed: self.keeper.as_ref().map_or(0, ModelKeeper::malformed),
            merger: self.keeper.as_ref().map(ModelKeeper::stats),
            addresses: self.inbox.addresses(),
            pending_max: PendingRows::MAX,
            model_made: self.served.as_ref().map(ServedSnapshots::made),
            model_bytes: self.served.as_ref().map_or(0, ServedSnapshots::bytes),
            bodies: self.served.as_ref().map_or(0, ServedSnapshots::bodies),
            bodies_max: ServedSnapshots::MAX_BODIES,
            earlier: self.served.as_ref().map_or(0, ServedSnapshots::earlier),
            earlier_max: Earlier::<()>::MAX,
            counts_bytes_max: MAX_COUNTS_BYTES,
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct HubStats {
    #[serde(flatten)]
    counts: Counts,
    /// Summaries that could not be merged as they cannot be read.
    malformed: u64,
    /// Of what was merged; none while the counts are not loaded.
    merger: Option<crate::model::MergerStats>,
    /// Addresses whose telling is bounded, and most of them.
    addresses: [usize; 2],
    pending_max: PendingRows,
    model_made: Option<u64>,
    model_bytes: usize,
    bodies: usize,
    bodies_max: usize,
    /// Models that a difference may lead from.
    earlier: usize,
    earlier_max: usize,
    counts_bytes_max: usize,
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "hub_tests.rs"]
mod tests;
