//! `foremap-gateway`: see `--help`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use foremap_gateway::audit::{self, AuditVerdict};
use foremap_gateway::cli::{Cli, CliCommand};
use foremap_gateway::run::{CheckVerdict, Options, RunError, back_up, check, plan, restore, run};

/// An answer is a dozen small allocations: this allocator takes half the time of the system's for them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code of everything that keeps the process from starting.
const START_UP: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_max_level(cli.log).with_writer(std::io::stderr).with_target(false).init();
    match execute(cli.command) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("foremap-gateway: {failure}");
            ExitCode::from(START_UP)
        }
    }
}

fn execute(command: CliCommand) -> Result<ExitCode, RunError> {
    let done = match command {
        CliCommand::Dev(dev) => serve(dev.options()?),
        CliCommand::Serve(one) => serve(one.options()?),
        CliCommand::Plan(options) => plan(&options),
        CliCommand::Backup(options) => back_up(&options),
        CliCommand::Restore(options) => restore(&options),
        CliCommand::Check(options) => {
            return check(&options).map(|verdict| match verdict {
                CheckVerdict::Well => ExitCode::SUCCESS,
                CheckVerdict::Damaged => ExitCode::FAILURE,
            });
        }
        CliCommand::Audit(options) => {
            return audit::run(&options).map(|verdict| match verdict {
                AuditVerdict::Clean => ExitCode::SUCCESS,
                AuditVerdict::Found => ExitCode::FAILURE,
            });
        }
        CliCommand::Token(token) => {
            let token = token.sign()?;
            writeln!(std::io::stdout(), "{token}").map_err(|error| RunError::new(error.to_string()))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}

fn serve(options: Options) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::new(format!("no runtime: {error}")))?;
    if options.http.token_key.is_none() {
        tracing::info!("no --token-key: every request is allowed, and only loopback is served");
    }
    runtime.block_on(run(options))
}
