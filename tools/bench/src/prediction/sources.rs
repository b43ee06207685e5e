//! Which traces are replayed.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use xtask::workspace::BUNDLED_TRACE;
use xtask::workspace::Workspace;

use super::reference::{ALL, Reference};

/// A trace file.
pub(super) struct Source {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) reference: Option<&'static Reference>,
    /// Clients in it, counted where the reference does not know it.
    pub(super) clients: usize,
}

/// The traces `*.csv.gz` of a folder, those of the reference first and in its order; or the bundled one.
pub(super) fn sources(workspace: &Workspace, folder: Option<&Path>) -> Result<Vec<Source>> {
    let Some(folder) = folder else { return Ok(vec![source(&workspace.path(BUNDLED_TRACE))?]) };
    let shown = || format!("cannot read {}", folder.display());
    let entries = std::fs::read_dir(folder).with_context(shown)?.collect::<Result<Vec<_>, _>>().with_context(shown)?;
    let paths = entries.into_iter().map(|entry| entry.path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ENDING)).collect();
    ensure!(!paths.is_empty(), "no file in {} ends in {ENDING}", folder.display());
    let place = |name: &str| ALL.iter().position(|reference| reference.name == name).unwrap_or(ALL.len());
    paths.sort_by_key(|path| (place(&name(path)), path.clone()));
    paths.iter().map(|path| source(path)).collect()
}

const ENDING: &str = ".csv.gz";

fn name(path: &Path) -> String {
    let file = path.file_name().map_or_else(String::new, |file| file.to_string_lossy().into_owned());
    file.strip_suffix(ENDING).map_or(file.clone(), ToOwned::to_owned)
}

fn source(path: &Path) -> Result<Source> {
    let name = name(path);
    let reference = Reference::of(&name);
    let clients = if reference.is_some() { 0 } else { foremap_replay::trace::read(path)?.clients.len() };
    Ok(Source { path: path.to_string_lossy().into_owned(), name, reference, clients })
}
