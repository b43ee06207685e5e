//! The model that all clients share, as one of them reads it and adds to it.

use std::sync::Arc;

use super::config::Share;
use super::demand::Adapter;
use super::stats::ModelStats;
use crate::Millis;
use crate::codec::DecodeError;
use crate::model::{Summary, Trail};
use crate::prefetch::Caution;
use crate::protocol::{BatchRequest, ModelSnapshot, ModelWish};

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
        ModelStats { made: self.known, untold, max_untold: Trail::BOUND, ..self.counted }
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
    /// Takes over a model that was read from a gateway, in place of one from before; what was learnt here stays, and goes
    /// before it where the two differ. What it makes likely after the latest request is fetched ahead at once. Without sharing
    /// nothing happens. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a model; nothing is taken over then.
    pub fn import_model(&mut self, now: Millis, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.config.share == Share::Off {
            return Ok(());
        }
        let shared = &mut self.shared;
        let imported = ModelSnapshot::decode(bytes).and_then(|snapshot| {
            self.engine.import(&snapshot)?;
            Ok(snapshot.made)
        });
        match imported {
            Ok(made) => {
                (shared.known, shared.unheard) = (made, 0);
                shared.wish_at += REFRESH_MS;
                shared.counted.imported += 1;
                shared.counted.bytes = bytes.len();
                self.prefetch_again(now);
                Ok(())
            }
            Err(error) => {
                shared.counted.refused += 1;
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
