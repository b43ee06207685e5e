//! Real processes under real faults: gateways over a Redis Cluster on loopback, `kill -9`, `SIGSTOP` and `SIGTERM` under
//! load, and the checker of the simulation.
//!
//! A run has rounds. In each, clients read and write a small set of keys of its own through four gateways while faults
//! drawn from the round's seed strike; then everything is healed, the ends of all keys are read from every gateway, and
//! [`foremap_check`] judges all that clients were told. All clients live in this process, so one clock dates everything.
//!
//! | Module | Does |
//! |---|---|
//! | `fleet`, `gateway` | the processes |
//! | `fault`, `plan` | what is done to them, and in which order |
//! | `sdk`, `host` | clients that are the core of the published package, driven over HTTP |
//! | `direct`, `writing`, `http` | clients that speak the protocol by themselves |
//! | `feed` | readers of the change feed |
//! | `recorder`, `outage` | what was told when, how long calls had to wait |
//! | `round`, `ends`, `run`, `report` | a round, its end, all rounds, what is printed |

mod clock;
mod direct;
mod ends;
mod fault;
mod feed;
mod fleet;
mod gateway;
mod host;
mod http;
mod load;
mod options;
mod outage;
mod plan;
mod recorder;
mod report;
mod round;
mod run;
mod sdk;
mod writing;

pub use fleet::{Fleet, GATEWAYS};
pub use options::Options;
pub use run::run;
