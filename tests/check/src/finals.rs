//! Keymaps that must still be there at the end.

use super::key_ops::KeyOps;
use super::versions::Versions;
use super::{Rule, Violation};

/// Checks the end of a key's history. O(n r) for r kept versions.
///
/// # Errors
/// A version that is gone, or not in its place.
pub(crate) fn check(ops: &KeyOps<'_>, versions: &Versions<'_>) -> Result<(), Violation> {
    let Some(last) = ops.last else { return Ok(()) };
    let violated = |detail| Err(Violation::new(Rule::Lost, ops.key, detail));
    let kept: Vec<u64> = last.kept.iter().map(|kept| kept.version).collect();
    if !kept.is_sorted_by(|newer, older| newer > older) || kept.len() > last.retention {
        return violated(format!("kept versions are not in order, or more than {}: {kept:?}", last.retention));
    }
    let listed = last.kept.first().filter(|kept| kept.value.is_some()).map(|kept| kept.version);
    let found = last.newest.as_ref().map(|found| found.version);
    if listed != found {
        return violated(format!("in the end {found:?} is found, but the newest of {kept:?} is {listed:?}"));
    }
    let oldest = if kept.len() < last.retention { 0 } else { kept.last().copied().unwrap_or(0) };
    for (version, known) in versions.all.range(oldest..).rev() {
        if !kept.contains(version) {
            return violated(format!("version {version}, {}, is not among {kept:?}: {}", known.state, known.proof.1));
        }
    }
    Ok(())
}
