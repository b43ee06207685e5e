//! The core as WebAssembly: compile, write the glue, optimise.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use super::stamp::Stamp;
use super::tools::WASM_TARGET;
use crate::process;
use crate::workspace::Workspace;

/// A core of the package.
pub(super) struct Core {
    /// Folder in which the package expects it.
    out: &'static str,
    features: &'static [&'static str],
    /// Below the target folder, for cores that the same library is compiled to with other features: their files have the
    /// same names.
    folder: Option<&'static str>,
}

impl Core {
    /// That of clients.
    pub(super) const CLIENT: Self = Self { out: "pkg/dist/core", features: &[], folder: None };
    /// That of the edge worker.
    pub(super) const WORKER: Self = Self { out: "pkg/dist/worker-core", features: &["hub"], folder: Some("worker") };
}

/// Files of the glue; there is one module for every runtime.
const FILES: [&str; 4] = ["core.js", "core.d.ts", "core_bg.wasm", "core_bg.wasm.d.ts"];
/// Small first: a byte is paid on every page load, a nanosecond only on a miss.
/// Inlining large functions with one caller saves a few raw bytes, yet gzip finds less to repeat: 1.3 % more in all.
/// Repeated until nothing changes, 0.5 % less.
const OPTIMISE: [&str; 3] = ["-Oz", "--converge", "--one-caller-inline-max-function-size=20"];

/// Compiles a core and returns the module.
pub(super) fn compile_core(workspace: &Workspace, core: &Core) -> Result<PathBuf> {
    let target = core.folder.map_or_else(|| workspace.target.clone(), |folder| workspace.target.join(folder));
    compile_into(workspace, "foremap", core.features, &target)
}

/// Compiles a library and returns the module.
fn compile(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    compile_into(workspace, package, &[], &workspace.target)
}

fn compile_into(workspace: &Workspace, package: &str, features: &[&str], target: &Path) -> Result<PathBuf> {
    let mut command = process::cargo();
    command.current_dir(&workspace.root).args(["rustc", "--profile", "wasm", "--target", WASM_TARGET]);
    command.args(["--package", package, "--lib", "--crate-type", "cdylib"]);
    command.args(["--features", &features.join(",")]).arg("--target-dir").arg(target);
    command.env("CARGO_ENCODED_RUSTFLAGS", remapped_paths().join("\x1f"));
    process::run(&mut command)?;
    let file = package.replace('-', "_") + ".wasm";
    Ok(target.join(WASM_TARGET).join("wasm").join(file))
}

/// Panic messages name source files: without this, the published module would tell where they lay on this machine.
fn remapped_paths() -> Vec<String> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")));
    let sources = home.map(|home| home.join("registry/src")).and_then(|sources| std::fs::read_dir(sources).ok());
    let registries = sources.into_iter().flatten().flatten();
    registries.map(|registry| format!("--remap-path-prefix={}=/crates", registry.path().display())).collect()
}

/// Writes the glue of a core and the optimised module.
pub(super) fn glue(workspace: &Workspace, core: &Core, module: &Path) -> Result<()> {
    let out = workspace.path(core.out);
    let outputs = FILES.iter().map(|file| out.join(file)).collect();
    // The lock file pins the generator of the glue, package.json that of wasm-opt.
    let bindgen = workspace.locked_version("wasm-bindgen")?;
    let manifest = workspace.path("package.json");
    let name = core.folder.map_or_else(|| "wasm".to_owned(), |folder| format!("wasm-{folder}"));
    let stamp = Stamp::new(workspace, &name, &bindgen, vec![module.to_path_buf(), manifest], outputs);
    if stamp.is_fresh()? {
        return Ok(());
    }
    println!("build: writing the glue of {} and optimising it", core.out);
    let scratch = empty_folder(workspace, "xtask/glue")?;
    let mut bindgen = Bindgen::new();
    // Bundlers would copy the module once more if the glue named it.
    bindgen.web(true)?.typescript(true).omit_default_module_path(true);
    generate(&mut bindgen, module, "core", &scratch)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    for file in FILES.iter().filter(|file| !file.ends_with(".wasm")) {
        std::fs::copy(scratch.join(file), out.join(file))
            .with_context(|| format!("wasm-bindgen did not write {file}"))?;
    }
    optimise(workspace, &scratch.join("core_bg.wasm"), &out.join("core_bg.wasm"))?;
    stamp.set()
}

/// Compiles a library as the core is, for Node.js, and returns the glue.
pub(super) fn for_node(workspace: &Workspace, package: &str) -> Result<PathBuf> {
    let module = compile(workspace, package)?;
    let folder = empty_folder(workspace, &format!("xtask/{package}"))?;
    generate(Bindgen::new().nodejs(true)?, &module, "glue", &folder)?;
    let (plain, file) = (folder.join("plain.wasm"), folder.join("glue_bg.wasm"));
    std::fs::rename(&file, &plain).with_context(|| format!("wasm-bindgen did not write {}", file.display()))?;
    optimise(workspace, &plain, &file)?;
    // Not `.js`, which means an ES module if the folder lies inside the checkout, and is no such module.
    let glue = folder.join("glue.cjs");
    std::fs::rename(folder.join("glue.js"), &glue).with_context(|| format!("cannot create {}", glue.display()))?;
    Ok(glue)
}

fn empty_folder(workspace: &Workspace, name: &str) -> Result<PathBuf> {
    let folder = workspace.target.join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(folder)
}

fn generate(bindgen: &mut Bindgen, module: &Path, name: &str, folder: &Path) -> Result<()> {
    bindgen.input_path(module).out_name(name).remove_name_section(true).remove_producers_section(true);
    bindgen.generate(folder).context("wasm-bindgen could not write the glue")
}

/// `wasm-opt` of the npm package `binaryen`, and of no other source: an old one
/// (such as 108) breaks the module without a word. It reads the allowed features from the module.
fn optimise(workspace: &Workspace, from: &Path, to: &Path) -> Result<()> {
    let tool = workspace.path("node_modules/.bin/wasm-opt");
    if !tool.exists() {
        bail!("wasm-opt is missing: package.json should list `binaryen`");
    }
    process::run(Command::new(tool).args(OPTIMISE).arg(from).arg("-o").arg(to))
}
