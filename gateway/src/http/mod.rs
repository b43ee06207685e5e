//! The HTTP interface of one node.

mod backup;
mod batch;
mod changes;
mod connections;
mod entry;
mod feed;
mod forwarded;
mod guard;
mod head;
mod headers;
mod health;
mod hot;
mod keymap;
mod lanes;
mod limits;
mod list;
mod load;
mod map;
mod metrics;
mod model;
mod model_metrics;
mod options;
mod places;
mod plan;
mod receiving;
mod refusal;
mod request;
mod router;
mod server;
mod socket;
mod summaries;

pub use lanes::{Lanes, serve_admin};
pub use limits::Limits;
pub use options::HttpOptions;
pub use router::{paths, router};
pub use server::Server;
