//! The DHT node: who answers a key, from memory or the store, and how current the answer is.
//!
//! A node is sans-I/O. A batch becomes a [`Pending`] (`begin`), whose store
//! reads and forwards the host performs and hands back (`finish_store`,
//! `finish_forward`) until `finish` yields the answer:
//!
//! ```text
//! begin -> loop { take_reads, take_forwards -> finish_store, finish_forward } -> finish
//! ```
//!
//! ```
//! use foremap::node::{LogPage, Node, NodeConfig, StoreAnswer};
//! use foremap::protocol::{BatchItem, BatchRequest, Class, Outcome};
//! # use foremap::key::CompositeKey;
//! # use foremap::partition::{MapNode, PartitionMap, StorageLayout};
//! # let nodes = vec![MapNode { id: 1, origin: "http://node-1".into(), weight: 1 }];
//! # let map = PartitionMap::new(7, 64, StorageLayout { shards: 1, depth: 1, fan: 1 }, nodes);
//! # let item = BatchItem { key: CompositeKey::parse("user/1/profile")?, if_version: None, class: Class::Demand };
//!
//! let node = Node::new(NodeConfig::new(1, 9), map.into())?;
//! node.apply_log(0, &LogPage { position: 100, complete: true, ..LogPage::default() });
//! let request = BatchRequest { items: vec![item], ..BatchRequest::default() };
//! for now in [50, 80] {
//!     let mut pending = node.begin(now, &request).expect("within limits");
//!     let reads = pending.take_reads();
//!     let answers = reads.iter().map(|_| Ok(StoreAnswer { value: None, position: 100 })).collect();
//!     node.finish_store(now, &mut pending, reads, now, answers);
//!     let result = &node.finish(now, pending).results[0];
//!     assert_eq!((&result.outcome, result.at.position), (&Outcome::Missing, 100));
//! }
//! assert_eq!((node.stats().store_reads, node.stats().memory_hits), (1, 1));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The host also feeds it the pages of the store's change log (`apply_log`).
//! Whatever the host does, in whatever order, an answer never claims to be more
//! current than it is: memory is only as fresh as the last log page, and a store
//! read enters memory only where no log entry can have overtaken it.
//!
//! Many threads may do all of this at once, on one shared reference; driven from one thread, a node is
//! deterministic. Locks are held for single steps and one inside the other in one order only: a storage shard's log,
//! then a slice of memory. A batch that memory answers takes the lock of no shard unless it asks for changes.
//!
//! Memory is bounded by entries and bytes and evicts by a CLOCK-Pro variant (S. Jiang, F. Chen, X. Zhang, 2005). Who is
//! turned away follows Breakwater (I. Cho et al., OSDI 2020) and DAGOR (H. Zhou et al., SoCC 2018); hot keys are counted by
//! Space-Saving (Metwally, Agrawal, El Abbadi, 2005).

mod admission;
mod batch;
mod clocks;
mod feed_table;
mod feeds;
mod hot;
mod load;
mod maps;
mod memory;
mod node;
mod peer_table;
mod pending;
mod places;
mod replica_fence;
mod shard;
mod shares;
mod stats;
mod subscriber;
mod subscriber_feed;
mod warm;

#[cfg(test)]
#[path = "threads_tests.rs"]
mod threads_tests;

pub use admission::{AdmissionControl, AdmissionStats, Micros, Priority};
pub use clocks::{MAX_AHEAD_US, MAX_LIFE_US, NoVersion, agreed_time, is_alive, next_version};
pub use feed_table::FeedNumber;
pub use feeds::{Feeds, additions};
pub use node::{Node, NodeConfig};
pub use peer_table::{PeerOutcome, PeerPass, PeerStats, PeerTable};
pub use pending::{Forward, Pending, ReadTicket, StoreAnswer, StoreFailure};
pub use replica_fence::{Attached, Lack, ReplicaFence};
pub use shard::{ChangeSet, LogPage};
pub use shares::{Shares, Subject};
pub use stats::NodeStats;
pub use subscriber::Subscriber;
