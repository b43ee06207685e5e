//! The npm package: TypeScript and the core bundled into `pkg/dist`.

use anyhow::Result;

use super::stamp::Stamp;
use super::tools;
use crate::process;
use crate::workspace::Workspace;

/// Bundles if anything that goes into the package, or its result, changed.
pub(super) fn bundle(workspace: &Workspace) -> Result<()> {
    let inputs = ["js", "pkg", "www", "package.json", "tsconfig.json", "pkg/dist/core", "pkg/dist/worker-core"];
    let inputs = inputs.map(|path| workspace.path(path)).to_vec();
    let stamp = Stamp::new(workspace, "package", "", inputs, vec![workspace.path("pkg/dist")]);
    if stamp.is_fresh()? {
        return Ok(());
    }
    println!("build: bundling the npm package");
    process::run(tools::node(workspace).arg("js/build.mjs"))?;
    stamp.set()
}
