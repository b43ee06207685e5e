//! What must be so before anything is promised: one line for the operator where it is not.

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};
use futures_util::future::join_all;

use super::connect::Connector;
use super::functions;
use super::options::{Address, RedisOptions};
use super::reply::{Fault, Replies, bytes};
use super::topology::{MasterView, View, field, pairs};
use crate::store::{OpenError, StoreError};

/// Functions came with 7.0.
const OLDEST: u32 = 7;

fn words(text: &str) -> Cmd {
    let mut words = text.split(' ');
    let mut command = ::redis::cmd(words.next().unwrap_or_default());
    words.for_each(|word| _ = command.arg(word));
    command
}

/// The newest view of those of `seeds` that answer.
///
/// # Errors
/// [`OpenError`] where none does, or one is not of a cluster, too old, or finds slots without a master.
pub(super) async fn look(connector: &Connector, seeds: &[Address]) -> Result<View, OpenError> {
    let mut views = Vec::new();
    let mut silent = Vec::new();
    for (seed, answer) in seeds.iter().zip(join_all(seeds.iter().map(|seed| look_at(connector, seed))).await) {
        match answer {
            Ok(view) => views.push(view),
            Err(OpenError::Unreachable(why)) => silent.push(why),
            Err(error) => return Err(OpenError::Unfit(format!("{seed}: {error}"))),
        }
    }
    let view = View::newest(&views).ok_or_else(|| OpenError::Unreachable(silent.join("; ")))?;
    match view.uncovered() {
        0 => Ok(view),
        slots => Err(OpenError::Unfit(format!("{slots} of 16384 slots have no master"))),
    }
}

async fn look_at(connector: &Connector, seed: &Address) -> Result<View, OpenError> {
    let unfit = |why: &str| OpenError::Unfit(why.to_owned());
    let asked = connector.ask(seed, &[words("INFO server"), words("INFO cluster")]).await;
    let values = asked.map_err(|error| OpenError::Unreachable(format!("{seed}: {error}")))?;
    if let Some(fault) = Fault::among(&values) {
        return Err(OpenError::Unreachable(format!("{seed}: {}", fault.of_read())));
    }
    let mut replies = Replies::new(values);
    let mut info = || -> Result<String, StoreError> {
        Ok(String::from_utf8_lossy(&bytes(replies.next(), "INFO")?.unwrap_or_default()).into_owned())
    };
    let (server, cluster) = (info().map_err(damaged)?, info().map_err(damaged)?);
    let version = field(&server, "redis_version").unwrap_or("of an unknown version");
    let major: Option<u32> = version.split('.').next().and_then(|text| text.parse().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return Err(unfit(&format!("it is Redis {version}; {OLDEST}.0 is the oldest that will do")));
    }
    if field(&cluster, "cluster_enabled") != Some("1") {
        return Err(unfit("it is not in cluster mode; set cluster-enabled yes"));
    }
    View::ask(connector, seed).await.map_err(OpenError::Unreachable)
}

fn damaged(error: StoreError) -> OpenError {
    OpenError::Damaged(error.to_string())
}

/// Checks every master of `view`, and loads the functions there.
///
/// # Errors
/// [`OpenError`] of the first that will not do.
pub(super) async fn masters(connector: &Connector, view: &View, options: &RedisOptions) -> Result<(), OpenError> {
    let checks = view.masters.iter().map(|master| check(connector, master, options));
    let lax: Vec<bool> = join_all(checks).await.into_iter().collect::<Result<_, _>>()?;
    if lax.into_iter().any(|lax| lax) {
        tracing::warn!(
            "appendfsync is not `always`: a master that crashes, and is back before a replica took its place, may have \
             lost the writes of its last two seconds, acknowledged ones included"
        );
    }
    Ok(())
}

/// Says whether a master acknowledges before its disk has a write.
async fn check(connector: &Connector, master: &MasterView, options: &RedisOptions) -> Result<bool, OpenError> {
    let address = &master.address;
    let settings = "appendonly appendfsync maxmemory-policy cluster-require-full-coverage";
    let commands = [words(&format!("CONFIG GET {settings}")), words("INFO replication"), functions::load()];
    let values = connector.ask(address, &commands).await;
    let values = values.map_err(|error| OpenError::Unreachable(format!("master {address}: {error}")))?;
    if let Some(Value::ServerError(error)) = values.iter().find(|value| matches!(value, Value::ServerError(_))) {
        let why = format!("master {address} refuses CONFIG GET, INFO or FUNCTION LOAD: {}", error.code());
        return Err(OpenError::Unfit(format!("{why} {}", error.details().unwrap_or_default())));
    }
    let mut replies = Replies::new(values);
    let read = |value| -> Result<BTreeMap<String, String>, StoreError> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pair = |(name, value): (Vec<u8>, _)| Ok((text(&name), text(&bytes(value, "CONFIG")?.unwrap_or_default())));
        pairs(value)?.into_iter().map(pair).collect()
    };
    let settings = read(replies.next()).map_err(damaged)?;
    let setting = |name: &str| settings.get(name).map_or("", String::as_str);
    for (name, wanted, why) in [
        ("appendonly", "yes", "a master that restarts would come back empty"),
        ("maxmemory-policy", "noeviction", "a full master would drop what is stored"),
        ("cluster-require-full-coverage", "no", "one dead master would stop all others"),
    ] {
        let found = setting(name);
        if found != wanted {
            let line = format!("master {address} has {name} {found}; set {name} {wanted}: otherwise {why}");
            return Err(OpenError::Unfit(line));
        }
    }
    let info = bytes(replies.next(), "INFO").map_err(damaged)?.unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let connected: u32 = field(&info, "connected_slaves").and_then(|text| text.parse().ok()).unwrap_or(0);
    if connected < options.replicas {
        let wanted = options.replicas;
        let line = format!("master {address} has {connected} connected replicas, and {wanted} must acknowledge");
        return Err(OpenError::Incomplete(line));
    }
    Ok(setting("appendfsync") != "always")
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
