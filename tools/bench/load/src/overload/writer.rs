//! [`Writer`]: writes on and on, remembers what was acknowledged, and reads it back in the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use foremap::protocol::{BatchItem, BatchRequest, Class, Consistency, MAX_BATCH_KEYS, Outcome};

use super::wire::{self, Wire};
use crate::gateway::Http;
use crate::keys::Shape;

/// Between two writes.
const PAUSE: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    gateway: String,
    shape: Shape,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<usize>>>,
}

impl Writer {
    pub(super) fn start(gateway: &str, shape: &Shape) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let shape = Shape { prefix: "kept".to_owned(), ..shape.clone() };
        let (gateway, of_thread, shape_of_thread) = (gateway.to_owned(), is_over.clone(), shape.clone());
        let of = gateway.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let thread = std::thread::spawn(move || runtime.block_on(write(&of, &shape_of_thread, &of_thread)));
        Ok(Self { gateway, shape, is_over, thread })
    }

    /// Counts the writes that were acknowledged, and those of them that are not there.
    pub(super) fn read_back(self) -> Result<(usize, usize)> {
        self.is_over.store(true, Ordering::Relaxed);
        let written = self.thread.join().map_err(|_| anyhow!("the writer panicked"))??;
        let mut http = Http::connect(&self.gateway)?;
        let mut lost = 0;
        for numbers in written.chunks(MAX_BATCH_KEYS) {
            let item = |&at: &usize| Ok(BatchItem { key: self.shape.key(at)?, if_version: None, class: Class::Demand });
            let items = numbers.iter().map(item).collect::<Result<Vec<_>>>()?;
            let batch = BatchRequest { items, consistency: Consistency::Strong, ..BatchRequest::default() };
            let answer = http.batch(batch.encode())?;
            ensure!(answer.results.len() == numbers.len(), "the gateway answered {} keys", answer.results.len());
            for (result, &at) in answer.results.iter().zip(numbers) {
                let is_there =
                    matches!(&result.outcome, Outcome::Found { keymap } if keymap.fields == self.shape.fields(at));
                lost += usize::from(!is_there);
            }
        }
        Ok((written.len(), lost))
    }
}

async fn write(gateway: &str, shape: &Shape, is_over: &AtomicBool) -> Result<Vec<usize>> {
    let (mut acknowledged, mut wire) = (Vec::new(), None);
    for at in 0.. {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        tokio::time::sleep(PAUSE).await;
        let line = format!("PUT /v1/keymap?key={}", shape.key(at)?.as_str());
        let request = wire::request(gateway, &line, "application/json", &serde_json::to_vec(&shape.fields(at))?);
        // A connection that failed is not used again: whatever became of its write was not acknowledged.
        let exchanged = tokio::time::timeout(PATIENCE, async {
            let mut held = match wire.take() {
                Some(held) => held,
                None => Wire::connect(gateway, 0).await?,
            };
            let status = held.exchange(&request).await?;
            anyhow::Ok((held, status))
        });
        if let Ok(Ok((held, status))) = exchanged.await {
            if matches!(status, 200 | 201) {
                acknowledged.push(at);
            }
            wire = Some(held);
        }
    }
    Ok(acknowledged)
}
