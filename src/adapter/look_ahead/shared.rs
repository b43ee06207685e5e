//! [`Shared`]: the model that all clients share, as one of them reads it and adds to it.

use std::sync::Arc;

use crate::Millis;
use crate::adapter::config::{AdapterConfig, Share};
use crate::adapter::stats::ModelStats;
use crate::analyzer::Access;
use crate::codec::DecodeError;
use crate::key::CompositeKey;
use crate::model::{Summary, Trail};
use crate::prefetch::PrefetchEngine;
use crate::protocol::{BatchRequest, MAX_SNAPSHOT_BYTES, ModelSnapshot, ModelWish, apply_model_delta, is_model_delta};

/// Part of the prefetch engine's memory that is set aside for a shared model: an eighth, half a megabyte of four, holds
/// several times what 64 KiB unfold to.
const PRIOR: usize = 8;
/// Time that a model is good for. In the traces of `cargo xtask bench model` reading it again after ten minutes brought a tab 0 to
/// 6 points.
const REFRESH_MS: Millis = 600_000;
/// Pause before the next wish where there was no model; twice as long each time.
const RETRY_MS: Millis = 5_000;

/// Part of a client in the shared model.
#[derive(Debug, Default)]
pub(super) struct Shared {
    share: Share,
    /// Most bytes of a model to wish for; 0 where none is to be read.
    wished_bytes: u32,
    /// Requests that it may tell of, if it does.
    trail: Option<Box<Trail>>,
    /// [`ModelSnapshot::made`] of the one that was taken over.
    known: u64,
    /// Its binary form, which the next one may come as a difference from.
    bytes: Vec<u8>,
    /// Earliest moment of the next wish.
    wish_at: Millis,
    /// Wishes since the last model.
    unheard: u32,
    counted: ModelStats,
}

impl Shared {
    /// Sets aside the memory that it takes.
    pub(super) fn new(config: &mut AdapterConfig) -> Self {
        if config.share != Share::Off {
            config.prefetch.analyzer.prior_bytes = config.prefetch.analyzer.memory_bytes / PRIOR;
        }
        let trail = (config.share == Share::Both).then(|| Box::new(Trail::new(config.seed)));
        // Where nothing may be fetched ahead, a model would be of no use.
        let wished_bytes = if config.prefetch.enabled { config.model_bytes } else { 0 };
        Self { share: config.share, wished_bytes, trail, ..Self::default() }
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

    /// Takes over a model, whole or as a difference; what was learnt here stays.
    pub(super) fn import(&mut self, bytes: &[u8], engine: &mut PrefetchEngine) -> Result<(), DecodeError> {
        let is_delta = is_model_delta(bytes);
        let imported = self.whole(bytes).and_then(|bytes| {
            let snapshot = ModelSnapshot::decode(&bytes)?;
            // The difference from a model to itself says that there is no other one.
            if !is_delta || snapshot.made != self.known {
                engine.import(&snapshot)?;
            }
            Ok((snapshot.made, bytes))
        });
        match imported {
            Ok((made, bytes)) => {
                (self.known, self.bytes, self.unheard) = (made, bytes, 0);
                self.wish_at += REFRESH_MS;
                self.counted.imported += 1;
                self.counted.deltas += u64::from(is_delta);
                Ok(())
            }
            Err(error) => {
                self.counted.refused += 1;
                if is_delta {
                    (self.known, self.bytes) = (0, Vec::new());
                }
                Err(error)
            }
        }
    }

    /// Returns whether it takes part at all.
    pub(super) fn is_on(&self) -> bool {
        self.share != Share::Off
    }

    /// The binary form of the model at hand.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Notes a request, to be told of.
    pub(super) fn note(&mut self, stream: &str, key: &CompositeKey, access: Access) {
        if let Some(trail) = &mut self.trail {
            trail.note(stream, key, access == Access::Hit);
        }
    }

    /// So many bytes of demand were sent or came.
    pub(super) fn earn(&mut self, bytes: usize) {
        if let Some(trail) = &mut self.trail {
            trail.earn(bytes);
        }
    }

    /// Tells of the requests since it last told, in at most `max_bytes`.
    pub(super) fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        let told = self.trail.as_mut()?.tell(max_bytes.min(Summary::MAX_BYTES))?;
        self.count_told(told.len());
        Some(told)
    }

    /// Lets a batch tell what led to it.
    pub(super) fn tell_along(&mut self, origin: &Arc<str>, request: &mut BatchRequest) {
        request.rider = self.trail.as_mut().and_then(|trail| trail.ride(origin, &request.items));
        if let Some(bytes) = request.rider.as_ref().map(|rider| rider.len()) {
            self.count_told(bytes);
        }
    }

    fn count_told(&mut self, bytes: usize) {
        self.counted.told += 1;
        self.counted.told_bytes += bytes as u64;
    }

    /// A wish for a model, when one is due.
    pub(super) fn wish(&mut self, now: Millis) -> Option<ModelWish> {
        if self.wished_bytes == 0 || now < self.wish_at {
            return None;
        }
        self.wish_at = now + (RETRY_MS << self.unheard.min(10)).min(REFRESH_MS);
        self.unheard += 1;
        self.counted.wishes += 1;
        Some(ModelWish { bytes: self.wished_bytes, known: self.known })
    }
}
