//! The whole client against a naive world that knows the truth.
//!
//! The reference ([`Truth`]) is the store with every write and the real time of its commit, and what three gateways have
//! seen of its log. What is tested are two clients with the published core (`foremap::adapter`) and its clock, whose
//! requests, answers and feeds are delivered late, twice, in any order or not at all, while clocks drift, are set and
//! stand still, gateways restart, logs are cut, caches are tiny, cores are rebuilt and the store is replaced
//! ([`Step`]). [`run`] takes a sequence and says which [`Invariant`] did not hold; [`Mutant`]s prove that each can fail.

mod client;
mod drain;
mod feeds;
mod gateway;
mod hosts;
mod judge;
mod mutant;
mod reads;
mod step;
mod tally;
mod truth;
mod world;

pub use judge::{Invariant, Violation};
pub use mutant::Mutant;
pub use step::{Ask, Drop, End, Legacy, Mishap, Step};
pub use tally::Tally;
pub use truth::{Course, Memory, Put, Real, Shape, Truth, Write};
pub use world::run;
