//! The model that tabs share: told when a visit ends, read when one begins.

use std::io::Write as _;
use std::sync::Arc;

use foremap::Millis;
use foremap::model::{ClientId, SharedModel, SharedModelConfig, SnapshotOptions, Summary};

use super::tally::Models;

/// Largest model that a tab reads, compressed, in bytes.
const BYTES: usize = 64 << 10;
/// Largest summary that a page may send as it goes, in bytes.
pub(crate) const TOLD: usize = 60 << 10;

/// What the gateways do with what tabs tell.
pub(crate) struct Shared {
    model: SharedModel,
    clients: u32,
    latest: Arc<[u8]>,
    compressed: u64,
}

impl Shared {
    /// Knows nothing; tells of what at least so many clients did.
    pub(crate) fn new(clients: u32) -> Self {
        let model = SharedModel::new(SharedModelConfig::default());
        Self { model, clients, latest: Arc::new([]), compressed: 0 }
    }

    /// The newest model, for a visit that begins; empty where there is none.
    pub(crate) fn read(&mut self, now: Millis, tally: &mut Models) -> Arc<[u8]> {
        if self.model.is_due(now) {
            let options = SnapshotOptions {
                min_clients: self.clients,
                is_shared: &|_| false,
                max_bytes: BYTES,
                compressed: &compressed,
            };
            let bytes = self.model.snapshot(now, &options).encode();
            self.compressed = compressed(&bytes) as u64;
            self.latest = bytes.into();
        }
        tally.read += 1;
        tally.read_bytes += self.compressed;
        self.latest.clone()
    }

    /// What a tab of a client tells.
    pub(crate) fn tell(&mut self, now: Millis, client: u32, body: &[u8], tally: &mut Models) {
        tally.told += 1;
        tally.told_bytes += body.len() as u64;
        let summary = Summary::decode(body).expect("an adapter tells what can be read");
        self.model.merge(now, ClientId(client.into()), &summary);
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
