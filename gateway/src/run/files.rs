//! How many files the process may have open, and what that allows.

use foremap::node::Feeds;
use rustix::process::{Resource, getrlimit, setrlimit};

/// Files for everything but feeds: other connections, the store, the log.
const OTHERS: u64 = 2_048;

/// Raises the limit of open files as far as the system lets it, and returns the most change feeds that each of `nodes`
/// can serve below it, as a feed is a connection.
pub(super) fn feeds(nodes: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        limit.current = limit.maximum;
        if setrlimit(Resource::Nofile, limit).is_err() {
            limit = getrlimit(Resource::Nofile);
        }
    }
    let Some(files) = limit.current else { return Feeds::MAX };
    // A quarter at least, however few there are.
    let for_feeds = files.saturating_sub(OTHERS).max(files / 4);
    let feeds = usize::try_from(for_feeds).unwrap_or(usize::MAX) / nodes.max(1);
    if feeds * nodes < Feeds::MAX {
        tracing::warn!(files, feeds, wanted = Feeds::MAX, "the limit of open files bounds the change feeds of a node");
    }
    feeds.min(Feeds::MAX)
}
