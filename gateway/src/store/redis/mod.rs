//! [`RedisStore`]: a Redis Cluster, shared by gateways on many machines.
//!
//! Each storage shard lies in one slot, with its values, ordered index and change log; one function call writes all of
//! them. Redis replicates asynchronously, so nothing that a master says counts by itself: commands go to it in
//! pipelines that end with a fence (`foremap::node::Fence`), and what was asked is told only if the fence holds.

mod change_log;
mod check;
mod clocks;
mod cluster;
mod connect;
mod course;
mod fence;
mod fence_keys;
mod functions;
mod imports;
mod keys;
mod master;
mod master_health;
mod master_queue;
mod namespace;
mod node_line;
mod open;
mod options;
mod registry;
mod reply;
mod routes;
mod seal;
mod settings;
mod settings_audit;
mod status;
mod topology;
mod values;

pub use open::RedisStore;
pub use options::RedisOptions;
