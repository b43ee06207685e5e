//! `GET /v1/list` in binary form.

use super::{ClockReading, Keymap, ReadPoint};
use crate::partition::Epoch;

/// A page of a list: keymaps in key order, each with what it is current as of.
///
/// It says nothing about keys that are not on it: a key may have been created meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The gateway's epoch.
    pub epoch: Epoch,
    /// Reading of its clock when it answered.
    pub clock: Option<ClockReading>,
    /// At most [`MAX_PAGE`](super::MAX_PAGE) keymaps.
    pub items: Vec<(Keymap, ReadPoint)>,
    /// Cursor of the next page; `None` where this is the last.
    pub next: Option<String>,
}
