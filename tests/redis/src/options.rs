//! Setup of a cluster.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Configuration of the servers of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// Masters; Redis wants at least 3.
    pub masters: usize,
    /// Replicas of each master.
    pub replicas: usize,
    /// `appendfsync always`: on disk before the answer. Otherwise once a second.
    pub fsync_always: bool,
    /// Silence of a node after which the others take it for dead.
    pub node_timeout: Duration,
    /// The server's binary.
    pub server: PathBuf,
}

impl Default for ClusterOptions {
    /// Three masters with a replica each, synced once a second, failed over after 1.5 s, of the server that the variable
    /// `REDIS_SERVER` names, or `redis-server`.
    fn default() -> Self {
        Self {
            masters: 3,
            replicas: 1,
            fsync_always: false,
            node_timeout: Duration::from_millis(1_500),
            server: std::env::var_os("REDIS_SERVER").map_or_else(|| "redis-server".into(), PathBuf::from),
        }
    }
}

impl ClusterOptions {
    /// The configuration file of the server at `port` that keeps its data in `folder`.
    pub(crate) fn configuration(&self, port: u16, folder: &Path) -> String {
        let mut text = String::new();
        let fsync = if self.fsync_always { "always" } else { "everysec" };
        let timeout = self.node_timeout.as_millis().to_string();
        let port = port.to_string();
        let settings = [
            ("port", port.as_str()),
            ("bind", "127.0.0.1"),
            ("daemonize", "no"),
            ("save", "\"\""),
            ("appendonly", "yes"),
            ("appendfsync", fsync),
            ("cluster-enabled", "yes"),
            ("cluster-node-timeout", timeout.as_str()),
            ("cluster-require-full-coverage", "no"),
            ("cluster-allow-reads-when-down", "no"),
            ("cluster-replica-validity-factor", "0"),
            // A replica that left for another master would be missing at its own.
            ("cluster-allow-replica-migration", "no"),
            ("maxmemory-policy", "noeviction"),
            // A replica is back at once, instead of after 5 s.
            ("repl-diskless-sync-delay", "0"),
        ];
        for (name, value) in settings {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {value}");
        }
        let _ = writeln!(text, "dir \"{}\"", folder.display());
        text
    }
}
