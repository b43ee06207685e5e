//! Setting up and building: each step runs only if its inputs or outputs changed.

mod npm;
mod package;
mod stamp;
mod tools;
mod wasm;

pub use npm::npm;
pub use tools::node;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::process;
use crate::workspace::Workspace;

/// The cores of the package: browsers must not download what only workers use.
const CORES: [wasm::Core; 2] = [wasm::Core::CLIENT, wasm::Core::WORKER];

/// Builds the npm package with all that it takes.
pub fn all(workspace: &Workspace) -> Result<()> {
    let start = Instant::now();
    tools::check(workspace)?;
    // npm waits for the network and cargo for the processor, so they go well together.
    let modules = std::thread::scope(|scope| {
        let packages = scope.spawn(|| npm::install(workspace));
        let modules = CORES.iter().map(|core| wasm::compile_core(workspace, core)).collect::<Result<Vec<_>>>();
        let packages = packages.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        packages.and(modules)
    })?;
    for (core, module) in CORES.iter().zip(&modules) {
        wasm::glue(workspace, core, module)?;
    }
    package::bundle(workspace)?;
    println!("build: the package is up to date ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(())
}

/// Builds the gateway and returns its path. In the development profile: its
/// answers wait for a disk and a network, and it compiles in half the time.
pub fn gateway(workspace: &Workspace) -> Result<PathBuf> {
    quick(workspace, "foremap-gateway")
}

/// Builds a program in the development profile, as its tests have, and returns its path.
pub fn quick(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    process::run(process::cargo().current_dir(&workspace.root).args(["build", "--package", package]))?;
    Ok(workspace.target.join("debug").join(package))
}

/// Builds a program optimised, as it is published, and returns its path.
pub fn optimised(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    let mut command = process::cargo();
    process::run(command.current_dir(&workspace.root).args(["build", "--release", "--package", package]))?;
    Ok(workspace.target.join("release").join(package))
}

/// Builds a library as WebAssembly exactly as the core is built, for Node.js, and returns its glue.
pub fn wasm_for_node(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    tools::check(workspace)?;
    npm::install(workspace)?;
    wasm::for_node(workspace, package)
}

/// Makes `import "foremap"` in a folder mean the built package, as after an installation.
pub fn link_package(workspace: &Workspace, folder: &Path) -> Result<()> {
    let modules = folder.join("node_modules");
    let link = modules.join("foremap");
    std::fs::create_dir_all(&modules).with_context(|| format!("cannot create {}", modules.display()))?;
    if link.is_symlink() {
        std::fs::remove_file(&link).with_context(|| format!("cannot replace {}", link.display()))?;
    }
    std::os::unix::fs::symlink(workspace.path("pkg"), &link)
        .with_context(|| format!("cannot create {}", link.display()))
}
