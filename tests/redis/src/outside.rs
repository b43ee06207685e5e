//! A server that replicates from a master of the cluster and is not of it: a backup, a migration, change capture.

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::Signal;

use crate::cluster::RedisCluster;
use crate::server::Server;

impl RedisCluster {
    /// Starts a server that is not of the cluster and replicates from server `of`, and waits until it has its data.
    /// Returns its address. There is at most one.
    ///
    /// # Errors
    /// If there is one already, or it does not come up.
    pub fn start_outside(&mut self, of: usize) -> Result<String> {
        if self.outside.is_some() {
            bail!("there is a server already that is not of the cluster");
        }
        let master = self.servers[of].port;
        let configuration = |port, folder: &std::path::Path| {
            let text = self.options.configuration(port, folder);
            let kept: Vec<&str> = text.lines().filter(|line| !line.starts_with("cluster-")).collect();
            format!("{}\nreplicaof 127.0.0.1 {master}\n", kept.join("\n"))
        };
        let server = Server::start_as(&self.options.server, configuration, self.folder.path(), Server::first_port())?;
        let address = format!("127.0.0.1:{}", server.port);
        self.outside = Some(server);
        self.tell_watch()?;
        self.wait_for("the server that is not of the cluster has not caught up", || {
            let server = self.outside.as_ref().context("it was started")?;
            match server.field(redis::cmd("INFO").arg("replication"), "master_link_status")?.as_str() {
                "up" => Ok(()),
                status => bail!("its link is {status}"),
            }
        })?;
        Ok(address)
    }

    /// Stops it in its tracks (SIGSTOP): its connections stay open.
    ///
    /// # Errors
    /// If there is none.
    pub fn pause_outside(&mut self) -> Result<()> {
        let server = self.outside.as_mut().context("no server is outside the cluster")?;
        server.signal(Signal::SIGSTOP)?;
        server.paused = true;
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// If there is none.
    pub fn end_outside(&mut self) -> Result<()> {
        self.outside.take().context("no server is outside the cluster")?.kill()?;
        self.tell_watch()
    }
}
