//! Signing and verifying tokens.

use foremap::key::KeyPrefix;
use foremap::protocol::{ErrorCode, Problem};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Header, Validation, get_current_timestamp};
use serde::{Deserialize, Deserializer, Serialize};

use super::{TokenKey, TokenScope, Verb};

/// Clock difference that is tolerated, in seconds.
const LEEWAY_S: u64 = 5;

/// Claims of a token (RFC 7519).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Expiry in seconds since 1970. A fraction is rounded up.
    #[serde(deserialize_with = "seconds")]
    pub exp: u64,
    /// Names of those it is for, where it is not for everybody who knows the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// Name of its owner: what is shared out among many, such as change feeds, is shared out by subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// Actions that it allows; verbs that this build does not know are no use and no harm.
    pub verbs: Vec<String>,
    /// On which keys, compared by whole components; the empty prefix is every key.
    pub prefixes: Vec<KeyPrefix>,
}

/// One name, or several of which one is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audience {
    /// Tells whether it has one of `names`.
    pub fn has(&self, names: &[String]) -> bool {
        match self {
            Self::One(name) => names.contains(name),
            Self::Several(several) => several.iter().any(|name| names.contains(name)),
        }
    }
}

/// Contents of a token to sign.
#[derive(Debug, Clone, Copy, Default)]
pub struct Grant<'a> {
    /// Name of its owner.
    pub subject: Option<&'a str>,
    /// Name of the one it is for.
    pub audience: Option<&'a str>,
    /// Actions that it allows.
    pub verbs: &'a [Verb],
    /// On which keys.
    pub prefixes: &'a [KeyPrefix],
    /// Validity, in seconds.
    pub ttl_s: u64,
}

impl TokenKey {
    /// A token for `verbs` on keys below `prefixes`, valid for `ttl_s` seconds. `None` where signing fails.
    pub fn sign(&self, verbs: &[Verb], prefixes: &[KeyPrefix], ttl_s: u64) -> Option<String> {
        self.sign_grant(Grant { verbs, prefixes, ttl_s, ..Grant::default() })
    }

    /// The same, for the subject `subject`.
    pub fn sign_for(
        &self,
        subject: Option<&str>,
        verbs: &[Verb],
        prefixes: &[KeyPrefix],
        ttl_s: u64,
    ) -> Option<String> {
        self.sign_grant(Grant { subject, verbs, prefixes, ttl_s, ..Grant::default() })
    }

    /// A token that says `grant`. `None` where signing fails.
    pub fn sign_grant(&self, grant: Grant<'_>) -> Option<String> {
        let claims = Claims {
            exp: get_current_timestamp().saturating_add(grant.ttl_s),
            aud: grant.audience.map(|name| Audience::One(name.to_owned())),
            sub: grant.subject.map(str::to_owned),
            verbs: grant.verbs.iter().map(|verb| verb.name().to_owned()).collect(),
            prefixes: grant.prefixes.to_vec(),
        };
        let secrets = self.current();
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secrets.first()?.encoding).ok()
    }

    /// Returns what `token` allows whoever goes by `names`.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a token that is forged, expired, not valid yet, for somebody else, without expiry or malformed.
    pub fn verify(&self, token: &str, names: &[String]) -> Result<TokenScope, Problem> {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        // That of the crate wants every name of the token, and takes no token with names where there are none.
        validation.validate_aud = false;
        let mut refusal = None;
        for secret in self.current().iter() {
            match jsonwebtoken::decode::<Claims>(token, &secret.decoding, &validation) {
                Ok(data) => return scope(data.claims, names),
                // The other secret may have signed it.
                Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => refusal = refusal.or(Some(error)),
                Err(error) => return Err(refused(&error)),
            }
        }
        Err(refusal.map_or_else(|| refused(&"there is no key"), |error| refused(&error)))
    }
}

fn scope(claims: Claims, names: &[String]) -> Result<TokenScope, Problem> {
    let Claims { exp, aud, sub, verbs, prefixes } = claims;
    if aud.is_some_and(|aud| !aud.has(names)) {
        return Err(refused(&"it is for somebody else (`aud`)"));
    }
    let verbs = verbs.iter().filter_map(|verb| Verb::parse(verb)).collect();
    Ok(TokenScope::new(sub.as_deref(), verbs, prefixes, exp.saturating_add(LEEWAY_S)))
}

fn refused(why: &dyn std::fmt::Display) -> Problem {
    Problem::new(ErrorCode::Unauthenticated, format!("the token is refused: {why}"))
}

/// A NumericDate (RFC 7519, 2), which may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let fraction = || number.as_f64().filter(|&at| at.is_finite() && at >= 0.0 && at < u64::MAX as f64);
    let whole = number.as_u64().or_else(|| fraction().map(|at| at.ceil() as u64));
    whole.ok_or_else(|| serde::de::Error::custom("a time is a number of seconds since 1970"))
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
