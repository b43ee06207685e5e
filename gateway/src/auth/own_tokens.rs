//! [`OwnTokens`]: what a process signs for its own requests.

use std::collections::BTreeMap;
use std::sync::Arc;

use foremap::Millis;
use foremap::key::KeyPrefix;
use parking_lot::Mutex;

use super::{Grant, TokenKey, Verb};

/// Validity of a token that the process signs for a request of its own, in seconds: clocks may differ by a few more.
const TOKEN_S: u64 = 10;
/// Time for which one is used, in milliseconds.
const TOKEN_USE_MS: Millis = 5_000;

/// Tokens by whom they are for and what they allow, each with when it was signed.
type Signed = BTreeMap<(Arc<str>, &'static [Verb]), (Arc<str>, Millis)>;

/// Signs tokens that are good for some verbs at one origin, and for seconds: whoever gets hold of one can do nothing with it
/// elsewhere. Memory: a few tokens for each origin that is [retained](Self::retain).
pub(crate) struct OwnTokens {
    /// The key that the peers check with.
    key: Option<TokenKey>,
    signed: Mutex<Signed>,
}

impl OwnTokens {
    /// Without a key it signs nothing.
    pub(crate) fn new(key: Option<TokenKey>) -> Self {
        Self { key, signed: Mutex::default() }
    }

    /// Forgets the tokens for all origins but those that `is_known`.
    pub(crate) fn retain(&self, is_known: impl Fn(&str) -> bool) {
        self.signed.lock().retain(|(origin, _), _| is_known(origin));
    }

    /// A token that allows `verbs` on every key at `origin`.
    pub(crate) fn token(&self, now: Millis, origin: &str, verbs: &'static [Verb]) -> Option<Arc<str>> {
        let key = self.key.as_ref()?;
        let at = (Arc::from(origin), verbs);
        let known = self.signed.lock().get(&at).filter(|(_, signed)| now < signed + TOKEN_USE_MS).cloned();
        if let Some((token, _)) = known {
            return Some(token);
        }
        let (audience, prefixes) = (Some(origin), &[KeyPrefix::default()]);
        let grant = Grant { audience, verbs, prefixes, ttl_s: TOKEN_S, ..Grant::default() };
        let token: Arc<str> = key.sign_grant(grant)?.into();
        self.signed.lock().insert(at, (token.clone(), now));
        Some(token)
    }
}
