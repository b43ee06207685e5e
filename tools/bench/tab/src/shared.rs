//! The model that tabs share: told with each batch, and read behind the answer to the first.

use std::io::Write as _;
use std::sync::Arc;

use foremap::Millis;
use foremap::model::{
    ClientId, Earlier, Observer, SharedModel, SharedModelConfig, SnapshotOptions, Summary, ToldSummary,
};
use foremap::protocol::{BatchRequest, ModelWish, model_delta};

use super::pace::Paced;
use super::tally::Models;

/// Most snapshots of a replay that are made for their age alone: a trace of years has visits enough for thousands.
const SNAPSHOTS: Millis = 1_000;
/// Largest summary that a page may send as it goes, in bytes.
pub(crate) const TOLD: usize = 60 << 10;

/// Sharing at the gateways: what they do with what tabs tell.
pub(crate) struct Shared {
    model: SharedModel,
    observer: Observer,
    told: Vec<ToldSummary>,
    clients: u32,
    made: u64,
    latest: Arc<[u8]>,
    earlier: Earlier<Arc<[u8]>>,
}

impl Shared {
    /// Knows nothing; tells of what at least so many clients did.
    pub(crate) fn new(clients: u32, trace: &Paced) -> Self {
        let times = || trace.requests.iter().map(|request| request.at);
        let span = times().max().unwrap_or(0) - times().min().unwrap_or(0);
        let usual = SharedModelConfig::default();
        let model = SharedModel::new(SharedModelConfig { every_ms: usual.every_ms.max(span / SNAPSHOTS), ..usual });
        let observer = Observer::new(1);
        Self { model, observer, told: Vec::new(), clients, made: 0, latest: Arc::new([]), earlier: Earlier::default() }
    }

    /// Takes in what a gateway learns from a batch.
    pub(crate) fn observe(&mut self, now: Millis, client: u32, request: &BatchRequest, tally: &mut Models) {
        let client = ClientId(client.into());
        if let Some(rider) = &request.rider {
            tally.told_bytes += rider.len() as u64;
            self.observer.observe(now, client, rider, &request.items, &mut self.told);
        }
        self.observer.due(now, &mut self.told);
        for ToldSummary { client, summary } in std::mem::take(&mut self.told) {
            self.merge(now, client, &summary);
        }
    }

    /// The newest model, behind an answer, or what leads to it from the one that the tab has; `None` where it has that one.
    pub(crate) fn read(&mut self, now: Millis, wish: ModelWish, tally: &mut Models) -> Option<Arc<[u8]>> {
        if self.model.is_due(now) {
            let options = SnapshotOptions {
                min_clients: self.clients,
                is_shared: &|_| false,
                max_bytes: wish.bytes as usize,
                compressed: &compressed,
            };
            let snapshot = self.model.snapshot(now, &options);
            self.made = snapshot.made;
            self.latest = snapshot.encode().into();
            self.earlier.keep(self.made, self.latest.clone());
        }
        if self.latest.is_empty() || wish.known == self.made {
            return None;
        }
        let delta = self.earlier.get(wish.known).map(|older| model_delta(older, &self.latest).into());
        let [whole, delta] = [Some(self.latest.clone()), delta];
        let sent = [whole, delta].into_iter().flatten().map(|bytes: Arc<[u8]>| (compressed(&bytes), bytes));
        let (size, bytes) = sent.min_by_key(|(size, _)| *size)?;
        tally.read += 1;
        tally.read_bytes += size as u64;
        Some(bytes)
    }

    /// Takes in what a tab of a client tells as it goes.
    pub(crate) fn tell(&mut self, now: Millis, client: u32, body: &[u8], tally: &mut Models) {
        tally.told += 1;
        tally.told_bytes += body.len() as u64;
        self.merge(now, ClientId(client.into()), body);
    }

    fn merge(&mut self, now: Millis, client: ClientId, summary: &[u8]) {
        let summary = Summary::decode(summary).expect("it was written here");
        self.model.merge(now, client, &summary);
    }
}

/// Bytes as gateways send them.
fn compressed(bytes: &[u8]) -> usize {
    let mut out = Vec::new();
    let mut writer = brotli::CompressorWriter::new(&mut out, 4_096, 9, 20);
    writer.write_all(bytes).expect("memory");
    drop(writer);
    out.len()
}
