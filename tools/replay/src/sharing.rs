//! One model out of all clients of a replay, told and read as in the product.

use std::io::Write as _;
use std::sync::Arc;

use foremap::analyzer::{Access, AnalyzerConfig, Prior};
use foremap::key::CompositeKey;
use foremap::model::{ClientId, SharedModel, SharedModelConfig, SnapshotOptions, Summary, Trail};
use foremap::prefetch::PrefetchEngine;
use foremap::protocol::ModelSnapshot;
use fxhash::FxHashMap;

use super::instances::{Instances, arrived};
use super::liars::Liars;
use super::settings::Share;

/// Bytes of a snapshot as gateways send them.
pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    // Writing to a vector cannot fail.
    let _ = brotli::CompressorWriter::new(&mut out, 4_096, 9, 20).write_all(bytes);
    out
}

/// The server's side, and of each client what it has not told so far.
pub(super) struct Sharing {
    share: Share,
    seed: u64,
    prior_bytes: usize,
    model: SharedModel,
    snapshot: ModelSnapshot,
    prior: Arc<Prior>,
    clients: FxHashMap<u32, Client>,
    /// Gateways, where clients tell one of many.
    instances: Option<Instances>,
    liars: Option<Liars>,
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
            instances: share.handovers.map(Instances::new),
            liars: share.liars.map(|(one_of, lie)| Liars::new(one_of, lie)),
            snapshot_bytes: 0,
            summary_bytes: 0,
        }
    }

    /// A client begins: it takes over the newest snapshot.
    pub(super) fn open(&mut self, now: u64, client: u32, engine: &mut PrefetchEngine) {
        self.collect(now);
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
        self.collect(now);
        if let Some(liars) = &mut self.liars {
            liars.note(key);
        }
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
        let Some(mut summary) = self.clients.get_mut(&client).and_then(|state| state.trail.take()) else { return };
        if let Some(liars) = self.liars.as_mut().filter(|liars| liars.has(client)) {
            summary = liars.instead_of(&summary);
        }
        let bytes = summary.encode();
        self.summary_bytes += bytes.len() as u64;
        match &mut self.instances {
            Some(instances) => instances.add(client, &bytes),
            None => _ = self.model.merge(now, ClientId(client.into()), &summary),
        }
    }

    /// Merges what gateways hand over by now.
    fn collect(&mut self, now: u64) {
        let pages = self.instances.as_mut().map(|instances| instances.collect(now)).unwrap_or_default();
        for told in pages.iter().flat_map(arrived) {
            if let Ok(summary) = Summary::decode(&told.summary) {
                self.model.merge(now, told.client, &summary);
            }
        }
    }
}
