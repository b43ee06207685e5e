//! Signing and verifying tokens.

use std::fmt;
use std::path::Path;

use foremap::key::KeyPrefix;
use foremap::protocol::{ErrorCode, Problem};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, get_current_timestamp};
use serde::{Deserialize, Serialize};

use super::{Scope, Verb, hs256};

/// Claims of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Expiry in seconds since 1970.
    pub exp: u64,
    /// Whose it is: what is shared out among many, such as change feeds, is shared out by subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// What it allows; verbs that this build does not know are no use and no harm.
    pub verbs: Vec<String>,
    /// On which keys, compared by whole components; the empty prefix is every key.
    pub prefixes: Vec<KeyPrefix>,
}

/// Why a key file cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// It cannot be read.
    Io(std::io::Error),
    /// Everybody on the machine can read it.
    Exposed,
    /// It holds less than [`TokenKey::MIN_BYTES`] bytes.
    Short,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Exposed => f.write_str("everybody on this machine can read it: chmod 600"),
            Self::Short => write!(f, "a token key has at least {} bytes", TokenKey::MIN_BYTES),
        }
    }
}

impl std::error::Error for KeyError {}

/// The secret that tokens are signed with (HS256).
#[derive(Clone)]
pub struct TokenKey {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl TokenKey {
    /// Shortest key: as long as the hash (RFC 7518, 3.2).
    pub const MIN_BYTES: usize = 32;
    /// Clock difference that is tolerated, in seconds.
    const LEEWAY_S: u64 = 5;

    /// Reads the key from a file that not everybody can read; white space around it does not belong to it.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).map_err(KeyError::Io)?.permissions())
            & 0o007
            != 0
        {
            return Err(KeyError::Exposed);
        }
        let bytes = std::fs::read(path).map_err(KeyError::Io)?;
        Self::new(bytes.trim_ascii())
    }

    /// A key of at least [`TokenKey::MIN_BYTES`] bytes.
    ///
    /// # Errors
    /// [`KeyError::Short`].
    pub fn new(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < Self::MIN_BYTES {
            return Err(KeyError::Short);
        }
        hs256::install();
        Ok(Self { encoding: EncodingKey::from_secret(secret), decoding: DecodingKey::from_secret(secret) })
    }

    /// A token for `verbs` on keys below `prefixes`, valid for `ttl_s` seconds. `None` where signing fails.
    pub fn sign(&self, verbs: &[Verb], prefixes: &[KeyPrefix], ttl_s: u64) -> Option<String> {
        self.sign_for(None, verbs, prefixes, ttl_s)
    }

    /// The same, for the subject `sub`.
    pub fn sign_for(&self, sub: Option<&str>, verbs: &[Verb], prefixes: &[KeyPrefix], ttl_s: u64) -> Option<String> {
        let claims = Claims {
            exp: get_current_timestamp().saturating_add(ttl_s),
            sub: sub.map(str::to_owned),
            verbs: verbs.iter().map(|verb| verb.name().to_owned()).collect(),
            prefixes: prefixes.to_vec(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).ok()
    }

    /// What `token` allows.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a token that is forged, expired, without expiry or malformed.
    pub fn verify(&self, token: &str) -> Result<Scope, Problem> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = Self::LEEWAY_S;
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &validation)
            .map_err(|error| Problem::new(ErrorCode::Unauthenticated, format!("the token is refused: {error}")))?;
        let verbs = data.claims.verbs.iter().filter_map(|verb| Verb::parse(verb)).collect();
        let Claims { exp, sub, prefixes, .. } = data.claims;
        Ok(Scope::new(sub.as_deref(), verbs, prefixes, exp.saturating_add(Self::LEEWAY_S)))
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
