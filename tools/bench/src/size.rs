//! Bytes that a user downloads.
//!
//! An entry is measured as an application would ship it: bundled by esbuild
//! with the conditions of its runtime, minified, gzip at level 9.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use foremap_bench::rows::{Better, Row};
use serde::Deserialize;
use xtask::build;
use xtask::process;
use xtask::workspace::Workspace;

/// Limits in KiB. What is required is a little above what has been reached, so that growth is noticed; the aim is what
/// would make the package the lightest of its kind.
struct Budget {
    target: f64,
    aim: f64,
}

/// The module alone.
const CORE: Budget = Budget { target: 151.0, aim: 60.0 };
/// The core, deflated and in base64, its glue and the client.
const BROWSER: Budget = Budget { target: 179.0, aim: 90.0 };
/// With the hub of the shared model, which only workers have: half of what workers may have on the free plan at the least
/// that it ever was, a megabyte.
const WORKER: Budget = Budget { target: 287.0, aim: 70.0 };
/// Everything: both cores, types and both module formats.
const TARBALL: Budget = Budget { target: 822.0, aim: 250.0 };

/// Measures the built package.
pub(super) fn run(workspace: &Workspace) -> Result<Vec<Row>> {
    build::all(workspace)?;
    let read = |path: &str| std::fs::read(workspace.path(path)).with_context(|| format!("cannot read {path}"));
    let core = read("pkg/dist/core/core_bg.wasm")?;
    let worker_core = read("pkg/dist/worker-core/core_bg.wasm")?;
    let row = |measure: &str, bytes: u64, budget: &Budget| {
        Row::information(measure, bytes as f64 / 1_024.0, "KiB", Better::Lower).requires(budget.target).aims(budget.aim)
    };
    let scratch = workspace.target.join("xtask/size");
    std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
    Ok(vec![
        row("core.wasm, gzip", gzip(&core)?, &CORE),
        row("browser entry with the core inlined, minified, gzip", browser(workspace, &scratch)?, &BROWSER),
        row("edge worker and hub with their module, gzip", worker(workspace, &scratch)? + gzip(&worker_core)?, &WORKER),
        row("packed npm package", tarball(workspace)?, &TARBALL),
    ])
}

/// Bytes that are left at level 9.
pub(super) fn gzip(bytes: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}

fn browser(workspace: &Workspace, scratch: &Path) -> Result<u64> {
    let flags = ["--platform=browser", "--conditions=browser"];
    bundle(workspace, scratch, "import { createClient } from 'foremap'; createClient();", &flags)
}

/// Without the core, which stays a module of its own there.
fn worker(workspace: &Workspace, scratch: &Path) -> Result<u64> {
    let source = "import { AnalyzerHub, createWorker } from 'foremap/worker'; \
                  export { AnalyzerHub }; export default createWorker();";
    bundle(workspace, scratch, source, &["--platform=neutral", "--conditions=workerd,worker", "--external:*.wasm"])
}

fn bundle(workspace: &Workspace, scratch: &Path, source: &str, flags: &[&str]) -> Result<u64> {
    build::link_package(workspace, scratch)?;
    let (entry, out) = (scratch.join("entry.mjs"), scratch.join("out.mjs"));
    std::fs::write(&entry, source).with_context(|| format!("cannot write {}", entry.display()))?;
    let mut command = build::node(workspace);
    command.arg("node_modules/esbuild/bin/esbuild").arg(&entry).args(flags);
    command.args(["--bundle", "--minify", "--format=esm"]).arg(format!("--outfile={}", out.display()));
    process::run_quietly(&mut command)?;
    gzip(&std::fs::read(&out).with_context(|| format!("cannot read {}", out.display()))?)
}

fn tarball(workspace: &Workspace) -> Result<u64> {
    #[derive(Deserialize)]
    struct Packed {
        size: u64,
    }
    let output =
        process::run_quietly(build::npm(workspace).args(["pack", "./pkg", "--dry-run", "--json", "--silent"]))?;
    let packed: Vec<Packed> = serde_json::from_str(&output).with_context(|| format!("npm pack said: {output}"))?;
    Ok(packed.first().context("npm pack described no package")?.size)
}
