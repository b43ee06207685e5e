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
//! | `client`, `session` | hosts of adapters, and those who call |
//! | `gateway`, `hop`, `pipe`, `feeds`, `seat`, `maps` | hosts of nodes, and what is under way between them and others |
//! | `truth`, `check` | what is certain to stay, and every answer held against it as it comes |
//! | `event`, `world` | what happens next, and how it does |

pub mod cluster;

mod check;
mod client;
mod clocks;
mod event;
mod feeds;
mod gateway;
mod hop;
mod maps;
mod mutant;
mod net;
mod nodes;
mod pipe;
mod profile;
mod rng;
mod seat;
mod session;
mod tally;
mod times;
mod truth;
mod world;
mod write_request;

pub use mutant::Mutant;
pub use tally::Tally;
pub use world::{Judge, run};
