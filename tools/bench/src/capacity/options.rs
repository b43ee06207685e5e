//! The command line of `capacity`.

use std::path::PathBuf;

use clap::Args;

use super::workload::Workload;

/// Options of `capacity`.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub(crate) struct Capacity {
    /// Keys stored, such as 1e7.
    #[arg(long, value_name = "N", default_value_t = 1e7)]
    keys: f64,
    /// Bytes of a key.
    #[arg(long, value_name = "BYTES", default_value_t = 40.0)]
    key_bytes: f64,
    /// Bytes of the rest of a keymap, mostly the locator.
    #[arg(long, value_name = "BYTES", default_value_t = 128.0)]
    value_bytes: f64,
    /// HTTP requests a second that reach the gateways [default: one a second for each 500 keys].
    #[arg(long, value_name = "N")]
    requests: Option<f64>,
    /// Share of the requests that are writes.
    #[arg(long, value_name = "SHARE", default_value_t = 0.05)]
    write_share: f64,
    /// Keys of a read.
    #[arg(long, value_name = "N", default_value_t = 8.0)]
    batch: f64,
    /// Share of the keys read that gateway memory answers.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    hit_share: f64,
    /// Share of all keys that gateway memory holds for that.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
    held_share: f64,
    /// Clients with a change feed [default: one for each 5,000 keys].
    #[arg(long, value_name = "N")]
    clients: Option<f64>,
    /// Share of all writes that concerns one client.
    #[arg(long, value_name = "SHARE", default_value_t = 0.001)]
    interest: f64,
    /// Replicas of each master.
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    replicas: f64,
    /// Versions kept of a key, on average.
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    versions: f64,
    /// Rules of the partition map.
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    rules: f64,
    /// Exceptions of the partition map.
    #[arg(long, value_name = "N", default_value_t = 100.0)]
    exceptions: f64,
    /// Cores of a gateway's machine.
    #[arg(long, value_name = "N", default_value_t = 4.0)]
    gateway_cores: f64,
    /// Memory of a gateway's machine, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 8.0)]
    gateway_memory: f64,
    /// Memory of a master's machine, in GiB.
    #[arg(long, value_name = "GIB", default_value_t = 32.0)]
    master_memory: f64,
    /// Share of a core that may be busy, so that peaks find room.
    #[arg(long, value_name = "SHARE", default_value_t = 0.6)]
    busy: f64,
    /// Share of memory that may be full.
    #[arg(long, value_name = "SHARE", default_value_t = 0.75)]
    full: f64,
    /// File that `cargo xtask bench gateway --coefficients FILE` wrote, instead of what this program brings along.
    #[arg(long, value_name = "FILE")]
    pub(super) coefficients: Option<PathBuf>,
    /// Write what the terminal shows as JSON.
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Write the page `www/capacity.html`, which has 10^6 to 10^9 keys beside each other, whatever --keys is.
    #[arg(long, value_name = "FILE")]
    pub(super) page: Option<PathBuf>,
}

impl Capacity {
    /// Requests a second, and feeds, for each key where they are not given.
    pub(super) const REQUESTS_PER_KEY: f64 = 1.0 / 500.0;
    pub(super) const CLIENTS_PER_KEY: f64 = 1.0 / 5_000.0;
    const GIB: f64 = 1_073_741_824.0;

    /// Workload that they ask for.
    pub(super) fn workload(&self) -> Workload {
        Workload {
            keys: self.keys,
            key_bytes: self.key_bytes,
            value_bytes: self.value_bytes,
            requests: self.requests.unwrap_or(self.keys * Self::REQUESTS_PER_KEY),
            write_share: self.write_share,
            batch: self.batch,
            hit_share: self.hit_share,
            held_share: self.held_share,
            clients: self.clients.unwrap_or(self.keys * Self::CLIENTS_PER_KEY),
            interest: self.interest,
            replicas: self.replicas,
            versions: self.versions,
            rules: self.rules,
            exceptions: self.exceptions,
            gateway_cores: self.gateway_cores,
            gateway_memory: self.gateway_memory * Self::GIB,
            master_memory: self.master_memory * Self::GIB,
            busy: self.busy,
            full: self.full,
        }
    }
}
