//! The model that all clients share, as one of them reads it and adds to it.

use super::config::Share;
use super::demand::Adapter;
use crate::codec::DecodeError;
use crate::model::Summary;
use crate::protocol::ModelSnapshot;

impl Adapter {
    /// Takes over a model that was read from a gateway, in place of one from before; what was learnt here stays, and goes
    /// before it where the two differ. Without sharing nothing happens. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a model; nothing is taken over then.
    pub fn import_model(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        if self.config.share == Share::Off {
            return Ok(());
        }
        self.engine.import(&ModelSnapshot::decode(bytes)?)
    }

    /// What to tell of the requests since it last told, at most `max_bytes`: the body of `POST /v1/summaries`. `None`
    /// where there is nothing to tell, where its demand has not paid for it, or where it does not tell. O(requests).
    pub fn tell(&mut self, max_bytes: usize) -> Option<Vec<u8>> {
        self.trail.as_mut()?.tell(max_bytes.min(Summary::MAX_BYTES))
    }

    /// So many bytes of demand were sent or came.
    pub(super) fn earn(&mut self, bytes: usize) {
        if let Some(trail) = &mut self.trail {
            trail.earn(bytes);
        }
    }
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
