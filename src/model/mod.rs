//! One model out of many clients: what each learned goes up as summaries, what all learned comes down as a snapshot.
//!
//! ```text
//! client: requests -> Trail -> Rider on a batch -> gateway: Observer -> Summary -> leader: Merger -> ModelSnapshot
//!                                                                          new client: PrefetchEngine <- import
//! ```
//!
//! ```
//! use foremap::key::CompositeKey;
//! use foremap::model::{ClientId, Merger, MergerConfig, Path, SnapshotOptions, PathStep, Summary};
//!
//! let mut merger = Merger::new(MergerConfig::default());
//! for client in 0..40 {
//!     let names = ["shop/list".to_owned(), "shop/item".to_owned(), format!("basket/{client}")];
//!     let keys = names.iter().map(|name| CompositeKey::parse(name)).collect::<Result<_, _>>()?;
//!     let steps = (0..3).map(|key| PathStep { key, repeated: false }).collect();
//!     let summary = Summary { instance: client, epoch: 1, keys, paths: vec![Path { told: 0, steps }] };
//!     merger.merge(0, ClientId(client), &summary);
//!     merger.merge(0, ClientId(client), &summary); // told twice, counted once
//! }
//! let options =
//!     SnapshotOptions { min_clients: 5, is_shared: &|_| false, max_bytes: 1 << 16, compressed: &<[u8]>::len };
//! assert_eq!(merger.snapshot(1, &options).keys, ["shop/item", "shop/list"]); // and nobody's basket
//! assert_eq!((merger.stats().merged, merger.stats().known), (40, 40));
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
//!
//! * A [`Summary`] says which keys an instance's streams asked for, one after the other. Everything else that a model
//!   consists of follows from that, so that nobody can claim it: pairs and templates are derived where summaries are
//!   merged, and how far to trust them is found out by a [`Judge`] that plays a new client along the same paths.
//! * A [`Merger`] adds up summaries, each named by instance and epoch: in any order, in any grouping and however often
//!   each of them comes, the sums are the same. With each snapshot counts beyond a window fade, and a client's part in
//!   any count is bounded.
//! * Gateways keep what they are told in an [`Outbox`], which the leader empties; its [`ModelKeeper`] decides when a
//!   snapshot is due, and when what was merged is to be stored, so that the next leader goes on from there.
//! * A snapshot names a key only if at least `k` clients went the same way to it.

mod allowance;
mod builder;
mod clients;
mod earlier;
#[cfg(not(target_arch = "wasm32"))]
mod inbox;
mod judge;
mod keeper;
mod merger;
mod observer;
mod outbox;
mod selection;
mod shared;
mod sizes;
mod state;
mod summary;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod testing;
mod texts;
mod trail;

pub use allowance::Allowances;
pub use builder::SnapshotOptions;
pub use clients::ClientId;
pub use earlier::Earlier;
#[cfg(not(target_arch = "wasm32"))]
pub use inbox::{Inbox, InboxStats};
pub use judge::Judge;
pub use keeper::{KeeperConfig, ModelKeeper, RoundResults};
pub use merger::{MergeOutcome, Merger, MergerConfig, MergerStats};
pub use observer::{Observer, ObserverStats};
pub use outbox::{Handover, Outbox, OutboxStats, ToldSummary};
pub use shared::{SharedModel, SharedModelConfig};
pub use sizes::{CLASSES, DEFAULT_BYTES, MAX_TOLD_BYTES, NAMED_BYTES, class_named, class_of, distinct, restricted};
pub use summary::{Path, PathStep, Summary};
pub use trail::Trail;
