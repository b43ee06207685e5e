//! A DHT gateway node of foremap: HTTP over a durable store.
//!
//! I/O only: what a node decides is in [`foremap::node`].
//!
//! | Module | Does |
//! |---|---|
//! | [`store`] | the durable truth: trait, redb implementation, lists |
//! | [`host`] | performs the nodes' reads and forwards, follows the change log |
//! | [`http`] | routes, problem details, change feed, metrics |
//! | `model` | the model that clients share |
//! | [`auth`] | tokens |
//! | [`run`] | start-up and shutdown |
//! | [`audit`] | how stale the answers of a running deployment truly are |
//! | [`cli`] | the command line |

pub mod audit;
pub mod auth;
pub mod cli;
pub mod host;
pub mod http;
pub(crate) mod model;
mod parse;
pub mod run;
pub mod store;
