//! [`Workload`]: what is asked of a namespace, and what machines there are.

use anyhow::{Result, bail};
use serde::Serialize;

/// Demands on a namespace, and the machines that it may use. All figures are finite; see [`Workload::check`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Workload {
    /// Keys stored.
    pub(crate) keys: f64,
    /// Bytes of a key.
    pub(crate) key_bytes: f64,
    /// Bytes of the rest of a keymap, which is mostly the locator.
    pub(crate) value_bytes: f64,
    /// HTTP requests a second that reach the gateways: caches of clients and workers are in front.
    pub(crate) requests: f64,
    /// Share of the requests that are writes, of one key each.
    pub(crate) write_share: f64,
    /// Keys of a read.
    pub(crate) batch: f64,
    /// Share of the keys read that is answered from gateway memory.
    pub(crate) hit_share: f64,
    /// Share of all keys that gateway memory has to hold for that.
    pub(crate) held_share: f64,
    /// Clients with a change feed.
    pub(crate) clients: f64,
    /// Share of all writes that concerns a client.
    pub(crate) interest: f64,
    /// Replicas of each master.
    pub(crate) replicas: f64,
    /// Versions that are kept of a key, on average.
    pub(crate) versions: f64,
    /// Rules of the partition map.
    pub(crate) rules: f64,
    /// Exceptions of the partition map.
    pub(crate) exceptions: f64,
    /// Cores of a gateway's machine.
    pub(crate) gateway_cores: f64,
    /// Bytes of memory of a gateway's machine.
    pub(crate) gateway_memory: f64,
    /// Bytes of memory of a master's machine.
    pub(crate) master_memory: f64,
    /// Share of a core that may be busy, so that peaks find room.
    pub(crate) busy: f64,
    /// Share of memory that may be full.
    pub(crate) full: f64,
}

impl Workload {
    /// Checks every figure.
    ///
    /// # Errors
    /// The option that is wrong, and its range, in one line.
    pub(crate) fn check(&self) -> Result<()> {
        // From where on no machine and no dictionary of the world matters.
        const MOST: f64 = 1e15;
        let ranges = [
            ("keys", self.keys, 1.0, MOST),
            ("key-bytes", self.key_bytes, 1.0, 1_024.0),
            ("value-bytes", self.value_bytes, 1.0, 32_768.0),
            ("requests", self.requests, 0.0, MOST),
            ("write-share", self.write_share, 0.0, 1.0),
            ("batch", self.batch, 1.0, 256.0),
            ("hit-share", self.hit_share, 0.0, 1.0),
            ("held-share", self.held_share, 0.0, 1.0),
            ("clients", self.clients, 0.0, MOST),
            ("interest", self.interest, 0.0, 1.0),
            ("replicas", self.replicas, 0.0, 10.0),
            ("versions", self.versions, 1.0, 100.0),
            ("rules", self.rules, 0.0, 1e6),
            ("exceptions", self.exceptions, 0.0, 16_384.0),
            ("gateway-cores", self.gateway_cores, 1.0, 1_024.0),
            ("gateway-memory", self.gateway_memory, 1e6, MOST),
            ("master-memory", self.master_memory, 1e6, MOST),
            ("busy", self.busy, 0.01, 1.0),
            ("full", self.full, 0.01, 1.0),
        ];
        match ranges.into_iter().find(|(_, value, least, most)| !(least..=most).contains(&value)) {
            Some((name, value, least, most)) => {
                bail!("--{name} is {value}, it must be {least} to {most}")
            }
            None => Ok(()),
        }
    }

    /// The same with `factor` times the keys, requests and clients.
    pub(crate) fn times(&self, factor: f64) -> Self {
        let (keys, requests, clients) = (self.keys * factor, self.requests * factor, self.clients * factor);
        Self { keys, requests, clients, ..self.clone() }
    }

    /// Writes a second.
    pub(crate) fn writes(&self) -> f64 {
        self.requests * self.write_share
    }

    /// Reads a second.
    pub(crate) fn reads(&self) -> f64 {
        self.requests - self.writes()
    }

    /// Keys a second that gateways read from the store.
    pub(crate) fn misses(&self) -> f64 {
        self.reads() * self.batch * (1.0 - self.hit_share)
    }
}
