//! [`BackupCommand`], [`RestoreCommand`] and [`CheckCommand`]: copies of a store file, and whether one is well.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use clap::Args;
use futures_util::StreamExt as _;

use super::RunError;
use super::operator::Operator;
use crate::store::{Checked, RedbStore, backup};

/// Longest wait for the next part of a backup.
const TIME_OUT: Duration = Duration::from_secs(30);
const MAX_PROBLEM_BYTES: usize = 64 << 10;

/// Options of `backup`.
#[derive(Args)]
pub struct BackupCommand {
    /// Origin of a gateway over the store file; http:// only.
    #[arg(long, value_name = "ORIGIN", default_value = "http://127.0.0.1:7400")]
    origin: String,
    /// File with a token that has the verb admin for every key, where gateways check tokens. Alternatively the environment
    /// variable FOREMAP_TOKEN has it.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// File of the backup. It is there when it is whole, and not before.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Options of `restore`.
#[derive(Args)]
pub struct RestoreCommand {
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The store file to make of it, which must not exist.
    #[arg(long, value_name = "PATH")]
    store: PathBuf,
}

/// Options of `check`.
#[derive(Args)]
pub struct CheckCommand {
    /// A backup, or a store file that no gateway has open.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckVerdict {
    /// All is well.
    Well,
    /// Something is wrong.
    Damaged,
}

fn say(line: &str) -> Result<(), RunError> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| RunError::new(error.to_string()))
}

fn at(path: &Path, error: impl std::fmt::Display) -> RunError {
    RunError::new(format!("{}: {error}", path.display()))
}

fn words(checked: Checked) -> String {
    let Checked { keys, versions, log_entries } = checked;
    match keys {
        0 => format!("{versions} versions, {log_entries} log entries"),
        keys => format!("{keys} keys, {versions} versions, {log_entries} log entries"),
    }
}

/// Asks a gateway for a backup, and keeps it if it is whole.
///
/// # Errors
/// [`RunError`] where the gateway cannot be reached or refuses, or what arrived is not whole.
pub fn back_up(options: &BackupCommand) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::new(format!("no runtime: {error}")))?;
    let mut name = options.file.as_os_str().to_owned();
    name.push(".part");
    let part = Path::new(&name);
    let kept = runtime.block_on(fetch(options, part)).and_then(|()| {
        let read = File::open(part).map_err(|error| at(part, error))?;
        let checked = backup::check(BufReader::new(read)).map_err(|why| RunError::new(format!("the backup: {why}")))?;
        std::fs::rename(part, &options.file).map_err(|error| at(&options.file, error))?;
        Ok(checked)
    });
    match kept {
        Ok(checked) => say(&format!("{}: {}", options.file.display(), words(checked))),
        Err(failure) => {
            drop(std::fs::remove_file(part));
            Err(failure)
        }
    }
}

async fn fetch(options: &BackupCommand, part: &Path) -> Result<(), RunError> {
    let operator = Operator::at(&options.origin, options.token_file.as_deref())?;
    let origin = operator.origin;
    let request = operator.finish(operator.request("/v1/backup"), Body::empty())?;
    let silent = |_| RunError::new(format!("{origin} sends nothing for {} s", TIME_OUT.as_secs()));
    let answer = tokio::time::timeout(TIME_OUT, operator.client.request(request)).await.map_err(silent)?;
    let answer = answer.map_err(|error| RunError::new(format!("{origin} does not answer: {error}")))?;
    let (status, body) = (answer.status(), Body::new(answer.into_body()));
    if status != StatusCode::OK {
        let body = to_bytes(body, MAX_PROBLEM_BYTES).await.unwrap_or_default();
        return Err(operator.refused(status, &body));
    }
    let mut file = OpenOptions::new();
    file.write(true).create(true).truncate(true);
    // It holds what the store does.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
    let mut file = file.open(part).map_err(|error| at(part, error))?;
    let mut body = body.into_data_stream();
    while let Some(bytes) = tokio::time::timeout(TIME_OUT, body.next()).await.map_err(silent)? {
        let bytes = bytes.map_err(|error| RunError::new(format!("{origin} broke off: {error}")))?;
        file.write_all(&bytes).map_err(|error| at(part, error))?;
    }
    file.sync_all().map_err(|error| at(part, error))
}

/// Makes a store file of a backup.
///
/// # Errors
/// [`RunError`] where the backup is not whole, or the file is there already or cannot be written.
pub fn restore(options: &RestoreCommand) -> Result<(), RunError> {
    let file = File::open(&options.file).map_err(|error| at(&options.file, error))?;
    // Seconds since 1970, as of a namespace that is created now: it outranks the one that it takes the place of.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let restored = RedbStore::restore(&options.store, BufReader::new(file), u32::try_from(now).unwrap_or(u32::MAX));
    let checked = restored.map_err(|why| at(&options.file, why))?;
    say(&format!("{}: {}", options.store.display(), words(checked)))
}

/// Verifies a backup or a store file, and says what is wrong.
///
/// # Errors
/// [`RunError`] where the file cannot be read.
pub fn check(options: &CheckCommand) -> Result<CheckVerdict, RunError> {
    let mut file = File::open(&options.file).map_err(|error| at(&options.file, error))?;
    let mut head = Vec::new();
    (&mut file).take(backup::PREAMBLE.len() as u64).read_to_end(&mut head).map_err(|error| at(&options.file, error))?;
    let checked = match head == backup::PREAMBLE {
        true => backup::check(BufReader::new(head.chain(file))),
        false => RedbStore::check(&options.file),
    };
    let (line, verdict) = match checked {
        Ok(checked) => (format!("is well: {}", words(checked)), CheckVerdict::Well),
        Err(why) => (why, CheckVerdict::Damaged),
    };
    say(&format!("{}: {line}", options.file.display()))?;
    Ok(verdict)
}
