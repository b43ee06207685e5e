//! [`run`]: an audit, from the first write to the last delete.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use foremap::key::CompositeKey;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::options::{AuditCommand, AuditPlan};
use super::paths::{Canary, KEYS};
use super::report;
use crate::run::{RunError, signal};

/// Time that the last changes may take to be told, beyond the bound.
const GRACE: Duration = Duration::from_secs(1);
/// A look at whether they have been.
const LOOK: Duration = Duration::from_millis(20);

/// Result of an audit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditVerdict {
    /// Nothing that was told was false, or older than the bound.
    Clean,
    /// Something was.
    Found,
}

/// Audits, prints what was found, and writes the JSON form where that was asked for.
///
/// # Errors
/// [`RunError`] where nothing can be said: a place that does not answer or refuses, or a file that cannot be written.
pub fn run(options: &AuditCommand) -> Result<AuditVerdict, RunError> {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    let plan = options.plan(&format!("{:x}-{:x}", since.as_millis(), std::process::id()))?;
    let key = |n: usize| CompositeKey::parse(&format!("{}/{n}", plan.prefix));
    let keys: Result<Vec<_>, _> = (1..=KEYS).map(key).collect();
    let keys = keys.map_err(|error| RunError::new(format!("`--prefix`: {}", error.reason())))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| RunError::new(format!("no runtime: {error}")))?;
    let (stop, stopped) = watch::channel(false);
    let canary = Arc::new(Canary::new(plan.clone(), keys, stopped));
    let left = runtime.block_on(audit(&canary, &stop))?;
    conclude(options, &plan, &canary, &left)
}

fn conclude(
    options: &AuditCommand,
    plan: &AuditPlan,
    canary: &Canary,
    left: &[String],
) -> Result<AuditVerdict, RunError> {
    let state = canary.state();
    let notes: Vec<String> = state.retired.iter().chain(left).cloned().collect();
    let text = report::text(plan, &state.tallies, &notes);
    write!(std::io::stdout(), "{text}").map_err(|error| RunError::new(error.to_string()))?;
    if let Some(path) = &options.json {
        let json = format!("{:#}\n", report::json(plan, &state.tallies, &notes));
        let written = std::fs::write(path, json);
        written.map_err(|error| RunError::new(format!("cannot write {}: {error}", path.display())))?;
    }
    if state.tallies.iter().any(|tally| tally.lies + tally.broken > 0) {
        return Ok(AuditVerdict::Found);
    }
    match state.tallies.iter().find_map(super::tally::PathTally::is_mute) {
        Some(why) => Err(RunError::new(why)),
        None => Ok(AuditVerdict::Clean),
    }
}

/// Returns what was left behind, in words.
async fn audit(canary: &Arc<Canary>, stop: &watch::Sender<bool>) -> Result<Vec<String>, RunError> {
    let begun = tokio::select! {
        begun = begin(canary) => begun,
        () = signal() => Err(RunError::new("interrupted before it began")),
    };
    let (mut tasks, mut follower) = match begun {
        Ok(tasks) => tasks,
        Err(failure) => {
            clean(canary).await;
            return Err(failure);
        }
    };
    tokio::select! {
        () = tokio::time::sleep(canary.plan.duration) => {}
        () = signal() => {}
    }
    stop.send_replace(true);
    let ends = async {
        while tasks.join_next().await.is_some() {}
        hear_out(canary).await;
    };
    // A second signal waits for nothing.
    tokio::select! {
        () = ends => {}
        () = signal() => {}
    }
    follower.abort_all();
    tokio::select! {
        left = clean(canary) => Ok(left),
        () = signal() => Ok(vec![format!("the keys below {} are left behind", canary.plan.prefix)]),
    }
}

/// Makes sure that everything answers, and starts.
async fn begin(canary: &Arc<Canary>) -> Result<(JoinSet<()>, JoinSet<()>), RunError> {
    for (at, origin) in canary.places.iter().enumerate() {
        // One of each form.
        for _ in 0..2 {
            canary.read(at).await.map_err(|fault| RunError::new(format!("{origin} {fault}")))?;
        }
    }
    for at in 0..KEYS {
        canary
            .write(at, false, 1)
            .await
            .map_err(|fault| RunError::new(format!("{} {fault}", canary.plan.origins[0])))?;
    }
    let (mut tasks, mut follower) = (JoinSet::new(), JoinSet::new());
    if canary.plan.feed {
        let feed = canary.open().await;
        let body = feed.map_err(|fault| RunError::new(format!("the feed of {} {fault}", canary.plan.origins[0])))?;
        follower.spawn(canary.clone().follow_on(body));
        tasks.spawn(canary.clone().ask_time());
    }
    for at in 0..KEYS {
        tasks.spawn(canary.clone().write_on(at));
    }
    for at in 0..canary.places.len() {
        tasks.spawn(canary.clone().read_on(at));
    }
    Ok((tasks, follower))
}

/// Lets the feed tell the last changes.
async fn hear_out(canary: &Canary) {
    let patience = Duration::from_millis(canary.plan.bound_ms.into()) + GRACE;
    let told = async {
        while canary.state().follower.is_behind() {
            tokio::time::sleep(LOOK).await;
        }
    };
    // What was not told until then, frames have been judged by.
    drop(tokio::time::timeout(patience, told).await);
}

/// Removes all keys; returns what could not be removed.
async fn clean(canary: &Canary) -> Vec<String> {
    let mut left = Vec::new();
    for (at, key) in canary.keys.iter().enumerate() {
        if !canary.state().keys[at].may_exist() {
            continue;
        }
        if let Err(fault) = canary.remove(at).await {
            left.push(format!("{} is left behind: {fault}", key.as_str()));
        }
    }
    left
}
