//! A throw-away Redis Cluster on loopback, for tests and benches: real `redis-server` processes in a temporary folder,
//! that can be killed, paused and restarted one by one, and whose
//! slots can be moved.
//!
//! Everything ends when the [`RedisCluster`] is dropped, on a panic too; and if this process dies without dropping it,
//! a watching shell ends the servers.

mod cluster;
mod options;
mod outside;
mod server;
mod slots;
mod watch;

pub use cluster::{RedisCluster, Shard};
pub use options::ClusterOptions;
pub use slots::{AT_ONCE, SlotMove};
pub use watch::Watch;
