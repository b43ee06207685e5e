//! What the Partition Shifter does to the load of nodes, by seeded simulation.

pub mod alias;
pub mod fleet;
pub mod peers;
pub mod scenarios;
pub mod view;
pub mod workload;
