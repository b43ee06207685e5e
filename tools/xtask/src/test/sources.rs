//! Checks of what the sources say and depend on, each by a ready-made tool of a pinned version.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};
use xtask::process;
use xtask::workspace::Workspace;

/// A program that checks sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checker {
    /// Finds misspelt words; `_typos.toml` lists those that are right.
    Typos,
    /// Finds dependencies that nothing uses.
    Machete,
    /// Holds licences, sources and versions of dependencies against `deny.toml`.
    Deny,
}

impl Checker {
    const ALL: [Self; 3] = [Self::Typos, Self::Machete, Self::Deny];

    /// Name and version of the package that it comes in.
    fn package(self) -> (&'static str, &'static str) {
        match self {
            Self::Typos => ("typos", "1.52.0"),
            Self::Machete => ("cargo-machete", "0.9.2"),
            Self::Deny => ("cargo-deny", "0.20.2"),
        }
    }

    /// The program, if it is here and of that version.
    pub(super) fn find(self, workspace: &Workspace) -> Option<PathBuf> {
        let (name, version) = self.package();
        let program = match self {
            Self::Typos => wheel_folder(workspace).join("bin"),
            Self::Machete | Self::Deny => workspace.tools(),
        };
        let program = program.join(name);
        process::first_line(program.to_str()?, &["--version"])?.ends_with(version).then_some(program)
    }

    /// Command that installs it.
    pub(super) fn install(self, workspace: &Workspace) -> Command {
        let (name, version) = self.package();
        match self {
            // As a crate it takes four times as long to compile as the two others together.
            Self::Typos => process::install_wheel(&format!("{name}=={version}"), &wheel_folder(workspace)),
            Self::Machete | Self::Deny => {
                let mut command = process::install_crate(name, version, &workspace.target.join("tools"));
                command.args(["--locked", "--no-default-features"]);
                command
            }
        }
    }

    fn run(self, workspace: &Workspace) -> Result<()> {
        let (name, _) = self.package();
        let mut command = Command::new(self.find(workspace).with_context(|| format!("{name} is missing"))?);
        command.current_dir(&workspace.root);
        match self {
            Self::Typos => {}
            Self::Machete => _ = command.arg("--with-metadata"),
            // Its database of advisories is a repository on GitHub: CONTRIBUTING.md says when that is asked.
            Self::Deny => {
                _ = command.args(["--locked", "--all-features", "--workspace", "check", "bans", "licenses", "sources"])
            }
        }
        println!("{}", process::shown(&command));
        process::run(&mut command)
    }
}

fn wheel_folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools/typos")
}

/// Runs all of them.
pub(super) fn run(workspace: &Workspace) -> Result<()> {
    Checker::ALL.into_iter().try_for_each(|checker| checker.run(workspace))
}
