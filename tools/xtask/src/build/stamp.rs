//! Stamps: remember what a step was made from and what it made.
//!
//! A step is up to date if a hash over the content of its inputs and outputs is
//! the one noted after it last ran. Times of files are not looked at: they
//! change with every checkout.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xxhash_rust::xxh3::Xxh3;

use crate::workspace::Workspace;

/// Folders that hold results or foreign code, never inputs.
const SKIPPED: [&str; 4] = ["node_modules", "dist", "output", ".git"];

/// The stamp of one step.
pub(super) struct Stamp {
    file: PathBuf,
    inputs: Vec<PathBuf>,
    outputs: Vec<PathBuf>,
    /// Whatever else decides the result, such as the version of a tool.
    settings: String,
}

impl Stamp {
    /// A step named `name`. Inputs and outputs may be folders or may not exist.
    pub(super) fn new(
        workspace: &Workspace,
        name: &str,
        settings: &str,
        inputs: Vec<PathBuf>,
        outputs: Vec<PathBuf>,
    ) -> Self {
        let file = workspace.target.join("xtask").join(format!("{name}.stamp"));
        Self { file, inputs, outputs, settings: settings.to_owned() }
    }

    /// Tells whether nothing changed since [`Stamp::set`].
    pub(super) fn is_fresh(&self) -> Result<bool> {
        let Ok(noted) = std::fs::read_to_string(&self.file) else { return Ok(false) };
        Ok(self.outputs.iter().all(|output| output.exists()) && noted == self.hash()?)
    }

    /// Notes that the step has run.
    pub(super) fn set(&self) -> Result<()> {
        let folder = self.file.parent().context("a stamp is in a folder")?;
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        std::fs::write(&self.file, self.hash()?).with_context(|| format!("cannot write {}", self.file.display()))
    }

    fn hash(&self) -> Result<String> {
        let mut hasher = Xxh3::new();
        add(&mut hasher, self.settings.as_bytes());
        for input in &self.inputs {
            add_path(&mut hasher, input, true)?;
        }
        for output in &self.outputs {
            add_path(&mut hasher, output, false)?;
        }
        Ok(format!("{:032x}", hasher.digest128()))
    }
}

/// Adds a field with its length, so that no two lists of fields hash alike by shifting a border.
fn add(hasher: &mut Xxh3, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_le_bytes());
    hasher.update(field);
}

fn add_path(hasher: &mut Xxh3, path: &Path, is_input: bool) -> Result<()> {
    add(hasher, path.as_os_str().as_encoded_bytes());
    let shown = || format!("cannot read {}", path.display());
    if path.is_dir() {
        let entries = std::fs::read_dir(path).with_context(shown)?;
        let mut entries =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>().with_context(shown)?;
        entries.sort_unstable();
        let skipped = |entry: &PathBuf| is_input && SKIPPED.iter().any(|name| entry.ends_with(name));
        for entry in entries.iter().filter(|entry| !skipped(entry)) {
            add_path(hasher, entry, is_input)?;
        }
    } else if path.exists() {
        add(hasher, &std::fs::read(path).with_context(shown)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_fresh_until_an_input_an_output_or_a_setting_changes() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let workspace = Workspace { root: folder.path().to_path_buf(), target: folder.path().join("target") };
        let (input, output) = (workspace.path("in"), workspace.path("out"));
        let stamp = |settings| Stamp::new(&workspace, "step", settings, vec![input.clone()], vec![output.clone()]);
        std::fs::create_dir_all(input.join("dist"))?;
        std::fs::write(input.join("a"), "1")?;
        std::fs::write(&output, "made")?;
        assert!(!stamp("x").is_fresh()?, "never run");
        stamp("x").set()?;
        assert!(stamp("x").is_fresh()?);
        assert!(!stamp("y").is_fresh()?, "other setting");

        std::fs::write(input.join("dist/made"), "2")?;
        assert!(stamp("x").is_fresh()?, "results inside an input folder do not count");
        std::fs::write(input.join("b"), "")?;
        assert!(!stamp("x").is_fresh()?, "new input");
        stamp("x").set()?;
        std::fs::write(&output, "changed")?;
        assert!(!stamp("x").is_fresh()?, "changed output");
        stamp("x").set()?;
        std::fs::remove_file(&output)?;
        assert!(!stamp("x").is_fresh()?, "missing output");
        Ok(())
    }
}
