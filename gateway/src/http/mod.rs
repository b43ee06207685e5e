//! The HTTP interface of one node.

mod backup;
mod batch;
mod changes;
mod connections;
mod endpoint;
mod feed;
mod forwarded;
mod guard;
mod handler_error;
mod head;
mod headers;
mod health;
mod hot;
mod keymap;
mod limits;
mod list;
mod load;
mod map;
mod metrics;
mod model;
mod model_metrics;
mod options;
mod permits;
mod plan;
mod receiving;
mod request;
mod router;
mod server;
mod socket;
mod summaries;
mod workers;

pub use limits::Limits;
pub use options::HttpOptions;
pub use router::{paths, router};
pub use server::Server;
pub use workers::{Workers, serve_admin};
