//! Limit of the files that the process may have open, and what it allows.

use foremap::node::Feeds;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files for everything but connections that are served: the store, the log, connections to other gateways, listeners, and
/// places reserved for questions about health.
const OTHERS: u64 = 1_024;

/// Number of things that each node may open.
pub(super) struct OpenLimits {
    /// Connections.
    pub(super) connections: usize,
    /// Change feeds among them.
    pub(super) feeds: usize,
}

/// Raises the limit of open files as far as the system lets it, and returns what each of `nodes` can open below it.
pub(super) fn room(nodes: usize) -> OpenLimits {
    let mut limit = getrlimit(Resource::Nofile);
    let before = limit.current;
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit = getrlimit(Resource::Nofile);
        }
    }
    let Some(files) = limit.current else {
        tracing::info!("the system sets no limit of open files");
        return OpenLimits { connections: usize::MAX, feeds: Feeds::MAX };
    };
    // Half of them at least, however few there are.
    let free = usize::try_from(files.saturating_sub(OTHERS).max(files / 2)).unwrap_or(usize::MAX);
    let connections = free / nodes.max(1);
    // A quarter of the connections is left to those who ask.
    let feeds = (connections - connections / 4).min(Feeds::MAX);
    let before = before.unwrap_or(files);
    tracing::info!(files, before, connections, feeds, "the limit of open files");
    if feeds < Feeds::MAX {
        tracing::warn!(files, feeds, wanted = Feeds::MAX, "the limit of open files bounds the change feeds of a node");
    }
    OpenLimits { connections, feeds }
}
