//! Everything that `docs/openapi.json` describes, asked of a gateway in ways that nobody thought of: Schemathesis makes
//! requests of the description, and holds the answers against it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use xtask::build;
use xtask::gateway::node_origins;
use xtask::process::{self, Scratch, Server};
use xtask::workspace::Workspace;

/// Another version would make other requests.
const VERSION: &str = "4.32.5";
/// Seconds for which requests are made.
const SECONDS: &str = "40";
/// Checks of an answer. That a request was taken is not asked for: lengths are in bytes, which no schema counts.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      allow_header_conformance";

/// Its environment of Python, in which nothing else is.
fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools/schemathesis")
}

/// The program, if it is here and of that version.
pub(super) fn find(workspace: &Workspace) -> Option<PathBuf> {
    let program = folder(workspace).join("bin/schemathesis");
    let version = process::first_line(program.to_str()?, &["--version"])?;
    version.ends_with(VERSION).then_some(program)
}

/// Commands that install it.
pub(super) fn install(workspace: &Workspace) -> [Command; 2] {
    let mut environment = Command::new("python3");
    environment.args(["-m", "venv", "--clear", "--without-pip"]).arg(folder(workspace));
    let mut package = Command::new("python3");
    package.args(["-m", "pip", "--python"]).arg(folder(workspace));
    // Nothing of a source package is to be run.
    package.args(["install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
    package.arg(format!("schemathesis=={VERSION}"));
    [environment, package]
}

/// Makes requests of a fresh gateway for a while. What it is asked for and when is the same each time.
pub(super) fn run(workspace: &Workspace, program: PathBuf) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut command = Command::new(build::gateway(workspace)?);
    command.args(["dev", "--nodes", "1", "--port", "0", "--store"]).arg(scratch.path("interface.redb"));
    let mut node = Server::start("the gateway", &mut command, &scratch.path("gateway.log"))?;
    let origins = node.wait_for(Duration::from_secs(30), |log| node_origins(log, 1))?;
    let mut command = Command::new(program);
    // It leaves files where it runs, and would know of earlier runs by them.
    command.current_dir(scratch.path("")).env("HYPOTHESIS_STORAGE_DIRECTORY", scratch.path("hypothesis"));
    command.arg("run").arg(workspace.path("docs/openapi.json")).args(["--url", &origins[0], "--checks", CHECKS]);
    command.args(["--max-time", SECONDS, "--seed", "1", "--no-color", "--request-timeout", "35"]);
    // A feed has no end, and it makes no bodies in binary form.
    command.args(["--exclude-path", "/v1/changes", "--exclude-path", "/v1/summaries"]);
    command.args([
        "--phases",
        "examples,coverage,fuzzing",
        "--generation-database",
        "none",
        "--suppress-health-check",
        "all",
    ]);
    process::run(&mut command)?;
    node.check()
}
