//! Rights of a request.

use std::sync::Arc;

use foremap::key::{CompositeKey, KeyPrefix};
use foremap::node::Subject;
use foremap::protocol::{ErrorCode, Problem};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Action that a token allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// Read keymaps, and hear of their changes.
    Get,
    /// Write keymaps.
    Put,
    /// Delete keymaps and versions.
    Delete,
    /// List keymaps.
    List,
    /// Operate the node, as far as the prefixes reach.
    Admin,
    /// Scrape metrics.
    Metrics,
    /// Ask as a gateway of the fleet. Gateways sign it for each other.
    Peer,
}

impl Verb {
    /// Its name in tokens.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Admin => "admin",
            Self::Metrics => "metrics",
            Self::Peer => "peer",
        }
    }

    /// All of them.
    pub const ALL: [Self; 7] = [Self::Get, Self::Put, Self::Delete, Self::List, Self::Admin, Self::Metrics, Self::Peer];

    /// The verb called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.name() == name)
    }
}

/// Verbs and prefixes of one request's token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenScope {
    /// `None` is everything: the node checks no tokens.
    granted: Option<(Vec<Verb>, Vec<KeyPrefix>)>,
    expires_at: Option<u64>,
    subject: Subject,
    is_named: bool,
}

impl TokenScope {
    /// Everything.
    pub fn all() -> Self {
        Self { granted: None, expires_at: None, subject: Subject::default(), is_named: false }
    }

    /// `verbs` on keys below `prefixes`, until `expires_at`, for who is called `sub`. All who have no name and may do the
    /// same are one subject.
    pub fn new(sub: Option<&str>, verbs: Vec<Verb>, prefixes: Vec<KeyPrefix>, expires_at: u64) -> Self {
        let mut hash = Sha256::new();
        match sub {
            Some(sub) => hash.update(format!("sub {sub}")),
            None => {
                let (mut verbs, mut prefixes) = (verbs.clone(), prefixes.clone());
                verbs.sort_unstable_by_key(|verb| verb.name());
                prefixes.sort();
                verbs.iter().for_each(|verb| hash.update(format!("verb {} ", verb.name())));
                prefixes.iter().for_each(|prefix| hash.update(format!("prefix {}\n", prefix.as_str())));
            }
        }
        let subject = hash.finalize().iter().take(16).fold(0, |sum, &byte| (sum << 8) | u128::from(byte));
        let (granted, is_named) = (Some((verbs, prefixes)), sub.is_some());
        Self { granted, expires_at: Some(expires_at), subject: Subject(subject), is_named }
    }

    /// Subject of the token; the default where the node checks no tokens.
    pub fn subject(&self) -> Subject {
        self.subject
    }

    /// Tells whether there is a token that says whose it is.
    pub fn is_named(&self) -> bool {
        self.is_named
    }

    /// Tells whether there is a token; otherwise the node checks none.
    pub fn is_verified(&self) -> bool {
        self.granted.is_some()
    }

    /// The prefixes that it is confined to; `None` is every key.
    pub fn prefixes(&self) -> Option<Arc<[KeyPrefix]>> {
        let (_, prefixes) = self.granted.as_ref()?;
        (!prefixes.iter().any(|prefix| prefix.depth() == 0)).then(|| prefixes.as_slice().into())
    }

    /// When it ends, in seconds since 1970; `None` is never. What outlives a request must look at it.
    pub fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// # Errors
    /// `FORBIDDEN` without `verb`.
    pub fn require(&self, verb: Verb) -> Result<(), Problem> {
        match &self.granted {
            Some((verbs, _)) if !verbs.contains(&verb) => Err(forbidden(&format!("the verb `{}`", verb.name()))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// `FORBIDDEN` without one of `verbs` on every key: for what shows or changes more than a part of them.
    pub fn require_everywhere(&self, verbs: &[Verb]) -> Result<(), Problem> {
        let Some((granted, _)) = &self.granted else { return Ok(()) };
        if !verbs.iter().any(|verb| granted.contains(verb)) {
            let names: Vec<String> = verbs.iter().map(|verb| format!("`{}`", verb.name())).collect();
            return Err(forbidden(&format!("the verb {}", names.join(" or "))));
        }
        if self.prefixes().is_some() { Err(forbidden("every key, and this is about all of them")) } else { Ok(()) }
    }

    /// Tells whether the caller is a gateway or worker of the fleet, which speaks for others.
    pub fn is_peer(&self) -> bool {
        self.require_everywhere(&[Verb::Peer, Verb::Admin]).is_ok()
    }

    /// # Errors
    /// `FORBIDDEN` without `verb`, or where no prefix covers `key`.
    pub fn require_key(&self, verb: Verb, key: &CompositeKey) -> Result<(), Problem> {
        self.require(verb)?;
        if self.covers(key) { Ok(()) } else { Err(forbidden("this key")) }
    }

    /// # Errors
    /// `FORBIDDEN` without `verb`, or where `prefix` reaches beyond every prefix of the token.
    pub fn require_prefix(&self, verb: Verb, prefix: &KeyPrefix) -> Result<(), Problem> {
        self.require(verb)?;
        match &self.granted {
            Some((_, prefixes)) if !prefixes.iter().any(|p| prefix.slashed().starts_with(p.slashed())) => {
                Err(forbidden("this prefix"))
            }
            _ => Ok(()),
        }
    }

    /// Tells whether some prefix covers `key`.
    pub fn covers(&self, key: &CompositeKey) -> bool {
        self.granted.as_ref().is_none_or(|(_, prefixes)| prefixes.iter().any(|p| p.covers(key)))
    }
}

fn forbidden(what: &str) -> Problem {
    Problem::new(ErrorCode::Forbidden, format!("the token does not cover {what}"))
}
