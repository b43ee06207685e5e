//! The HTTP interface of one node.

mod backup;
mod batch;
mod changes;
mod entry;
mod feed;
mod forwarded;
mod guard;
mod health;
mod hot;
mod keymap;
mod lanes;
mod list;
mod load;
mod map;
mod metrics;
mod model;
mod model_metrics;
mod plan;
mod refusal;
mod request;
mod router;
mod server;
mod socket;
mod summaries;

pub use lanes::Lanes;
pub use router::router;
pub use server::{HttpOptions, Server};
