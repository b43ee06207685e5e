//! [`Subscriber`]: the reader of a feed.

use std::sync::Arc;

use super::shares::Subject;
use crate::Millis;
use crate::key::KeyPrefix;

/// Reader of a feed. The default one is everybody, may hear of everything, and stays as long as any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subscriber {
    /// The subject that may extend the feed.
    pub subject: Subject,
    /// In whose share of the places it is.
    pub share: Subject,
    /// The keys whose changes it is told; `None` is all.
    pub prefixes: Option<Arc<[KeyPrefix]>>,
    /// When its right to read ends.
    pub until: Option<Millis>,
}
