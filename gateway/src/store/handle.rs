//! [`Store`]: all subjects of a store at once.

use super::{ChangeLog, Lifecycle, Namespace, Registry, StoreStatus, Values};

/// A durable store of one namespace: whatever implements its subjects. `Arc<dyn Store>` is the handle on it; a function
/// that needs one subject takes that one.
///
/// Implementations pass the conformance suite in `tests/gateway/store_suite`, which has a part for each subject.
pub trait Store: Values + ChangeLog + Namespace + Registry + StoreStatus + Lifecycle {}

impl<S: Values + ChangeLog + Namespace + Registry + StoreStatus + Lifecycle> Store for S {}
