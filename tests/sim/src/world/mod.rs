//! The course of a history, part by part.
//!
//! | Module | What it is |
//! |---|---|
//! | `world` | virtual time, and everybody in it |
//! | `history` | what happens next, from begin to end |
//! | `calls`, `adapters`, `outcome` | those who call, hosts of adapters, and what callers are told |
//! | `serving`, `errands`, `pipes` | hosts of nodes: hops, reads, writes and log polls, pipelines behind the fence |
//! | `streams` | change feeds |
//! | `control`, `control_store` | the host of a control machine, through the servers |
//! | `trouble` | when machines fail, and how they come back |
//! | `record`, `bounds` | the history for the check in the end, and every table within its bound |

mod adapters;
mod bounds;
mod calls;
mod control;
mod control_store;
mod errands;
mod history;
mod outcome;
mod pipes;
mod record;
mod serving;
mod streams;
mod trouble;
mod world;

pub use history::run;
pub use world::Judge;
