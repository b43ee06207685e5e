//! Conditions that must hold before anything is promised: one line for the operator where one does not.

use std::collections::BTreeMap;

use ::redis::{Cmd, Value};
use futures_util::future::join_all;

use super::connect::Connector;
use super::functions;
use super::options::{Address, RedisOptions};
use super::reply::{Fault, Replies, bytes, field};
use super::settings::{SettingsVerdict, Unknown};
use super::topology::{ClusterView, MasterView};
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
pub(super) async fn look(connector: &Connector, seeds: &[Address]) -> Result<ClusterView, OpenError> {
    let mut views = Vec::new();
    let mut silent = Vec::new();
    for (seed, answer) in seeds.iter().zip(join_all(seeds.iter().map(|seed| look_at(connector, seed))).await) {
        match answer {
            Ok(view) => views.push(view),
            Err(OpenError::Unreachable(why)) => silent.push(why),
            Err(error) => return Err(OpenError::Unfit(format!("{seed}: {error}"))),
        }
    }
    let view = ClusterView::newest(&views).ok_or_else(|| OpenError::Unreachable(silent.join("; ")))?;
    match view.uncovered() {
        0 => Ok(view),
        slots => Err(OpenError::Unfit(format!("{slots} of 16384 slots have no master"))),
    }
}

async fn look_at(connector: &Connector, seed: &Address) -> Result<ClusterView, OpenError> {
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
    ClusterView::ask(connector, seed).await.map_err(OpenError::Unreachable)
}

fn damaged(error: StoreError) -> OpenError {
    OpenError::Damaged(error.to_string())
}

/// Checks every server of `view`, and loads the functions on the masters. What was found is where later looks begin.
///
/// # Errors
/// [`OpenError`] of the first that will not do.
pub(super) async fn servers(
    connector: &Connector,
    view: &ClusterView,
    options: &RedisOptions,
) -> Result<BTreeMap<Address, SettingsVerdict>, OpenError> {
    let mut verdicts = BTreeMap::new();
    for checked in join_all(view.masters.iter().map(|master| check(connector, master, options))).await {
        verdicts.extend(checked?);
    }
    Ok(verdicts)
}

/// Checks a master and its replicas.
async fn check(
    connector: &Connector,
    master: &MasterView,
    options: &RedisOptions,
) -> Result<Vec<(Address, SettingsVerdict)>, OpenError> {
    let mut verdicts = vec![verdict(connector, &master.address, "master").await?];
    let address = &master.address;
    let values = connector.ask(address, &[words("INFO replication"), functions::load()]).await;
    let values = values.map_err(|error| OpenError::Unreachable(format!("master {address}: {error}")))?;
    if let Some(Value::ServerError(error)) = values.iter().find(|value| matches!(value, Value::ServerError(_))) {
        let why = format!("master {address} refuses INFO or FUNCTION LOAD: {}", error.code());
        return Err(OpenError::Unfit(format!("{why} {}", error.details().unwrap_or_default())));
    }
    let info = bytes(Replies::new(values).next(), "INFO").map_err(damaged)?.unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let connected: u32 = field(&info, "connected_slaves").and_then(|text| text.parse().ok()).unwrap_or(0);
    let (listed, wanted) = (u32::try_from(master.replicas.len()).unwrap_or(u32::MAX), options.replicas);
    if connected.min(listed) < wanted {
        let line = format!(
            "master {address} has {connected} connected replicas, the cluster lists {listed}, and {wanted} must acknowledge"
        );
        return Err(OpenError::Incomplete(line));
    }
    for replica in &master.replicas {
        verdicts.push(verdict(connector, replica, "replica").await?);
    }
    Ok(verdicts)
}

async fn verdict(
    connector: &Connector,
    address: &Address,
    role: &str,
) -> Result<(Address, SettingsVerdict), OpenError> {
    match SettingsVerdict::ask(connector, address, None).await {
        Ok(SettingsVerdict { unfit: Some(why), .. }) => Err(OpenError::Unfit(format!("{role} {address} {why}"))),
        Ok(verdict) => Ok((address.clone(), verdict)),
        Err(Unknown::Refused(why)) => Err(OpenError::Unfit(format!("{role} {address} {why}"))),
        Err(Unknown::Silent(why)) if role == "replica" => Err(OpenError::Incomplete(format!("{role} {why}"))),
        Err(Unknown::Silent(why)) => Err(OpenError::Unreachable(format!("{role} {why}"))),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
