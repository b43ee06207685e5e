//! The stages.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use parking_lot::Mutex;
use xtask::build;
use xtask::engine::Engine;
use xtask::process;
use xtask::workspace::Workspace;

use super::interface;
use super::needs::Need;
use super::sources::{self, Checker};
use crate::fuzz;
use crate::readme;

/// The variable and number of the long versions, and package, test and name of what they are of.
const SIMULATION: [&str; 5] = ["FOREMAP_SIM_HISTORIES", "100000", "foremap-sim", "histories", "keep"];
const MODEL: [&str; 5] = ["FOREMAP_MODEL_SEQUENCES", "1000000", "foremap-client-model", "sequences", "keeps"];

/// One part of the tests; they run in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Stage {
    /// Misspelt words, dependencies that nothing uses, and licences, sources and duplicates of the others
    Sources,
    /// Rust on this machine
    Native,
    /// The store and gateway processes over a cluster of each engine, killed and paused, with slots that move, under load
    Cluster,
    /// The core as WebAssembly in Node.js and in headless Chromium
    Wasm,
    /// TypeScript: types, circles of imports, and unit tests
    Js,
    /// The edge worker in workerd, and freshness through it: 75 s each with --full, else 6 s
    Worker,
    /// The page of www/ in headless Chromium
    Browser,
    /// The packed npm package in fresh projects
    Packaging,
    /// The README's examples
    Readme,
    /// The simulation at length: 100,000 histories, of which the native stage has 1,000
    Simulation,
    /// Generated sequences of a client at length: 1,000,000, of which the native stage has 20,000
    Model,
    /// Everything that docs/openapi.json describes, asked of a gateway by Schemathesis for 40 s
    Interface,
    /// Every fuzz target: 30 s each with --full, 3 s if only named
    Fuzz,
}

impl Stage {
    /// Name on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Description of what it runs, in the words of the help text.
    pub(super) fn about(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Needs beyond Rust, Node.js and the npm packages.
    pub(super) fn needs(self) -> &'static [Need] {
        match self {
            Self::Sources => {
                &[Need::Checker(Checker::Typos), Need::Checker(Checker::Machete), Need::Checker(Checker::Deny)]
            }
            Self::Native | Self::Cluster => &[Need::Redis],
            // What fuzzing needs, it sees to itself.
            Self::Js | Self::Worker | Self::Packaging | Self::Simulation | Self::Model | Self::Fuzz => &[],
            Self::Interface => &[Need::Schemathesis],
            Self::Wasm => &[Need::Chromium, Need::ChromeDriver, Need::WasmRunner],
            Self::Browser | Self::Readme => &[Need::Chromium],
        }
    }

    /// Tells whether it needs the built npm package and the gateway.
    pub(super) fn uses_package(self) -> bool {
        use Stage::{Cluster, Fuzz, Interface, Model, Native, Simulation, Sources, Wasm};
        !matches!(self, Sources | Native | Cluster | Wasm | Simulation | Model | Interface | Fuzz)
    }

    /// Tells whether it only takes part in the long version of the tests.
    pub(super) fn is_long(self) -> bool {
        matches!(self, Self::Simulation | Self::Model | Self::Interface | Self::Fuzz)
    }

    /// Runs it; where it has a long version, that one if `full`.
    pub(super) fn run(self, workspace: &Workspace, stages: &[Self], full: bool, engines: &[Engine]) -> Result<()> {
        match self {
            Self::Sources => sources::run(workspace),
            // All of them, so that one failure hides no other.
            Self::Native => process::run(
                process::cargo().current_dir(&workspace.root).env("RUST_TEST_THREADS", test_threads()).args([
                    "test",
                    "--workspace",
                    "--no-fail-fast",
                ]),
            ),
            Self::Cluster => {
                // The native stage has the store's tests, too, on this server.
                let conforms = stages.contains(&Self::Native).then(|| Need::Redis.find(workspace)).flatten();
                cluster(workspace, full, engines, conforms.as_deref())
            }
            Self::Wasm => wasm(workspace),
            Self::Js => {
                script(workspace, "types")?;
                script(workspace, "lint")?;
                script(workspace, "test:js")
            }
            Self::Worker => worker(workspace, full),
            Self::Browser => script(workspace, "test:browser"),
            Self::Packaging => script(workspace, "test:packaging"),
            Self::Readme => readme::run(workspace),
            Self::Simulation => at_length(workspace, SIMULATION),
            Self::Model => at_length(workspace, MODEL),
            Self::Interface => {
                interface::run(workspace, Need::Schemathesis.find(workspace).context("schemathesis is missing")?)
            }
            Self::Fuzz => fuzz::all(workspace, if full { fuzz::SECONDS } else { fuzz::SHORT_SECONDS }),
        }
    }
}

/// Needs of `stages`, each once.
pub(super) fn needs(stages: &[Stage], engines: &[Engine]) -> Vec<Need> {
    let needed = |need: &Need| stages.iter().any(|stage| stage.needs().contains(need));
    let mut needs: Vec<Need> = Need::ALL.into_iter().filter(needed).collect();
    if stages.contains(&Stage::Cluster) {
        needs.extend(engines.iter().map(|&engine| Need::Engine(engine)));
    }
    needs
}

/// Twice the processors: tests of gateways wait for heartbeats and failovers most of the time.
fn test_threads() -> String {
    (2 * std::thread::available_parallelism().map_or(1, usize::from)).to_string()
}

