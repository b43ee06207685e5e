//! [`Served`]: one snapshot as callers get it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::Bytes;
use foremap::key::KeyPrefix;
use foremap::model::{CLASSES, distinct, restricted};
use foremap::partition::xxh3;
use foremap::protocol::ModelSnapshot;
use quick_cache::unsync::Cache;

use super::compress::gzipped;
use super::negotiate::Encoding;
use super::stored::{Size, Stored};

/// Most bodies that are kept for callers who may not read everything; 256 KiB compressed or 1 MiB each.
const RESTRICTED: usize = 64;
/// Bodies for everybody: every class in every encoding.
const OPEN: usize = 3 * CLASSES.len();

/// Of what prefixes, of which class, in which encoding.
type Wanted = (Option<Arc<[KeyPrefix]>>, usize, Encoding);

/// What is answered.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) bytes: Bytes,
    /// The entity tag: another one for other bytes.
    pub(crate) tag: Arc<str>,
}

/// A snapshot, and what of it has been asked for, each made once.
pub(crate) struct Served {
    pub(crate) stored: Stored,
    since: Instant,
    open: Mutex<Cache<Wanted, Body>>,
    restricted: Mutex<Cache<Wanted, Body>>,
    /// Held while one is made: whoever wants the same waits for it.
    making: tokio::sync::Mutex<()>,
}

impl Served {
    pub(crate) fn new(stored: Stored) -> Self {
        let (open, restricted) = (Mutex::new(Cache::new(OPEN)), Mutex::new(Cache::new(RESTRICTED)));
        Self { stored, since: Instant::now(), open, restricted, making: tokio::sync::Mutex::default() }
    }

    /// Bytes of the largest size, compressed.
    pub(crate) fn bytes(&self) -> usize {
        self.stored.sizes.last().map_or(0, |size| size.brotli.len())
    }

    /// Milliseconds since this process has it.
    pub(crate) fn age_ms(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Bodies kept for callers who may not read everything, and the most that may.
    pub(crate) fn kept(&self) -> (usize, usize) {
        (self.lock(true).len(), RESTRICTED)
    }

    fn lock(&self, is_restricted: bool) -> MutexGuard<'_, Cache<Wanted, Body>> {
        let cache = if is_restricted { &self.restricted } else { &self.open };
        cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, wanted: &Wanted) -> Option<Body> {
        self.lock(wanted.0.is_some()).get(wanted).cloned()
    }

    /// The snapshot in a class, of keys below `prefixes` only, where there are any. `None` where making it failed.
    pub(crate) async fn body(
        self: &Arc<Self>,
        prefixes: Option<Arc<[KeyPrefix]>>,
        class: usize,
        encoding: Encoding,
    ) -> Option<Body> {
        self.made(wanted(prefixes, class, encoding)).await
    }

    async fn made(self: &Arc<Self>, wanted: Wanted) -> Option<Body> {
        if let Some(body) = self.known(&wanted) {
            return Some(body);
        }
        let _making = self.making.lock().await;
        if let Some(body) = self.known(&wanted) {
            return Some(body);
        }
        // Compression takes up to some hundred milliseconds.
        let (served, of) = (self.clone(), wanted.clone());
        let body = tokio::task::spawn_blocking(move || served.make(&of)).await.ok()?;
        self.lock(wanted.0.is_some()).insert(wanted, body.clone());
        Some(body)
    }

    /// The same without waiting: where it is not made yet, making it begins.
    pub(crate) fn ready(
        self: &Arc<Self>,
        prefixes: Option<Arc<[KeyPrefix]>>,
        class: usize,
        encoding: Encoding,
    ) -> Option<Body> {
        let wanted = wanted(prefixes, class, encoding);
        let known = self.known(&wanted);
        // One at a time: whoever wants another one asks again.
        if known.is_none() && self.making.try_lock().is_ok() {
            let served = self.clone();
            tokio::spawn(async move { served.made(wanted).await });
        }
        known
    }

    fn make(&self, (prefixes, class, encoding): &Wanted) -> Body {
        let size = match prefixes {
            None => self.stored.size(*class).clone(),
            Some(prefixes) => {
                let sizes = self.stored.sizes.iter().map(|size| &size.raw[..]);
                let fits = |size: &Size| size.brotli.len() <= CLASSES[*class];
                restricted(sizes, prefixes, Size::of, fits).unwrap_or_else(|| Size::of(&ModelSnapshot::default()))
            }
        };
        let bytes: Bytes = match encoding {
            Encoding::Brotli => size.brotli,
            Encoding::Gzip => gzipped(&size.raw).into(),
            Encoding::Identity => size.raw,
        };
        let tag = format!("\"{:016x}\"", xxh3(0, &bytes));
        Body { bytes, tag: tag.into() }
    }
}

fn wanted(prefixes: Option<Arc<[KeyPrefix]>>, class: usize, encoding: Encoding) -> Wanted {
    (prefixes.map(|prefixes| distinct(&prefixes).into()), class.min(CLASSES.len() - 1), encoding)
}
