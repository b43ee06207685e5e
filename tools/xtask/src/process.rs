//! Child processes: run one to its end, or keep one in the background.
//!
//! Every child leads a process group of its own. A group is ended with all that
//! it started when its handle is dropped, on failure as on success, and by the
//! signal handler on Ctrl-C, SIGTERM and SIGHUP. Only SIGKILL of this program
//! leaves children behind.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use parking_lot::{Mutex, MutexGuard};

/// Longest time that a group may take to end by itself before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// Bytes of a log that a failure shows.
const LOG_TAIL_BYTES: u64 = 4_096;

/// Process groups to end and folders to remove if a signal ends this program.
static LIVE: Mutex<Live> = Mutex::new(Live { groups: Vec::new(), folders: Vec::new() });
/// Set while there is nothing left to do but to serve: then Ctrl-C is the normal end.
static SERVING: AtomicBool = AtomicBool::new(false);

struct Live {
    groups: Vec<Pid>,
    folders: Vec<PathBuf>,
}

fn live() -> MutexGuard<'static, Live> {
    LIVE.lock()
}

/// Ends every child and removes every temporary folder on a signal.
pub fn install_signal_handler() -> Result<()> {
    ctrlc::set_handler(|| {
        let live = live();
        end_groups(&live.groups);
        for folder in &live.folders {
            // Best effort: there is nobody left to tell.
            let _ = std::fs::remove_dir_all(folder);
        }
        // 128 + SIGINT, as a shell reports it.
        std::process::exit(if SERVING.load(Ordering::Relaxed) { 0 } else { 130 });
    })
    .context("cannot handle Ctrl-C")
}

/// From now on Ctrl-C is the expected end, with exit code 0.
pub fn serving() {
    SERVING.store(true, Ordering::Relaxed);
}

/// Asks every group to end, waits for the leaders, and kills what is left.
fn end_groups(groups: &[Pid]) {
    // An error of a kill means that the group is gone already, one of a wait that the leader is.
    for group in groups {
        let _ = killpg(*group, Signal::SIGTERM);
    }
    let runs = |leader: &Pid| waitpid(*leader, Some(WaitPidFlag::WNOHANG)) == Ok(WaitStatus::StillAlive);
    let deadline = Instant::now() + GRACE;
    while groups.iter().any(runs) && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    for group in groups {
        let _ = killpg(*group, Signal::SIGKILL);
    }
}

/// A child and its group; dropping it ends both.
struct Group {
    child: Child,
    id: Pid,
}

impl Group {
    fn spawn(command: &mut Command) -> Result<Self> {
        let mut live = live();
        let child = command.stdin(Stdio::null()).process_group(0).spawn().with_context(|| {
            format!("cannot start `{}`: is it installed and on PATH?", command.get_program().to_string_lossy())
        })?;
        let id = Pid::from_raw(i32::try_from(child.id()).context("process id out of range")?);
        live.groups.push(id);
        Ok(Self { child, id })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Reap first: a zombie leader would look alive.
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = killpg(self.id, Signal::SIGTERM);
            let deadline = Instant::now() + GRACE;
            while Instant::now() < deadline && !matches!(self.child.try_wait(), Ok(Some(_))) {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = killpg(self.id, Signal::SIGKILL);
        let _ = self.child.wait();
        live().groups.retain(|group| *group != self.id);
    }
}

/// Shows a command as one would type it: the program without its folder.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

fn status(command: &mut Command) -> Result<ExitStatus> {
    let mut group = Group::spawn(command)?;
    group.child.wait().context("lost a child process")
}

/// Runs a command to its end with its output shown.
pub fn run(command: &mut Command) -> Result<()> {
    let status = status(command)?;
    if status.success() { Ok(()) } else { bail!("`{}` failed ({status})", shown(command)) }
}

/// Runs a command to its end; its output is kept and shown only if it fails.
pub fn run_quietly(command: &mut Command) -> Result<String> {
    let mut log = tempfile::tempfile().context("cannot create a temporary file")?;
    let status = status(command.stdout(log.try_clone()?).stderr(log.try_clone()?))?;
    let mut output = Vec::new();
    log.seek(SeekFrom::Start(0))?;
    log.read_to_end(&mut output)?;
    let output = String::from_utf8_lossy(&output).into_owned();
    if status.success() { Ok(output) } else { bail!("`{}` failed ({status}):\n{}", shown(command), output.trim_end()) }
}

/// The folders of PATH.
pub fn path_folders() -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>().into_iter()
}

/// Path of a program that the environment may name by a variable, and that has one of these names on PATH.
pub fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let on_path = || names.iter().flat_map(|name| path_folders().map(move |folder| folder.join(name)));
    named.into_iter().chain(on_path()).find(|path| path.is_file())
}

/// First line of what a command prints, or `None` if it is not installed or fails.
pub fn first_line(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then(|| text.lines().next().unwrap_or_default().trim().to_owned())
}

/// A server in the background, its output in a log file.
pub struct Server {
    name: String,
    group: Group,
    log: PathBuf,
}

impl Server {
    /// Starts it.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let group = Group::spawn(command.stdout(file.try_clone()?).stderr(file))?;
        Ok(Self { name: name.to_owned(), group, log: log.to_path_buf() })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.group.child.id()
    }

    /// Waits until `find` finds in the log what the server says once it is ready.
    ///
    /// # Errors
    /// With the end of the log, if the server ends or is not ready in time.
    pub fn wait_for<T>(&mut self, patience: Duration, mut find: impl FnMut(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + patience;
        loop {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            if let Some(found) = find(&log) {
                return Ok(found);
            }
            self.check()?;
            if Instant::now() > deadline {
                bail!(
                    "{} was not ready within {} s; its log ends:\n{}",
                    self.name,
                    patience.as_secs(),
                    self.log_tail()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Fails with the end of the log if the server has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.group.child.try_wait().context("lost a child process")? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}); its log ends:\n{}", self.name, self.log_tail()),
        }
    }

    /// The last lines of the log.
    pub fn log_tail(&self) -> String {
        let read = || -> std::io::Result<String> {
            let mut file = File::open(&self.log)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_TAIL_BYTES)))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("(no log: {error})"))
    }
}

/// A temporary folder, removed on every way out.
pub struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Creates it.
    pub fn new() -> Result<Self> {
        let folder =
            tempfile::Builder::new().prefix("foremap-").tempdir().context("cannot create a temporary folder")?;
        live().folders.push(folder.path().to_path_buf());
        Ok(Self(folder))
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        live().folders.retain(|folder| folder != self.0.path());
    }
}

/// Cargo as it runs this program.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// Command that installs a program from a crate, below `root`. Unoptimised and without debug information: a third of
/// the time to compile, and it runs for seconds.
pub fn install_crate(name: &str, version: &str, root: &Path) -> Command {
    let mut command = cargo();
    command.args(["install", name, "--version", version, "--debug", "--force"]);
    command.args(["--config", "profile.dev.debug=0", "--root"]).arg(root);
    // Else it would be built into the project's target directory and stay there; so cargo uses a temporary one.
    command.env_remove("CARGO_TARGET_DIR");
    command
}

/// Command that unpacks the Python wheel `requirement` into `folder`.
pub fn install_wheel(requirement: &str, folder: &Path) -> Command {
    let mut command = Command::new("python3");
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]);
    // Nothing of a source package is to be run.
    command.args(["--only-binary", ":all:", "--upgrade", "--target"]).arg(folder);
    command.arg(requirement);
    command
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