/// On each engine, the store's tests, unless the server at `conforms` is its own, and rounds of faults; each round is a seed,
/// and says so. The engines have their turn beside each other, as servers and gateways wait most of the time.
fn cluster(workspace: &Workspace, full: bool, engines: &[Engine], conforms: Option<&Path>) -> Result<()> {
    let gateway = build::gateway(workspace)?;
    let servers: Vec<_> = engines.iter().map(|engine| engine.server(workspace)).collect::<Result<_>>()?;
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for (engine, server) in engines.iter().zip(&servers) {
            let mut commands = vec![faults(workspace, *engine, server, full, &gateway)];
            if conforms != Some(server) {
                commands.insert(0, conformance(workspace, server));
            }
            let failed = &failed;
            scope.spawn(move || {
                let begun = Instant::now();
                for mut command in commands {
                    let told = process::run_quietly(&mut command).unwrap_or_else(|error| {
                        failed.lock().push(engine.to_string());
                        format!("{error:#}")
                    });
                    // At once, so that lines of engines do not mix.
                    println!(
                        "\n{engine}, {:.0} s: {}\n{told}",
                        begun.elapsed().as_secs_f64(),
                        process::shown(&command)
                    );
                }
            });
        }
    });
    let failed = failed.into_inner();
    ensure!(failed.is_empty(), "failed on {}", failed.join(", "));
    Ok(())
}

/// The tests of stores that need no more than a server.
fn conformance(workspace: &Workspace, server: &Path) -> Command {
    let mut command = process::cargo();
    command.current_dir(&workspace.root).env("REDIS_SERVER", server).env("RUST_TEST_THREADS", test_threads());
    command.args(["test", "--quiet", "--package", "foremap-gateway", "--test", "gateway", "redis::"]);
    // These are about gateways, whatever is below them.
    command.args(["--", "--skip", "model_redis::", "--skip", "shifter_redis::"]);
    command
}

fn faults(workspace: &Workspace, engine: Engine, server: &Path, full: bool, gateway: &Path) -> Command {
    let mut command = process::cargo();
    command.current_dir(&workspace.root).env("REDIS_SERVER", server);
    command.args(["run", "--quiet", "--package", "foremap-cluster-test", "--"]);
    let [seed, rounds] = rounds(engine, full).map(|number| number.to_string());
    command.args(["--seed", &seed, "--rounds", &rounds, "--gateway"]).arg(gateway);
    command
}

/// The first seed, and the number of rounds. Ten have every fault. The newer engines differ in how they fail over and how
/// slots move, so the short version has the rounds of these.
fn rounds(engine: Engine, full: bool) -> [u64; 2] {
    match engine {
        _ if full => [1, 100],
        Engine::Redis7 => [1, 10],
        Engine::Redis8 => [2, 1],
        Engine::Valkey9 => [3, 1],
    }
}

/// A generated test at length, optimised: so many histories take ten minutes on two cores.
fn at_length(workspace: &Workspace, [variable, number, package, test, name]: [&str; 5]) -> Result<()> {
    let mut command = process::cargo();
    command.current_dir(&workspace.root).env(variable, number);
    command.args(["test", "--release", "--package", package, "--test", test, name, "--", "--nocapture"]);
    process::run(&mut command)
}

/// With so many seconds of the freshness checker, directly and through the worker.
fn worker(workspace: &Workspace, full: bool) -> Result<()> {
    let seconds = if full { "75" } else { "6" };
    process::run(npm_script(workspace, "test:worker").env("FOREMAP_FRESHNESS_SECONDS", seconds))
}

/// Runs a script of `package.json`.
fn script(workspace: &Workspace, name: &str) -> Result<()> {
    process::run(&mut npm_script(workspace, name))
}

/// A script of `package.json`, which is told where browser and gateway are.
fn npm_script(workspace: &Workspace, name: &str) -> Command {
    let mut command = build::npm(workspace);
    command.args(["run", "--silent", name]);
    command.env("FOREMAP_GATEWAY", workspace.target.join("debug/foremap-gateway"));
    if let Some(chromium) = Need::Chromium.find(workspace) {
        command.env("FOREMAP_CHROMIUM", chromium);
    }
    command
}

/// The same tests in both hosts, through the runner that `.cargo/config.toml` names.
fn wasm(workspace: &Workspace) -> Result<()> {
    let test = || -> Result<Command> {
        let mut command = process::cargo();
        command.current_dir(&workspace.root);
        command.args(["test", "--target", "wasm32-unknown-unknown", "--package", "foremap", "--test", "wasm"]);
        let folders = [workspace.tools()].into_iter().chain(process::path_folders());
        command.env("PATH", std::env::join_paths(folders).context("PATH cannot be extended")?);
        Ok(command)
    };
    println!("wasm in Node.js");
    process::run(&mut test()?)?;
    println!("wasm in headless Chromium");
    let driver = Need::ChromeDriver.find(workspace).context("chromedriver is missing")?;
    process::run(
        test()?
            .env("WASM_BINDGEN_USE_BROWSER", "1")
            .env("CHROMEDRIVER", driver)
            .env("WASM_BINDGEN_TEST_WEBDRIVER_JSON", workspace.path("tools/xtask/webdriver.json"))
            // The runner's own 5 s and 20 s are too short for a loaded machine.
            .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")
            .env("WASM_BINDGEN_TEST_TIMEOUT", "120"),
    )
}
