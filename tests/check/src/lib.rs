//! Histories of client operations, and the check whether every promise was kept.
//!
//! A [`History`] holds what clients asked, when, and what they were told, on one clock; and what the store holds after
//! all faults have ended. [`check`] needs nothing else: it does not know how the system works, so it serves the
//! simulation and real processes alike.
//!
//! The store gives every write a version, and versions order the writes of a key. So, other than in general
//! (P. Gibbons and E. Korach, "Testing Shared Memories", SIAM J. Comput. 26(4), 1997), linearizability need not be
//! searched for: an order is given, and the question is only whether the clock allows it. That takes O(n log n) for n
//! operations on a key.
//!
//! | Module | Rule |
//! |---|---|
//! | `versions` | nothing is invented: a value read was written, and value and version belong together |
//! | `windows` | writes, strong reads and conflicts are linearizable per key, in the order of versions |
//! | `answers` | bounded reads keep their bound, every read the age that it claims; sessions never go back |
//! | `finals` | nothing that was acknowledged or seen is lost |

mod answers;
mod finals;
mod history;
mod key_ops;
mod summary;
mod versions;
mod violation;
mod windows;

use std::collections::BTreeMap;

pub use history::{Final, Found, History, Kept, Level, Outcome, Read, Time, Write};
pub use summary::Summary;
pub use violation::{Rule, Violation};

use key_ops::KeyOps;
use versions::Versions;
use windows::Windows;

/// Checks `history`. O(n log n) for n operations.
///
/// # Errors
/// The first [`Violation`] found, key by key in their order.
pub fn check(history: &History) -> Result<Summary, Violation> {
    let mut keys: BTreeMap<&str, KeyOps<'_>> = BTreeMap::new();
    for write in &history.writes {
        keys.entry(&write.key).or_default().writes.push(write);
    }
    for read in &history.reads {
        keys.entry(&read.key).or_default().reads.push(read);
    }
    for last in &history.finals {
        keys.entry(&last.key).or_default().last = Some(last);
    }
    for (key, ops) in &mut keys {
        ops.key = key;
        check_key(ops, history.slack)?;
    }
    Ok(Summary::of(history, keys.len()))
}

fn check_key(ops: &KeyOps<'_>, slack: Time) -> Result<(), Violation> {
    let versions = Versions::of(ops)?;
    let windows = Windows::of(ops, &versions)?;
    answers::check(ops, &versions, &windows, slack)?;
    finals::check(ops, &versions)
}

#[cfg(test)]
#[path = "linearizable_tests.rs"]
mod linearizable_tests;
#[cfg(test)]
#[path = "rules_tests.rs"]
mod rules_tests;
