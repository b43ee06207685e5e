//! Tools that fuzzing needs beyond a stable compiler.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail, ensure};
use xtask::process;
use xtask::workspace::Workspace;

/// Folder of the crate of the fuzz binaries.
pub(super) const FOLDER: &str = "tests/fuzz";
/// The version of cargo-fuzz that is installed and asked for.
const VERSION: &str = "0.13.2";
/// Instrumentation needs unstable options of the compiler.
const TOOLCHAIN: &str = "nightly";

fn binary(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools/bin/cargo-fuzz")
}

/// A command of cargo-fuzz, by the nightly compiler.
pub(super) fn cargo_fuzz(workspace: &Workspace, verb: &str) -> Command {
    let mut command = Command::new(binary(workspace));
    command.current_dir(&workspace.root).args(["fuzz", verb, "--fuzz-dir", FOLDER, "--target-dir"]);
    command.arg(workspace.target.join("fuzz"));
    // This program runs below a stable cargo, which names itself to its children.
    command.env_remove("CARGO").env_remove("RUSTC").env("RUSTUP_TOOLCHAIN", TOOLCHAIN);
    command
}

fn has_compiler() -> bool {
    process::first_line("rustup", &["run", TOOLCHAIN, "rustc", "--version"]).is_some()
}

fn has_cargo_fuzz(workspace: &Workspace) -> bool {
    let version = binary(workspace).to_str().and_then(|path| process::first_line(path, &["fuzz", "--version"]));
    version.is_some_and(|version| version.ends_with(VERSION))
}

/// Installs what is missing, or says how.
///
/// # Errors
/// Without `install`, if anything is missing: with the exact command of each.
pub(crate) fn meet(workspace: &Workspace, install: bool) -> Result<()> {
    let mut commands = Vec::new();
    if !has_compiler() {
        let mut command = Command::new("rustup");
        command.args(["toolchain", "install", TOOLCHAIN, "--profile", "minimal"]);
        commands.push(command);
    }
    if !has_cargo_fuzz(workspace) {
        let mut command = process::cargo();
        command.args(["install", "cargo-fuzz", "--locked", "--version", VERSION, "--root"]);
        command.arg(workspace.target.join("tools")).env_remove("CARGO_TARGET_DIR");
        commands.push(command);
    }
    if !install && !commands.is_empty() {
        let lines: Vec<_> = commands.iter().map(|command| format!("  {}", process::shown(command))).collect();
        bail!("fuzzing needs more; `--install` runs, or run yourself:\n{}", lines.join("\n"));
    }
    for mut command in commands {
        println!("fuzz: installing: {}", process::shown(&command));
        process::run(&mut command)?;
    }
    ensure!(
        has_compiler(),
        "there is no nightly compiler that rustup knows: get rustup from https://rustup.rs and run \
         `rustup toolchain install {TOOLCHAIN}`; a compiler installed by other means cannot be added to it from here"
    );
    ensure!(
        has_cargo_fuzz(workspace),
        "cargo-fuzz {VERSION} was installed, but is not at {}",
        binary(workspace).display()
    );
    Ok(())
}
