//! The virtual partition map: which portion of a key is hashed, and who owns the hash buckets.
//!
//! ```
//! use foremap::key::CompositeKey;
//! use foremap::partition::{MapNode, PartitionMap, Placement, StorageLayout};
//!
//! let nodes = (1..=3).map(|id| MapNode { id, origin: format!("http://node-{id}"), weight: 1 });
//! let mut map = PartitionMap::new(7, 64, StorageLayout::default(), nodes.collect());
//! let before = Placement::new(map.clone().into());
//! let [profile, avatar] = ["user/1/profile", "user/1/avatar"].map(CompositeKey::parse);
//! assert_eq!(before.locate(&profile?), before.locate(&avatar?)); // by their first two components
//!
//! map.nodes.retain(|node| node.id != 3);
//! let after = Placement::new(map.into());
//! let moved: Vec<u32> = (0..64).filter(|&at| before.owner(at) != after.owner(at)).collect();
//! assert!(!moved.is_empty() && moved.iter().all(|&at| before.owner(at) == 3));
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
//!
//! A map is a hint about who answers fastest, never about what is true (the
//! store knows that), so a stale map costs a hop inside the data centre and
//! nothing else. The same bytes give the same placement on every platform:
//! only XXH3-64 and IEEE add, subtract, multiply and divide take part.
//!
//! Owners follow from weighted rendezvous hashing (Thaler and Ravishankar, 1998; Schindelhauer and Schomaker, 2005) with
//! explicit exceptions: removing one of n nodes moves only that node's partitions. A look-up is O(components of the key); an
//! owner is computed in O(nodes) once and then remembered, in two bytes a partition.

mod delta;
mod hash;
mod map;
mod map_node;
mod parts;
mod placement;
mod portion;
mod replicas;
mod storage;
mod wire;

pub use delta::MapDelta;
pub(crate) use hash::mix;
pub use hash::{HashId, xxh3};
pub use map::{DEFAULT_PARTITIONS, Epoch, HotKey, MapError, PartitionMap, Rule};
pub use map_node::{MapNode, NodeId};
pub use placement::{Location, Placement};
pub use portion::{MAX_DEPTH, MAX_SPREAD, Portion};
pub use replicas::replica;
pub use storage::StorageLayout;
