//! Places of things, and the versions that the lock file pins.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

/// The trace that comes with the repository.
pub const BUNDLED_TRACE: &str = "tests/traces/npm-install.csv.gz";

/// The checkout and its build directory.
pub struct Workspace {
    /// Folder of the root `Cargo.toml`.
    pub root: PathBuf,
    /// Cargo's target directory, wherever the environment or a configuration puts it.
    pub target: PathBuf,
}

impl Workspace {
    /// Finds both from this program's own place.
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .context("tools/xtask is in no checkout")?
            .to_path_buf();
        // `<target>/debug/xtask`: right under every way of setting the target directory.
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let target = program.ancestors().nth(2).context("this program is not in a target directory")?.to_path_buf();
        Ok(Self { root, target })
    }

    /// A path inside the checkout.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Folder of programs that tests install.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools/bin")
    }

    /// Version of a package in `Cargo.lock`.
    pub fn locked_version(&self, package: &str) -> Result<String> {
        let path = self.path("Cargo.lock");
        let lock = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        version_in_lock(&lock, package).ok_or_else(|| anyhow!("{} does not list {package}", path.display()))
    }
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{package}\""));
    lines.next()?;
    Some(lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_glue_generator_is_of_the_version_of_the_library() -> Result<()> {
        let workspace = Workspace::find()?;
        let library = workspace.locked_version("wasm-bindgen")?;
        assert_eq!(workspace.locked_version("wasm-bindgen-cli-support")?, library);
        Ok(())
    }

    #[test]
    fn a_package_that_is_not_locked_has_no_version() {
        assert_eq!(version_in_lock("name = \"a\"\nversion = \"1.0.0\"\n", "b"), None);
        assert_eq!(version_in_lock("name = \"a\"\nversion = \"1.0.0\"\n", "a").as_deref(), Some("1.0.0"));
    }
}
