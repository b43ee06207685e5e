//! The development tools of `package.json`.

use std::process::Command;

use anyhow::Result;

use super::stamp::Stamp;
use crate::process;
use crate::workspace::Workspace;

/// Installs the pinned packages if the manifests changed or something is missing.
///
/// `npm install` and not `npm ci`: npm 11 leaves platform packages that a
/// registry does not serve out of the lock file, and `npm ci` then refuses it.
/// Install scripts are off, as none of the pinned packages needs one.
pub(super) fn install(workspace: &Workspace) -> Result<()> {
    let manifests = ["package.json", "package-lock.json", "pkg/package.json"].map(|path| workspace.path(path)).to_vec();
    // npm's own record of the tree: gone or different after a foreign install.
    let tree = vec![workspace.path("node_modules/.package-lock.json")];
    let stamp = Stamp::new(workspace, "npm", "", manifests, tree);
    if stamp.is_fresh()? {
        return Ok(());
    }
    println!("build: installing the npm packages of package.json");
    let arguments = ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
    process::run_quietly(npm(workspace).args(arguments))?;
    stamp.set()
}

/// npm, started at the root of the checkout.
pub fn npm(workspace: &Workspace) -> Command {
    let mut command = Command::new("npm");
    command.current_dir(&workspace.root);
    command
}
