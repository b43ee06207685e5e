//! The HTTP interface of one node.

mod batch;
mod changes;
mod health;
mod hot;
mod keymap;
mod list;
mod map;
mod metrics;
mod refusal;
mod request;
mod router;
mod server;

pub use router::router;
pub use server::{HttpOptions, Server};
