//! Effect of the Partition Shifter on the load of nodes, by seeded simulation.

pub mod alias;
pub mod fleet;
pub mod peers;
pub mod scenarios;
pub mod view;
pub mod workload;
