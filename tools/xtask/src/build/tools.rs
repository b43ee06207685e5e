//! The tools that everything needs: each one missing is an error that says how to get it.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process;
use crate::workspace::Workspace;

/// Oldest Node.js that the development tools run on.
const MIN_NODE: u32 = 20;
/// The target of the core in browsers, workers and Node.js.
pub(super) const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// Checks Node.js and npm, and adds the wasm target if it is not there.
pub(super) fn check(workspace: &Workspace) -> Result<()> {
    const NODE: &str = "install Node.js 20 or later from https://nodejs.org or your system's packages";
    match process::first_line("node", &["--version"]) {
        None => bail!("Node.js is not installed: {NODE}"),
        Some(version) if major(&version).is_none_or(|major| major < MIN_NODE) => {
            bail!("Node.js {version} is too old: {NODE}")
        }
        Some(_) => {}
    }
    if process::first_line("npm", &["--version"]).is_none() {
        bail!("npm is not installed: {NODE}; some systems package npm by itself");
    }
    wasm_target(workspace)
}

/// `v20.1.2` is 20.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

fn wasm_target(workspace: &Workspace) -> Result<()> {
    let sysroot = process::first_line("rustc", &["--print", "sysroot"]).unwrap_or_default();
    if Path::new(&sysroot).join("lib/rustlib").join(WASM_TARGET).is_dir() {
        return Ok(());
    }
    println!("build: adding the Rust target {WASM_TARGET}");
    if process::first_line("rustup", &["--version"]).is_none() {
        bail!(
            "the Rust target {WASM_TARGET} is not installed, and neither is rustup to add it: \
             get rustup from https://rustup.rs, or install the target with what installed Rust"
        );
    }
    process::run(Command::new("rustup").current_dir(&workspace.root).args(["target", "add", WASM_TARGET]))
}

/// Node.js, started at the root of the checkout.
pub fn node(workspace: &Workspace) -> Command {
    let mut command = Command::new("node");
    command.current_dir(&workspace.root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_node_prints_them() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.1"), None);
    }
}
