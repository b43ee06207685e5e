//! SDK clients under constant work.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use foremap::key::CompositeKey;

use crate::sdk::Sdk;
use crate::shared::until;

pub(crate) fn key(n: u64) -> CompositeKey {
    CompositeKey::parse(&format!("user/{}/{n}", n % 37)).expect("valid")
}

/// SDK clients that read and write all the time, and demand that every call succeeds and every session goes forwards.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    calls: Arc<AtomicU64>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    pub(crate) fn start(origins: &[String], clients: u64) -> Self {
        let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let run = |name| tokio::spawn(load(Sdk::new(origins.to_vec(), name), name, stop.clone(), calls.clone()));
        let clients = (1..=clients).map(run).collect();
        Self { stop, calls, clients }
    }

    fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Waits for `more` calls to succeed from now on.
    pub(crate) async fn goes_on(&self, more: u64) {
        let wanted = self.calls() + more;
        until("calls succeed", || {
            assert!(!self.clients.iter().any(tokio::task::JoinHandle::is_finished), "a client failed");
            self.calls() >= wanted
        })
        .await;
    }

    pub(crate) async fn end(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await.expect("every call succeeded");
        }
        self.calls.load(Ordering::Relaxed)
    }
}

async fn load(mut sdk: Sdk, name: u64, stop: Arc<AtomicBool>, calls: Arc<AtomicU64>) {
    // Its own keys, so that it knows what must be there.
    let mut known: BTreeMap<u64, String> = BTreeMap::new();
    for n in 0_u64.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let at = name * 1_000 + (n * 7) % 40;
        if n % 5 == 0 {
            let locator = format!("{name}-{n}");
            sdk.put(&key(at), &locator).await.unwrap_or_else(|why| panic!("write {n} of client {name}: {why}"));
            known.insert(at, locator);
        }
        let found = sdk.get(&key(at)).await.unwrap_or_else(|why| panic!("read {n} of client {name}: {why}"));
        assert_eq!(found, known.get(&at).cloned(), "client {name} reads its writes");
        calls.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
