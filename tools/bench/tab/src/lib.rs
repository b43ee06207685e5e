//! Gains of a browser tab at its user's own pace.
//!
//! A trace is replayed in simulated time, as its clients made it: one real adapter for each visit, real nodes over a
//! store that holds every key, 60 ms to a node and back. Every answer is held against what was written and when. A run
//! follows from trace, [`Setup`] and nothing else.
//!
//! | Module | What it is |
//! |---|---|
//! | [`pace`], [`human`] | requests in time, of a recorded trace or a synthetic one |
//! | [`mode`], [`ttl`] | what a tab has between its application and the network |
//! | `visit`, `world`, `feeds`, [`queue`] | hosts of adapters, what happens next, and what is pushed |
//! | `shared` | the model that tabs tell and read |
//! | [`fleet`], [`store`] | nodes, and the truth below them |
//! | [`judge`] | every answer held against it |
//! | [`lists`] | lists, and then gets of their items |
//! | [`tally`] | counts and figures |

pub mod fleet;
pub mod human;
pub mod judge;
pub mod lists;
pub mod mode;
pub mod pace;
pub mod queue;
pub mod store;
pub mod tally;
pub mod ttl;

mod event;
mod feeds;
mod scene;
mod setup;
mod shared;
mod visit;
mod world;

pub use event::ONE_WAY_MS;
pub use mode::Mode;
pub use pace::{Paced, paced};
pub use setup::Setup;
pub use tally::Figures;
pub use world::replay;
