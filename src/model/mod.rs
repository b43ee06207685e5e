//! One model out of many clients: what each learned goes up as summaries, what all learned comes down as a snapshot.
//!
//! ```text
//! client: requests -> Trail -> rides on a batch -> gateway: Observer -> Summary -> leader: Merger -> ModelSnapshot
//!                                                                          new client: PrefetchEngine <- import
//! ```
//!
//! * A [`Summary`] says which keys an instance's streams asked for, one after the other. Everything else that a model
//!   consists of follows from that, so that nobody can claim it: pairs and templates are derived where summaries are
//!   merged, and how far to trust them is found out by a [`Judge`] that plays a new client along the same paths.
//! * A [`Merger`] is a commutative, associative and idempotent fold of summaries, each named by instance and epoch
//!   (a state-based CRDT; Shapiro et al., 2011). Counts decay by the hour (forward decay; Cormode et al., 2009), and a
//!   client's part in any count is bounded.
//! * A snapshot names a key only if at least `k` clients went the same way to it.

mod builder;
mod clients;
mod decay;
mod judge;
mod merger;
mod selection;
mod shared;
mod summary;

pub use builder::SnapshotOptions;
pub use clients::ClientId;
pub use judge::Judge;
pub use merger::{MergeOutcome, Merger, MergerConfig, MergerStats};
pub use shared::{SharedModel, SharedModelConfig};
pub use summary::{Path, Step, Summary};
