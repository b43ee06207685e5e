//! Loading a keymap for every key of the trace.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use foremap_bench::http;
use indicatif::ProgressBar;
use xxhash_rust::xxh3::xxh3_64;

/// Writes under way at once: they wait for the injected latency most of the time.
const WRITERS: usize = 32;

/// Time for which a write is tried again while the store is not available, and the pause in between.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// Writes one keymap for each key, spread over the nodes.
pub(super) fn load(origins: &[String], keys: &[String], bar: &ProgressBar) -> Result<()> {
    let next = AtomicUsize::new(0);
    let writer = || -> Result<()> {
        let agent = http::agent();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(key) = keys.get(index) else { return Ok(()) };
            let url = http::keymap_url(&origins[index % origins.len()], key);
            let body = serde_json::json!({ "locator": locator(key) }).to_string();
            let deadline = Instant::now() + PATIENCE;
            let (status, text) = loop {
                let request = agent.put(&url).header("content-type", "application/json");
                let mut answer = request.send(&body).with_context(|| format!("PUT {url}"))?;
                let text = answer.body_mut().read_to_string().with_context(|| format!("PUT {url}"))?;
                // A store that is slow for a moment; the same write once more does no harm.
                if answer.status() != 503 || Instant::now() > deadline {
                    break (answer.status(), text);
                }
                std::thread::sleep(PAUSE);
            };
            if !status.is_success() {
                // The other writers need not go on.
                next.store(keys.len(), Ordering::Relaxed);
                bail!("PUT {url}: {status} {text}");
            }
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS.min(keys.len())).map(|_| scope.spawn(writer)).collect();
        let results = writers.into_iter().map(|writer| writer.join().unwrap_or_else(|p| std::panic::resume_unwind(p)));
        results.collect::<Result<Vec<_>>>().map(drop)
    })
}

/// Place that the object would have in a content store. The trace does not say what it
/// was, so the locator says no more than which key it belongs to.
pub(super) fn locator(key: &str) -> String {
    let hash = xxh3_64(key.as_bytes());
    format!("objects/{:02x}/{hash:016x}", hash >> 56)
}
