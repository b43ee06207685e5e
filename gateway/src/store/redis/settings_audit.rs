//! [`SettingsAudit`]: looks at the settings of every server again and again, and stops the writes of shards that break a rule.
//!
//! Operators change settings while everything runs, and new servers come with their own. A shard of which one server, be
//! it the master or a replica, breaks a rule takes no writes until it keeps them all again; it is read as before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use super::connect::Connector;
use super::options::Address;
use super::routes::Routes;
use super::settings::{SettingsVerdict, Unknown};
use crate::store::Promise;

/// Between two looks: two commands on a connection of its own to each server.
const EVERY: Duration = Duration::from_secs(2);
/// Between two looks while a server has never answered one, at first; doubles up to [`EVERY`].
const SOON: Duration = Duration::from_millis(250);
/// Longest time that one server is waited for.
const ASK: Duration = Duration::from_secs(1);
/// Most servers asked at once.
const ASK_MOST: usize = 16;

/// Latest findings about each server of the view.
#[derive(Default)]
pub(super) struct SettingsAudit {
    verdicts: Mutex<BTreeMap<Address, SettingsVerdict>>,
    /// Told where a server is new.
    news: Notify,
    promise: Mutex<Option<Promise>>,
}

impl SettingsAudit {
    /// One that begins with what was found at the start.
    pub(super) fn new(verdicts: BTreeMap<Address, SettingsVerdict>) -> Self {
        Self { verdicts: Mutex::new(verdicts), ..Self::default() }
    }

    /// Promise that holds for everything that is acknowledged: the weakest of all servers.
    pub(super) fn promise(&self) -> Promise {
        match self.verdicts.lock().values().all(|verdict| verdict.is_durable) {
            true => Promise::Durable,
            false => Promise::Replicated,
        }
    }

    /// Looks at the servers of the newest routes until the store is dropped.
    pub(super) async fn watch(&self, connector: &Connector, mut routes: watch::Receiver<Arc<Routes>>) {
        let (mut pause, mut soon) = (EVERY, SOON);
        loop {
            let since = Instant::now();
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.news.notified() => tokio::time::sleep(soon.saturating_sub(since.elapsed())).await,
            }
            let now = routes.borrow_and_update().clone();
            let all_known = self.look(connector, &now).await;
            self.apply(&now);
            soon = if all_known { SOON } else { (soon * 2).min(EVERY) };
            pause = if all_known { EVERY } else { soon };
        }
    }

    /// Asks every server of `routes`; says whether something is known of each.
    async fn look(&self, connector: &Connector, routes: &Routes) -> bool {
        let before = self.verdicts.lock().clone();
        let ask = |address: Address| {
            let known = before.get(&address).cloned();
            async move {
                let asked = tokio::time::timeout(ASK, SettingsVerdict::ask(connector, &address, known.as_ref())).await;
                let verdict = match asked {
                    Ok(Ok(verdict)) => Some(verdict),
                    Ok(Err(Unknown::Refused(why))) => Some(SettingsVerdict::untold(why)),
                    // It is as it was, as far as anybody knows: another server may reach it.
                    Ok(Err(Unknown::Silent(_))) | Err(_) => known,
                };
                Some((address, verdict?))
            }
        };
        let servers: Vec<Address> = routes.servers().cloned().collect();
        let count = servers.len();
        let found: Vec<_> = stream::iter(servers).map(ask).buffer_unordered(ASK_MOST).collect().await;
        let found: BTreeMap<Address, SettingsVerdict> = found.into_iter().flatten().collect();
        let all_known = found.len() == count;
        // Those that left the cluster are forgotten.
        *self.verdicts.lock() = found;
        all_known
    }

    /// Tells the masters of `routes` whether their shards take writes, and the log what changed.
    pub(super) fn apply(&self, routes: &Routes) {
        let mut is_new = false;
        {
            let verdicts = self.verdicts.lock();
            for (master, replicas) in routes.shards() {
                let mut broken = Vec::new();
                let mut is_durable = true;
                for (address, role) in [(master.address(), "master")]
                    .into_iter()
                    .chain(replicas.iter().map(|address| (address, "replica")))
                {
                    let Some(verdict) = verdicts.get(address) else {
                        is_new = true;
                        is_durable = false;
                        broken.push(format!("the settings of {role} {address} are not known yet"));
                        continue;
                    };
                    is_durable &= verdict.is_durable;
                    broken.extend(verdict.unfit.iter().map(|why| format!("{role} {address} {why}")));
                }
                let unfit = (!broken.is_empty()).then(|| broken.join("; "));
                master.judge(unfit, is_durable);
            }
        }
        if is_new {
            self.news.notify_one();
        }
        self.tell_promise();
    }

    fn tell_promise(&self) {
        let now = self.promise();
        let before = self.promise.lock().replace(now);
        match now {
            _ if before == Some(now) => {}
            Promise::Durable => tracing::info!("the store promises `durable`: appendfsync is `always` everywhere"),
            Promise::Replicated => tracing::warn!(
                "the store promises `replicated`, as appendfsync is not `always` everywhere: a server that crashes, and \
                 is back before another took its place, may have lost the writes of its last two seconds, acknowledged \
                 ones included"
            ),
        }
    }
}
