//! The model that all clients share, as one of them reads it and adds to it.

use std::sync::Arc;

use super::adapter::Adapter;
use super::config::Share;
use super::stats::ModelStats;
use crate::Millis;
use crate::codec::DecodeError;
use crate::model::{Summary, Trail};
use crate::prefetch::Caution;
use crate::protocol::{BatchRequest, MAX_SNAPSHOT_BYTES, ModelSnapshot, ModelWish, apply_model_delta, is_model_delta};

/// Part of the prefetch engine's memory that is set aside for a shared model: an eighth, half a megabyte of four, holds
/// several times what 64 KiB unfold to.
const PRIOR: usize = 8;
/// How long a model is good for. In the traces of `cargo xtask bench model` reading it again after ten minutes brought a tab 0 to
/// 6 points.
const REFRESH_MS: Millis = 600_000;
/// How long to wait with the next wish where there was no model; twice as long each time.
const RETRY_MS: Millis = 5_000;

/// What an adapter knows of the shared model.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// What it may tell of its requests, if it does.
    pub(super) trail: Option<Box<Trail>>,
    /// [`ModelSnapshot::made`] of the one that was taken over.
    known: u64,
    /// Its binary form, which the next one may come as a difference from.
    bytes: Vec<u8>,
    /// When to wish for one.
    wish_at: Millis,
    /// Wishes since the last model.
    unheard: u32,
    counted: ModelStats,
}

impl Shared {
    /// Sets aside what it takes.
    pub(super) fn new(config: &mut super::AdapterConfig) -> Self {
        if config.share != Share::Off {
            config.prefetch.analyzer.prior_bytes = config.prefetch.analyzer.memory_bytes / PRIOR;
        }
        let trail = (config.share == Share::Both).then(|| Box::new(Trail::new(config.seed)));
        Self { trail, ..Self::default() }
    }

    /// Counts, and what is not told yet.
    pub(super) fn stats(&self) -> ModelStats {
        let untold = self.trail.as_ref().map_or(0, |trail| trail.len());
        let (made, bytes) = (self.known, self.bytes.len());
        ModelStats { made, bytes, max_bytes: MAX_SNAPSHOT_BYTES, untold, max_untold: Trail::BOUND, ..self.counted }
    }

    /// The binary form of what came, whole or as a difference.
    fn whole(&self, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
        if is_model_delta(bytes) { apply_model_delta(&self.bytes, bytes) } else { Ok(bytes.to_vec()) }
    }

    fn wish(&mut self, now: Millis, bytes: u32) -> Option<ModelWish> {
        if now < self.wish_at {
            return None;
        }
        self.wish_at = now + (RETRY_MS << self.unheard.min(10)).min(REFRESH_MS);
        self.unheard += 1;
        self.counted.wishes += 1;
        Some(ModelWish { bytes, known: self.known })
    }
}

impl Adapter {
    /// Takes over a model that was read from a gateway, in place of one from before, or what leads to it from that one;
    /// what was learnt here stays, and goes before it where the two differ. What it makes likely after the latest request is
    /// fetched ahead at once. Returns the binary form of the model at hand. Without sharing nothing happens, and there is
    /// none. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a model, or do not lead to one from that at hand; nothing is taken
    /// over then, and the next wish is for a whole one.
    pub fn import_model(&mut self, now: Millis, bytes: &[u8]) -> Result<&[u8], DecodeError> {
        if self.config.share == Share::Off {
            return Ok(&[]);
        }
        let is_delta = is_model_delta(bytes);
        let imported = self.shared.whole(bytes).and_then(|bytes| {
            let snapshot = ModelSnapshot::decode(&bytes)?;
            // The difference from a model to itself says that there is no other one.
            if !is_delta || snapshot.made != self.shared.known {
                self.engine.import(&snapshot)?;
            }
            Ok((snapshot.made, bytes))
        });
        let shared = &mut self.shared;
        match imported {
            Ok((made, bytes)) => {
                (shared.known, shared.bytes, shared.unheard) = (made, bytes, 0);
                shared.wish_at += REFRESH_MS;
                shared.counted.imported += 1;
                shared.counted.deltas += u64::from(is_delta);
                self.prefetch_again(now);
                Ok(&self.shared.bytes)
            }
            Err(error) => {
                shared.counted.refused += 1;
                if is_delta {
                    (shared.known, shared.bytes) = (0, Vec::new());
                }
                Err(error)
            }
        }
    }

    /// What to tell of the requests since it last told, at most `max_bytes`: the body of `POST /v1/summaries`. `None`
    /// where there is nothing to tell, where its demand has not paid for it, or where it does not tell. O(requests).
    pub fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        let told = self.shared.trail.as_mut()?.tell(max_bytes.min(Summary::MAX_BYTES))?;
        self.shared.counted.told += 1;
        self.shared.counted.told_bytes += told.len() as u64;
        Some(told)
    }

    /// The same, and the gateway to send it to.
    pub fn tell_gateway(&mut self, now: Millis, max_bytes: usize) -> Option<(Arc<str>, Vec<u8>)> {
        let body = self.tell(max_bytes)?;
        Some((self.origins.choose(now, None, None), body))
    }

    /// Lets a batch tell what led to it, and ask for the model.
    pub(super) fn tell_along(&mut self, now: Millis, origin: &Arc<str>, is_demand: bool, request: &mut BatchRequest) {
        if self.config.share == Share::Off {
            return;
        }
        request.rider = self.shared.trail.as_mut().and_then(|trail| trail.ride(origin, &request.items));
        if let Some(rider) = &request.rider {
            self.shared.counted.told += 1;
            self.shared.counted.told_bytes += rider.len() as u64;
        }
        // Where nothing may be fetched ahead, it would be of no use.
        let reads = self.config.model_bytes > 0 && self.config.prefetch.enabled;
        if is_demand && reads && self.engine.caution() != Caution::Off {
            request.model = self.shared.wish(now, self.config.model_bytes);
        }
    }

    /// So many bytes of demand were sent or came.
    pub(super) fn earn(&mut self, bytes: usize) {
        if let Some(trail) = &mut self.shared.trail {
            trail.earn(bytes);
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
