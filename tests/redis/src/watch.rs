//! Ends the servers when this process is gone without having done so.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// Reads lists of process ids, and when the pipe closes kills those of the last one and removes the folder.
const SCRIPT: &str = r#"while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids; rm -rf "$0""#;

/// A shell that outlives this process for a moment: should the process die without notice, it kills the servers that it
/// was last told of and removes their folder.
pub struct Watch {
    shell: Child,
}

impl Watch {
    /// Starts it, for servers below `folder`.
    ///
    /// # Errors
    /// Where there is no shell.
    pub fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SCRIPT).arg(folder);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        Ok(Self { shell: command.spawn().context("cannot start `sh`")? })
    }

    /// These are the process ids of the servers that run now.
    ///
    /// # Errors
    /// Where the shell has ended.
    pub fn servers(&mut self, pids: impl Iterator<Item = u32>) -> Result<()> {
        let line: Vec<String> = pids.map(|pid| pid.to_string()).collect();
        let pipe = self.shell.stdin.as_mut().context("the watching shell has no input")?;
        writeln!(pipe, "{}", line.join(" ")).context("the watching shell has ended")
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // An error means that it is gone already.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
