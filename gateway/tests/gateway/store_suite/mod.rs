//! Duties of every store, a part for each of its subjects. Run it with a function that opens an empty store; one behind
//! a network through [`Patient`](crate::patient::Patient), as an answer that comes too late is none of what is tested here.

mod change_log;
mod harness;
mod lifecycle;
mod namespace;
mod registry;
mod status;
mod values;

pub(crate) use self::harness::{LOG_ENTRIES, VERSIONS};

use self::harness::Shared;

/// Runs the suite; `open` opens a new, empty store that keeps [`VERSIONS`] and [`LOG_ENTRIES`].
pub(crate) async fn conformance(open: impl Fn() -> Shared) {
    values::conformance(&open).await;
    change_log::conformance(&open).await;
    namespace::conformance(&open).await;
    registry::conformance(&open).await;
    status::conformance(&open).await;
    lifecycle::conformance(&open).await;
}
