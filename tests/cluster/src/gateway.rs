//! One gateway process.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest time that a process may take to end after SIGTERM: its grace for requests in flight, and some.
const ENDING: Duration = Duration::from_secs(20);
/// Ports, above those of the Redis servers and their bus, below those that systems use for outgoing connections.
const PORTS: std::ops::Range<u16> = 32_000..32_768;

/// A gateway that is started and ended many times at one address.
pub(crate) struct Gateway {
    /// Origin at which clients reach it.
    pub(crate) origin: String,
    arguments: Vec<String>,
    binary: PathBuf,
    log: PathBuf,
    child: Option<Child>,
    paused: bool,
}

impl Gateway {
    /// Node `node` of the fleet over `store`, at a free port. Not started yet.
    pub(crate) fn new(binary: &Path, folder: &Path, node: usize, store: &str, replicas: usize) -> Result<Self> {
        let port = free_port(node)?;
        let origin = format!("http://127.0.0.1:{port}");
        let words = ["serve", "--node", &node.to_string(), "--store", store, "--replicas", &replicas.to_string()];
        let address = format!("127.0.0.1:{port}");
        let more = ["--listen", address.as_str(), "--origin", origin.as_str()];
        let arguments = words.iter().chain(&more).map(|&word| word.to_owned()).collect();
        let log = folder.join(format!("gateway-{node}.log"));
        Ok(Self { origin, arguments, binary: binary.to_owned(), log, child: None, paused: false })
    }

    /// Starts the process; it is ready later.
    pub(crate) fn start(&mut self) -> Result<()> {
        let log = File::options().create(true).append(true).open(&self.log).context("cannot write a log")?;
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments).stdin(Stdio::null()).process_group(0);
        command.stdout(log.try_clone().context("cannot write a log")?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        self.child = Some(child);
        self.paused = false;
        Ok(())
    }

    /// The process, if it runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Tells whether it runs and is not paused.
    pub(crate) fn answers(&self) -> bool {
        self.child.is_some() && !self.paused
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = self.pid().with_context(|| format!("the gateway at {} does not run", self.origin))?;
        let pid = Pid::from_raw(i32::try_from(pid).context("process id out of range")?);
        kill(pid, signal).with_context(|| format!("cannot send {signal} to {pid}"))
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.take().context("no process")?.wait().context("lost a child process")?;
        Ok(())
    }

    /// SIGSTOP.
    pub(crate) fn pause(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)?;
        self.paused = true;
        Ok(())
    }

    /// SIGCONT.
    pub(crate) fn resume(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)?;
        self.paused = false;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn stop(&mut self) -> Result<ExitStatus> {
        self.signal(Signal::SIGTERM)?;
        let mut child = self.child.take().context("no process")?;
        let deadline = Instant::now() + ENDING;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait().context("lost a child process")? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        self.child = Some(child);
        bail!("the gateway at {} did not end within {} s of SIGTERM", self.origin, ENDING.as_secs())
    }

    /// Fails with the end of its log where the process has ended by itself.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(child) = &mut self.child else { return Ok(()) };
        let Some(status) = child.try_wait().context("lost a child process")? else { return Ok(()) };
        self.child = None;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        bail!("the gateway at {} ended ({status}); its log ends:\n{tail}", self.origin)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.child.is_some() {
            // An error means that it is gone already.
            let _ = self.kill();
        }
    }
}

fn free_port(nth: usize) -> Result<u16> {
    let span = usize::from(PORTS.end - PORTS.start);
    // Elsewhere in each process, and apart from each other.
    let first = (std::process::id() as usize).wrapping_mul(61).wrapping_add(nth * 17) % span;
    let ports = (0..span).map(|step| PORTS.start + ((first + step) % span) as u16);
    let mut free = ports.filter(|&port| TcpListener::bind(("127.0.0.1", port)).is_ok());
    free.next().with_context(|| format!("no free port in {PORTS:?}"))
}
