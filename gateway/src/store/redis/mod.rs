//! [`RedisStore`]: a Redis Cluster, shared by gateways on many machines.
//!
//! Each storage shard lies in one slot, with its values, ordered index and change log; one function call writes all of
//! them. Redis replicates asynchronously, so nothing that a master says counts by itself: commands go to it in
//! pipelines that end with a fence (`foremap::node::Fence`), and what was asked is told only if the fence holds.

mod audit;
mod change_log;
mod check;
mod clocks;
mod cluster;
mod connect;
mod course;
mod fence;
mod fences;
mod functions;
mod health;
mod imports;
mod keys;
mod lane;
mod line;
mod master;
mod namespace;
mod open;
mod options;
mod registry;
mod reply;
mod routes;
mod seal;
mod settings;
mod status;
mod topology;
mod values;

pub use open::RedisStore;
pub use options::RedisOptions;
