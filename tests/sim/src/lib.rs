//! Seeded histories of real adapters and real nodes over a simulated cluster, network and clock.
//!
//! [`run`] is one history: everything in it follows from its seed. While it goes on, every answer is held against what
//! the cluster holds for good; in the end, what clients were told is held against the promises by [`foremap_check`],
//! which knows nothing of the simulation. A [`Mutant`] is a defect put in on purpose.
//!
//! | Module | What it is |
//! |---|---|
//! | [`cluster`] | the servers: masters, replicas, `WAIT`, promotions, disks, clocks |
//! | `net` | what is cut off, and what stands still |
//! | `trouble` | when machines fail, and how they come back |
//! | `control` | the host of a control machine, through the servers |
//! | `gateway`, `pipes` | hosts of nodes: pipelines behind the fence, hops, log polls |
//! | `client`, `outcome` | hosts of adapters, those who call, and what they are told |
//! | `world` | virtual time and the queue of what happens next |
//! | `truth`, `check` | what is certain to stay, and every answer held against it as it comes |
//! | `record` | the history, for the check in the end |

pub mod cluster;
mod control;

mod check;
mod client;
mod feeds;
mod gateway;
mod mutant;
mod net;
mod outcome;
mod pipes;
mod profile;
mod record;
mod rng;
mod tally;
mod trouble;
mod truth;
mod world;

pub use mutant::Mutant;
pub use tally::Tally;
pub use world::{Judge, run};
