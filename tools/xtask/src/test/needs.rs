//! [`Need`]: something that tests need beyond Rust, Node.js and the npm packages.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use xtask::engine::Engine;
use xtask::process;
use xtask::workspace::Workspace;

use super::interface;
use super::sources::Checker;

/// Something to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A Chromium.
    Chromium,
    /// The driver of the same version.
    ChromeDriver,
    /// A Redis server with its command line tool.
    Redis,
    /// A server of this engine.
    Engine(Engine),
    /// A program that checks sources.
    Checker(Checker),
    /// A maker of requests from a description of the interface.
    Schemathesis,
    /// The test runner of `wasm-bindgen`, of the version in `Cargo.lock`.
    WasmRunner,
}

impl Need {
    pub(super) const ALL: [Self; 8] = [
        Self::Chromium,
        Self::ChromeDriver,
        Self::Redis,
        Self::Schemathesis,
        Self::WasmRunner,
        Self::Checker(Checker::Typos),
        Self::Checker(Checker::Machete),
        Self::Checker(Checker::Deny),
    ];

    fn debian_package(self) -> Option<&'static str> {
        match self {
            Self::Chromium => Some("chromium"),
            Self::ChromeDriver => Some("chromium-driver"),
            Self::Redis | Self::Engine(Engine::Redis7) => Some("redis-server"),
            Self::Schemathesis | Self::WasmRunner | Self::Checker(_) | Self::Engine(_) => None,
        }
    }

    /// Its path, if it is here. The environment may name another browser and driver.
    pub(crate) fn find(self, workspace: &Workspace) -> Option<PathBuf> {
        let (variable, names): (_, &[&str]) = match self {
            Self::Chromium => ("CHROMIUM", &["chromium", "chromium-browser", "google-chrome"]),
            Self::ChromeDriver => ("CHROMEDRIVER", &["chromedriver"]),
            Self::Redis => ("REDIS_SERVER", &["redis-server"]),
            Self::Engine(engine) => return engine.find(workspace),
            Self::Checker(checker) => return checker.find(workspace),
            Self::Schemathesis => return interface::find(workspace),
            Self::WasmRunner => {
                let runner = workspace.tools().join("wasm-bindgen-test-runner");
                let version = process::first_line(runner.to_str()?, &["--version"])?;
                let wanted = workspace.locked_version("wasm-bindgen").ok()?;
                return version.ends_with(&wanted).then_some(runner);
            }
        };
        process::find(variable, names)
    }
}

/// Installs what is missing of these, or says how.
///
/// # Errors
/// Without `install`, if anything is missing: with the exact command of each.
pub(super) fn meet(workspace: &Workspace, mut missing: Vec<Need>, install: bool) -> Result<()> {
    missing.retain(|need| need.find(workspace).is_none());
    if missing.is_empty() {
        return Ok(());
    }
    let mut commands = Vec::new();
    let wheels: Vec<_> = missing
        .iter()
        .filter_map(|need| match need {
            Need::Engine(engine) => engine.wheel(),
            _ => None,
        })
        .collect();
    let mut packages: Vec<&str> = missing.iter().filter_map(|need| need.debian_package()).collect();
    let uses_pip =
        !wheels.is_empty() || missing.contains(&Need::Schemathesis) || missing.contains(&Need::Checker(Checker::Typos));
    if uses_pip && process::first_line("python3", &["-m", "pip", "--version"]).is_none() {
        packages.push("python3-pip");
    }
    packages.sort_unstable();
    packages.dedup();
    if !packages.is_empty() {
        commands.push(as_root(&["apt-get", "update"]));
        commands.push(as_root(&[&["apt-get", "install", "--yes", "--no-install-recommends"], &packages[..]].concat()));
    }
    if missing.contains(&Need::WasmRunner) {
        commands.push(install_runner(workspace)?);
    }
    if missing.contains(&Need::Schemathesis) {
        commands.extend(interface::install(workspace));
    }
    commands.extend(missing.iter().filter_map(|need| match need {
        Need::Checker(checker) => Some(checker.install(workspace)),
        _ => None,
    }));
    commands.extend(wheels.iter().map(|wheel| wheel.install(workspace)));
    if !install {
        let lines: Vec<_> = commands.iter().map(|command| format!("  {}", process::shown(command))).collect();
        bail!("missing: {missing:?}. `cargo xtask test --install` runs, or run yourself:\n{}", lines.join("\n"));
    }
    if !packages.is_empty() {
        ensure!(
            process::first_line("apt-get", &["--version"]).is_some(),
            "{packages:?} are Debian packages and there is no apt-get here: install them by hand, and name them in \
             CHROMIUM, CHROMEDRIVER, REDIS_SERVER and REDIS_CLI if they are not on PATH"
        );
    }
    for mut command in commands {
        println!("test: installing: {}", process::shown(&command));
        process::run(&mut command)?;
    }
    let still: Vec<Need> = missing.into_iter().filter(|need| need.find(workspace).is_none()).collect();
    ensure!(still.is_empty(), "installed, but still not found: {still:?}");
    Ok(())
}

fn as_root(words: &[&str]) -> Command {
    let words = if nix::unistd::geteuid().is_root() { words.to_vec() } else { [&["sudo"], words].concat() };
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// Not `--locked`: the lock file of that release may name versions that a registry does not serve.
fn install_runner(workspace: &Workspace) -> Result<Command> {
    let version = workspace.locked_version("wasm-bindgen")?;
    let root = workspace.tools().parent().context("the folder of tools has a parent")?.to_path_buf();
    Ok(process::install_crate("wasm-bindgen-cli", &version, &root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_is_installed_in_the_version_of_the_library() -> Result<()> {
        let workspace = Workspace::find()?;
        let shown = process::shown(&install_runner(&workspace)?);
        let version = workspace.locked_version("wasm-bindgen")?;
        assert!(shown.contains(&format!("wasm-bindgen-cli --version {version}")), "{shown}");
        Ok(())
    }
}
