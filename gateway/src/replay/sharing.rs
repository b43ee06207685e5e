//! One model out of all clients of a replay, told and read as in the product.

use std::sync::Arc;

use foremap::analyzer::{Access, AnalyzerConfig, Prior};
use foremap::key::CompositeKey;
use foremap::model::{ClientId, SharedModel, SharedModelConfig, SnapshotOptions, Trail};
use foremap::prefetch::PrefetchEngine;
use foremap::protocol::ModelSnapshot;
use fxhash::FxHashMap;

use super::options::Share;
use crate::model::compressed;

/// The server's side, and of each client what it has not told so far.
pub(super) struct Sharing {
    share: Share,
    seed: u64,
    prior_bytes: usize,
    model: SharedModel,
    snapshot: ModelSnapshot,
    prior: Arc<Prior>,
    clients: FxHashMap<u32, Client>,
    /// Compressed bytes of the latest snapshot, and of all summaries.
    pub(super) snapshot_bytes: usize,
    pub(super) summary_bytes: u64,
}

struct Client {
    read_at: u64,
    trail: Trail,
}

impl Sharing {
    /// `analyzer` is the configuration of those of the clients.
    pub(super) fn new(share: Share, waste_budget: f64, analyzer: &AnalyzerConfig) -> Self {
        let config = SharedModelConfig { every_ms: share.every_ms, waste_budget, ..SharedModelConfig::default() };
        Self {
            share,
            seed: analyzer.seed,
            prior_bytes: analyzer.prior_bytes,
            model: SharedModel::new(config),
            snapshot: ModelSnapshot::default(),
            prior: Arc::default(),
            clients: FxHashMap::default(),
            snapshot_bytes: 0,
            summary_bytes: 0,
        }
    }

    /// A client begins: it takes over the newest snapshot.
    pub(super) fn open(&mut self, now: u64, client: u32, engine: &mut PrefetchEngine) {
        self.clients.insert(client, Client { read_at: now, trail: Trail::new(client.into()) });
        self.read(now, engine);
    }

    fn read(&mut self, now: u64, engine: &mut PrefetchEngine) {
        if self.model.is_due(now) {
            let options = SnapshotOptions {
                min_clients: self.share.clients,
                is_shared: &|_| false,
                max_bytes: self.share.bytes,
                compressed: &|bytes| compressed(bytes).len(),
            };
            let snapshot = self.model.snapshot(now, &options);
            let bytes = snapshot.encode();
            self.snapshot_bytes = compressed(&bytes).len();
            // As it arrives.
            self.snapshot = ModelSnapshot::decode(&bytes).unwrap_or_default();
            self.prior = Arc::new(Prior::new(self.seed, self.prior_bytes, &self.snapshot));
        }
        let _ = engine.share(&self.snapshot, self.prior.clone());
    }

    /// A request, before it reaches the engine. What the cache answered is told with the next request that it did not.
    pub(super) fn request(
        &mut self,
        now: u64,
        client: u32,
        key: &CompositeKey,
        access: Access,
        engine: &mut PrefetchEngine,
    ) {
        let Some(state) = self.clients.get_mut(&client) else { return };
        state.trail.note("", key, access == Access::Hit);
        let is_refreshed = self.share.refresh_ms.is_some_and(|every| now >= state.read_at + every);
        if is_refreshed {
            state.read_at = now;
        }
        if matches!(access, Access::Miss | Access::Late) {
            self.tell(now, client);
        }
        if is_refreshed {
            self.read(now, engine);
        }
    }

    /// A client is gone: the last it tells.
    pub(super) fn close(&mut self, now: u64, client: u32) {
        self.tell(now, client);
        self.clients.remove(&client);
    }

    fn tell(&mut self, now: u64, client: u32) {
        let Some(summary) = self.clients.get_mut(&client).and_then(|state| state.trail.take()) else { return };
        self.summary_bytes += summary.encode().len() as u64;
        self.model.merge(now, ClientId(client.into()), &summary);
    }
}
