//! [`Seal`]: what steers gateways, marked by one of them.
//!
//! Whoever reads a map goes where it says, with its token. So a map, a registration or a blob in a store that strangers can write
//! to counts only if it carries an HMAC-SHA-256 (RFC 2104) of its purpose and its bytes under the fleet's token key. Who has no
//! such key serves nobody but its own machine, and marks nothing. A seal says who wrote, not when: a stranger can put back what a
//! gateway once wrote, and can destroy; that is for the access control of the store to prevent.

use crate::auth::TokenKey;
use crate::store::StoreError;

/// Ends what is sealed. The forms that are sealed have a length, so none of them ends in these bytes by chance alone.
const MAGIC: [u8; 4] = *b"FMSL";
const SEAL_BYTES: usize = 32 + MAGIC.len();

/// Seals and opens what is kept in one namespace.
#[derive(Clone)]
pub(super) struct Seal {
    key: Option<TokenKey>,
    namespace: String,
}

/// Content of an opened seal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opened {
    pub(super) content: Vec<u8>,
    /// The secret that sealed it is about to go, or there was none.
    pub(super) is_old: bool,
}

impl Seal {
    pub(super) fn new(key: Option<TokenKey>, namespace: &str) -> Self {
        Self { key, namespace: namespace.to_owned() }
    }

    fn purpose(&self, name: &str) -> String {
        format!("foremap seal 1\0{}\0{name}\0", self.namespace)
    }

    /// `content` with its seal as what is called `name`; as it is, where there is no key.
    pub(super) fn close(&self, name: &str, mut content: Vec<u8>) -> Vec<u8> {
        if let Some(mark) = self.key.as_ref().and_then(|key| key.mark(&self.purpose(name), &content)) {
            content.extend_from_slice(&mark);
            content.extend_from_slice(&MAGIC);
        }
        content
    }

    /// Takes the seal off.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for a seal that is missing, is of another name or key, or cannot be checked here.
    pub(super) fn open(&self, name: &str, mut bytes: Vec<u8>) -> Result<Opened, StoreError> {
        let is_sealed = bytes.len() >= SEAL_BYTES && bytes.ends_with(&MAGIC);
        let refused = |why: &str| Err(StoreError::Corrupt(format!("the {name} {why}")));
        let Some(key) = &self.key else {
            return match is_sealed {
                true => refused("carries the seal of a token key: start with --token-key, as the other gateways do"),
                false => Ok(Opened { content: bytes, is_old: false }),
            };
        };
        if !is_sealed {
            return refused("carries no seal: no gateway with a token key wrote it");
        }
        let content = bytes.len() - SEAL_BYTES;
        let (body, mark) = bytes.split_at(content);
        match key.marked(&self.purpose(name), body, &mark[..mark.len() - MAGIC.len()]) {
            Some(secret) => {
                bytes.truncate(content);
                Ok(Opened { content: bytes, is_old: secret > 0 })
            }
            None => refused("carries a seal of another token key: no gateway with this one wrote it"),
        }
    }

    /// Tells whether the secret that seals is another one than at `known`, and notes it.
    pub(super) fn is_renewed(&self, known: &mut Option<[u8; 32]>) -> bool {
        let now = self.key.as_ref().and_then(|key| key.mark("foremap seal 1", &[]));
        let is_renewed = *known != now;
        *known = now;
        is_renewed
    }
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
