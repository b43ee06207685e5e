//! Load on a Redis Cluster, through the cluster client of the `redis` crate.

use anyhow::{Context as _, Result, ensure};
use redis::cluster::{ClusterClient, ClusterConnection, cluster_pipe};

use crate::keys::Shape;
use crate::laps::{self, Lap, Measured};

/// Values of one SET pipeline while filling.
const FILL: usize = 256;

/// GETs of keys below one prefix, pipelined: to every master its share, then all answers.
#[derive(clap::Args)]
pub(crate) struct Pipeline {
    /// `host:port` of a server of the cluster
    #[arg(long)]
    redis: String,
    #[arg(long, default_value_t = 1)]
    connections: usize,
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Keys of one pipeline
    #[arg(long, default_value_t = 64)]
    keys: usize,
    #[command(flatten)]
    shape: Shape,
}

impl Pipeline {
    /// Every answer must hold all values; they are not decoded.
    pub(crate) fn run(&self) -> Result<Measured> {
        let keys = (0..self.keys).map(|at| Ok(self.shape.key(at)?.as_str().to_owned())).collect::<Result<Vec<_>>>()?;
        laps::run(self.connections, self.seconds, |_| {
            let mut gets = Gets { cluster: connect(&self.redis)?, keys: &keys };
            gets.lap()?;
            Ok(gets)
        })
    }
}

struct Gets<'a> {
    cluster: ClusterConnection,
    keys: &'a [String],
}

impl Lap for Gets<'_> {
    fn lap(&mut self) -> Result<()> {
        let mut pipe = cluster_pipe();
        for key in self.keys {
            pipe.cmd("GET").arg(key);
        }
        let values: Vec<Vec<u8>> = pipe.query(&mut self.cluster)?;
        let found = values.iter().filter(|value| !value.is_empty()).count();
        ensure!(found == self.keys.len(), "{found} of {} keys were found", self.keys.len());
        Ok(())
    }
}

fn connect(redis: &str) -> Result<ClusterConnection> {
    let client = ClusterClient::new(vec![format!("redis://{redis}")])?;
    client.get_connection().with_context(|| format!("cannot reach the cluster of {redis}"))
}

/// Writes the values of the first `keys` keys.
pub(crate) fn fill(redis: &str, shape: &Shape, keys: usize) -> Result<()> {
    let mut cluster = connect(redis)?;
    for from in (0..keys).step_by(FILL) {
        let mut pipe = cluster_pipe();
        for at in from..keys.min(from + FILL) {
            pipe.cmd("SET").arg(shape.key(at)?.as_str()).arg(shape.value(at)?).ignore();
        }
        pipe.exec(&mut cluster)?;
    }
    Ok(())
}
