//! The Local Cache: a bounded store of keymaps on a client or isolate.
//!
//! ```
//! use foremap::cache::{CacheConfig, LocalCache, Lookup, Source};
//! use foremap::{key::CompositeKey, protocol::ReadPoint};
//!
//! let mut cache = LocalCache::new(CacheConfig::default());
//! let key = CompositeKey::parse("user/1/profile")?;
//! let fence = cache.fence(1_000); // a request is sent at 1,000 ms ...
//! let at = ReadPoint { shard: 7, position: 42, age_ms: 5 };
//! cache.insert(1_030, fence, &key, None, at, Source::Demand); // ... and answered: there is no such keymap
//! assert!(matches!(cache.get(1_030, &key, 2_000), Lookup::Hit(hit) if hit.keymap.is_none() && hit.at.age_ms == 35));
//! # Ok::<(), foremap::key::KeyError>(())
//! ```
//!
//! **Freshness is knowledge of the shard's log, not a timer per entry.** An
//! answer is valid as of the sending of its request less the `age_ms` it came
//! with. While the change feed covers its storage shard, every entry of that shard
//! is valid as of the feed's newest exchange: a change would have dropped it.
//! Coverage needs proof that no change between the answer and the feed's
//! cursor was missed (`coverage.rs`); without it the entry ages alone.
//!
//! **Epoch fence.** An answer that was in flight when its key, a prefix of it,
//! one of its tags or everything was invalidated, or when this client wrote
//! its key, is never cached (`fence.rs`); nor is one that was asked for later but
//! whose knowledge is older, nor one that a known change has overtaken.
//!
//! **Proven and guessed entries** are kept apart (`queues.rs`): a wrong guess
//! never evicts an entry that somebody asked for.
//!
//! Order of calls for one exchange: [`LocalCache::reset_shard`] for its
//! resets, [`LocalCache::apply_change`] for its changes, then
//! [`LocalCache::cover`] for its positions. Exchanges may overlap and arrive in any order. For one frame of the pushed
//! feed: `apply_change`, [`LocalCache::step`], then [`LocalCache::heard`].
//!
//! **Bounds**: bytes and entries by [`CacheConfig`], the queues take O(1) an operation, amortised. What stays is decided by
//! S3-FIFO (Yang et al., 2023), beside a probation queue whose share is learnt by hill climbing over shadow queues (Cidon et
//! al., *Cliffhanger*, 2016).

mod cache_config;
mod cache_stats;
mod coverage;
mod evicted;
mod fence;
mod freshness;
mod ids;
mod index;
mod inserted;
mod invalidate;
mod kept;
mod local_cache;
mod lookup;
mod moment;
mod probation_share;
mod queues;

pub use cache_config::CacheConfig;
pub use cache_stats::CacheStats;
pub use evicted::{DropReason, Evicted};
pub use fence::Fence;
pub use inserted::{Inserted, Source};
pub use invalidate::Invalidate;
pub use kept::Kept;
pub use local_cache::LocalCache;
pub use lookup::{Hit, Lookup};
