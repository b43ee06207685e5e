//! The end of a round: everything works again, and every gateway tells the same.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use foremap::key::CompositeKey;
use foremap::protocol::{BatchItem, BatchRequest, BatchResponse, CONTENT_TYPE, Class, Consistency, Outcome};
use foremap_check::{Final, Kept};
use hyper::Method;
use serde::Deserialize;
use tokio::time::Instant;

use crate::http::{Http, get, request};
use crate::load::Load;
use crate::recorder::found;

/// Longest time that healing may take: much, because machines that run tests are busy.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longest time that one answer may take.
const ANSWER: Duration = Duration::from_secs(5);
/// Versions that the store keeps of a key.
const RETENTION: usize = 100;
/// Writes of unknown outcome may still land while the ends are read.
const READINGS: usize = 5;

/// Waits until every gateway answers strong reads of all keys: then writes succeed, too, as both need the whole fence.
pub(crate) async fn wait_until_whole(http: &Http, load: &Load) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for origin in load.origins.iter() {
        while let Err(error) = read_all(http, origin, load).await {
            if Instant::now() > deadline {
                let what = format!("{origin} does not answer strong reads {} s after all faults", PATIENCE.as_secs());
                return Err(error.context(what));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    Ok(())
}

/// A strong read of every key at one gateway.
async fn read_all(http: &Http, origin: &str, load: &Load) -> Result<Vec<Outcome>> {
    let item = |key: &CompositeKey| BatchItem { key: key.clone(), if_version: None, class: Class::Demand };
    let items = load.keys.iter().map(item).collect();
    let batch = BatchRequest { items, consistency: Consistency::Strong, ..BatchRequest::default() };
    let url = format!("{origin}/v1/batch");
    let request = request(Method::POST, &url, &[("content-type", CONTENT_TYPE)], batch.encode());
    let reply = http.send(request, ANSWER).await.map_err(|lost| anyhow::anyhow!("{lost:?}"))?;
    if reply.status != 200 {
        bail!("{} {}", reply.status, reply.code());
    }
    let response = BatchResponse::decode(&reply.body).map_err(|error| anyhow::anyhow!("{error}"))?;
    let outcome = |result: foremap::protocol::ItemResult| match result.outcome {
        Outcome::Error { code, detail } => Err(anyhow::anyhow!("{code}: {detail}")),
        outcome => Ok(outcome),
    };
    response.results.into_iter().map(outcome).collect()
}

#[derive(Deserialize)]
struct Versions {
    items: Vec<VersionItem>,
}

#[derive(Deserialize)]
struct VersionItem {
    version: u64,
    deleted: bool,
    keymap: Option<KeymapItem>,
}

#[derive(Deserialize)]
struct KeymapItem {
    locator: String,
}

async fn versions(http: &Http, origin: &str, key: &CompositeKey) -> Result<Vec<Kept>> {
    let url = format!("{origin}/v1/versions?key={}", key.as_str());
    let reply = http.send(get(&url), ANSWER).await.map_err(|lost| anyhow::anyhow!("{lost:?}"))?;
    match reply.status {
        200 => {}
        404 => return Ok(Vec::new()),
        status => bail!("{status} {}", reply.code()),
    }
    let versions: Versions = serde_json::from_slice(&reply.body).context("a list of versions cannot be decoded")?;
    let kept = |item: VersionItem| {
        let value = item.keymap.filter(|_| !item.deleted).map(|keymap| keymap.locator.into());
        Kept { version: item.version, value }
    };
    Ok(versions.items.into_iter().map(kept).collect())
}

async fn ends_at(http: &Http, origin: &str, load: &Load) -> Result<Vec<Final>> {
    let newest = read_all(http, origin, load).await?;
    let mut ends = Vec::with_capacity(newest.len());
    for (key, outcome) in load.keys.iter().zip(newest) {
        let newest = match outcome {
            Outcome::Found { keymap } => Some(found(keymap.version, &keymap.fields.locator)),
            _ => None,
        };
        let kept = versions(http, origin, key).await?;
        ends.push(Final { key: key.as_str().into(), newest, kept, retention: RETENTION });
    }
    Ok(ends)
}

/// The end of every key, the same at every gateway.
pub(crate) async fn ends(http: &Http, load: &Load) -> Result<Vec<Final>> {
    let mut differing = String::new();
    for _ in 0..READINGS {
        let mut all = Vec::new();
        for origin in load.origins.iter() {
            all.push(ends_at(http, origin, load).await.with_context(|| format!("the ends of keys at {origin}"))?);
        }
        let first = all.swap_remove(0);
        let differs = all.iter().flatten().find(|end| !first.contains(end));
        match differs {
            None => return Ok(first),
            Some(end) => {
                let other = first.iter().find(|other| other.key == end.key);
                differing = format!("{end:?} and {other:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    bail!("gateways disagree about the end of a key: {differing}")
}

/// All versions among `ends`.
pub(crate) fn kept(ends: &[Final]) -> BTreeSet<u64> {
    ends.iter().flat_map(|end| end.kept.iter().map(|kept| kept.version)).collect()
}
