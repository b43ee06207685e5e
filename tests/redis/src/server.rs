//! One `redis-server`.

use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{Connection, FromRedisValue};

use crate::options::ClusterOptions;

/// Longest time that a server may take until it answers: much, because machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest time that one answer may take.
const ANSWER: Duration = Duration::from_secs(2);
/// Ports of servers. With the ports of the cluster bus they are below those that systems use for outgoing connections.
const PORTS: std::ops::Range<u16> = 10_000..22_000;
/// The cluster bus listens this much higher.
const BUS: u16 = 10_000;

/// Explains a failed start: where a binary is missing, with what to do.
pub(crate) fn started<T>(result: std::io::Result<T>, program: &OsStr, variable: &str) -> Result<T> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("`{}` is missing: apt-get install redis-server, or set {variable}", program.to_string_lossy())
        }
        other => other.with_context(|| format!("cannot start `{}`", program.to_string_lossy())),
    }
}

/// `redis-cli` and the variable that names it.
pub(crate) fn cli() -> (OsString, &'static str) {
    (std::env::var_os("REDIS_CLI").unwrap_or_else(|| "redis-cli".into()), "REDIS_CLI")
}

pub(crate) struct Server {
    pub(crate) port: u16,
    /// Held as long as this lives: a port is also free while its server is down.
    _claim: File,
    program: PathBuf,
    folder: PathBuf,
    child: Option<Child>,
    pub(crate) paused: bool,
}

impl Server {
    /// Starts one at a free port from `from` on, with its data below `folder`.
    pub(crate) fn start(options: &ClusterOptions, folder: &Path, from: u16) -> Result<Self> {
        Self::start_as(&options.server, |port, folder| options.configuration(port, folder), folder, from)
    }

    /// Starts `program` so, with the configuration file that `configuration` makes of the port and the folder.
    pub(crate) fn start_as(
        program: &Path,
        configuration: impl Fn(u16, &Path) -> String,
        folder: &Path,
        from: u16,
    ) -> Result<Self> {
        for port in (from.max(PORTS.start)..PORTS.end).chain(PORTS.start..from) {
            let Some(claim) = claim(port)? else { continue };
            if !is_free(port) || !is_free(port + BUS) {
                continue;
            }
            let folder = folder.join(port.to_string());
            std::fs::create_dir_all(&folder).context("cannot create a folder")?;
            std::fs::write(folder.join("redis.conf"), configuration(port, &folder))
                .context("cannot write a configuration")?;
            let mut server =
                Self { port, _claim: claim, program: program.to_owned(), folder, child: None, paused: false };
            if server.spawn()? {
                return Ok(server);
            }
            // Another process was quicker to take the port.
        }
        bail!("no free port in {PORTS:?}")
    }

    /// First port of a search for free ones: another one in each process, as several may start clusters at once.
    pub(crate) fn first_port() -> u16 {
        let span = u32::from(PORTS.end - PORTS.start);
        PORTS.start + (std::process::id().wrapping_mul(61) % span) as u16
    }

    /// Starts the process and waits until it answers; `false` if it ended because its port is taken.
    fn spawn(&mut self) -> Result<bool> {
        let log = File::options().create(true).append(true).open(self.log()).context("cannot write a log")?;
        let mut command = Command::new(&self.program);
        command.arg(self.folder.join("redis.conf")).process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone().context("cannot write a log")?).stderr(log);
        self.child = Some(started(command.spawn(), self.program.as_os_str(), "REDIS_SERVER")?);
        self.paused = false;
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait().context("lost a child process")?
            {
                self.child = None;
                let log = std::fs::read_to_string(self.log()).unwrap_or_default();
                if log.contains("Address already in use") || log.contains("Failed listening on port") {
                    return Ok(false);
                }
                bail!("redis-server ended ({status}); its log:\n{log}");
            }
            // The process id tells it from another server at the same port.
            if let Ok(info) = self.ask::<String>(redis::cmd("INFO").arg("server"))
                && info.lines().any(|line| line.strip_prefix("process_id:").map(str::trim) == Some(&self.pid_text()))
            {
                return Ok(true);
            }
            if Instant::now() > deadline {
                bail!("redis-server at port {} does not answer", self.port);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn pid_text(&self) -> String {
        self.pid().map_or_else(String::new, |pid| pid.to_string())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("redis.log")
    }

    /// The process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Tells whether it runs and is not paused.
    pub(crate) fn answers(&self) -> bool {
        self.child.is_some() && !self.paused
    }

    /// Starts it again, with the data it has.
    pub(crate) fn restart(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("the server at port {} runs", self.port);
        }
        if self.spawn()? { Ok(()) } else { bail!("port {} was taken meanwhile", self.port) }
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("the server at port {} does not run", self.port))?;
        let pid = Pid::from_raw(i32::try_from(pid).context("process id out of range")?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to {pid}"))
    }

    /// Ends it without notice.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        if let Some(mut child) = self.child.take() {
            child.wait().context("lost a child process")?;
        }
        Ok(())
    }

    /// One command on a connection of its own.
    pub(crate) fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Result<T> {
        Ok(command.query(&mut self.connection()?)?)
    }

    /// A connection.
    pub(crate) fn connection(&self) -> Result<Connection> {
        let client = redis::Client::open(("127.0.0.1", self.port))?;
        let connection: Connection = client.get_connection_with_timeout(ANSWER)?;
        connection.set_read_timeout(Some(ANSWER))?;
        Ok(connection)
    }

    /// The value of `field` in a section of INFO, or in CLUSTER INFO.
    pub(crate) fn field(&self, command: &redis::Cmd, field: &str) -> Result<String> {
        let text: String = self.ask(command)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(name, _)| *name == field).map(|(_, value)| value.trim().to_owned());
        found.with_context(|| format!("the server at port {} tells no {field}", self.port))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            // An error means that it is gone already.
            let _ = self.kill();
        }
    }
}

/// Keeps `port` from other clusters, in this process and in others; `None` where one has it.
fn claim(port: u16) -> Result<Option<File>> {
    let path = std::env::temp_dir().join(format!("foremap-redis-{port}.port"));
    // Whoever else runs tests here may own the file: that one's port is left alone.
    let Ok(file) = File::options().create(true).truncate(false).write(true).open(path) else { return Ok(None) };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error).context("cannot claim a port"),
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}
