//! [`ServedModel`]: one snapshot as callers get it.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Bytes;
use foremap::key::KeyPrefix;
use foremap::model::{CLASSES, Earlier, distinct, restricted};
use foremap::partition::xxh3;
use foremap::protocol::{ModelSnapshot, model_delta};
use parking_lot::{Mutex, MutexGuard};
use quick_cache::unsync::Cache;

use super::compress::{compressed, gzipped};
use super::negotiate::ContentEncoding;
use super::stored::{Size, Stored};

/// Most bodies that are kept for callers who may not read everything; 256 KiB compressed or 1 MiB each.
const RESTRICTED: usize = 64;
/// Bodies for everybody: every class in every encoding, and as many as differences, of which most are of one class in one
/// encoding.
const OPEN: usize = 6 * CLASSES.len();

/// Form of the model that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ModelForm {
    /// Keys below these only, where there are any.
    prefixes: Option<Arc<[KeyPrefix]>>,
    class: usize,
    encoding: ContentEncoding,
    /// As a difference from the model that was made then, which is one of the earlier ones.
    from: Option<u64>,
}

/// Answer to it.
#[derive(Debug, Clone)]
pub(crate) struct ModelBody {
    pub(crate) bytes: Bytes,
    /// The entity tag: another one for other bytes.
    pub(crate) tag: Arc<str>,
}

/// A snapshot, and what of it has been asked for, each made once.
pub(crate) struct ServedModel {
    pub(crate) stored: Stored,
    since: Instant,
    /// This one too: whoever has it is told so in a few bytes.
    earlier: Earlier<Stored>,
    open: Mutex<Cache<ModelForm, ModelBody>>,
    restricted: Mutex<Cache<ModelForm, ModelBody>>,
    /// Held while one is made: whoever wants the same waits for it.
    making: tokio::sync::Mutex<()>,
}

impl ServedModel {
    /// `earlier` is what was served before, if anything was.
    pub(crate) fn new(stored: Stored, earlier: Option<&Self>) -> Self {
        let (open, restricted) = (Mutex::new(Cache::new(OPEN)), Mutex::new(Cache::new(RESTRICTED)));
        let mut earlier = earlier.map_or_else(Earlier::default, |served| served.earlier.clone());
        earlier.keep(stored.made, stored.clone());
        Self { stored, since: Instant::now(), earlier, open, restricted, making: tokio::sync::Mutex::default() }
    }

    /// Models that a difference may lead from.
    pub(crate) fn earlier(&self) -> usize {
        self.earlier.len()
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

    fn lock(&self, is_restricted: bool) -> MutexGuard<'_, Cache<ModelForm, ModelBody>> {
        let cache = if is_restricted { &self.restricted } else { &self.open };
        cache.lock()
    }

    fn known(&self, wanted: &ModelForm) -> Option<ModelBody> {
        self.lock(wanted.prefixes.is_some()).get(wanted).cloned()
    }

    /// The form of the snapshot in a class, of keys below `prefixes` only, where there are any; as the difference from the one
    /// made at `from`, where that is known and less.
    pub(crate) fn form(
        &self,
        prefixes: Option<Arc<[KeyPrefix]>>,
        class: usize,
        encoding: ContentEncoding,
        from: Option<u64>,
    ) -> ModelForm {
        let prefixes = prefixes.map(|prefixes| distinct(&prefixes).into());
        let from = from.filter(|&made| self.earlier.get(made).is_some());
        ModelForm { prefixes, class: class.min(CLASSES.len() - 1), encoding, from }
    }

    /// The snapshot in this form. `None` where making it failed.
    pub(crate) async fn body(self: &Arc<Self>, wanted: ModelForm) -> Option<ModelBody> {
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
        self.lock(wanted.prefixes.is_some()).insert(wanted, body.clone());
        Some(body)
    }

    /// The same without waiting: where it is not made yet, making it begins.
    pub(crate) fn ready(self: &Arc<Self>, wanted: ModelForm) -> Option<ModelBody> {
        let known = self.known(&wanted);
        // One at a time: whoever wants another one asks again.
        if known.is_none() && self.making.try_lock().is_ok() {
            let served = self.clone();
            tokio::spawn(async move { served.body(wanted).await });
        }
        known
    }

    fn make(&self, wanted: &ModelForm) -> ModelBody {
        let size = wanted.size(&self.stored);
        let whole = match wanted.encoding {
            ContentEncoding::Brotli => size.brotli,
            ContentEncoding::Gzip => gzipped(&size.raw).into(),
            ContentEncoding::Identity => size.raw.clone(),
        };
        let older = wanted.from.and_then(|made| self.earlier.get(made));
        let delta = older.map(|older| {
            let delta = model_delta(&wanted.size(older).raw, &size.raw);
            match wanted.encoding {
                ContentEncoding::Brotli => compressed(&delta),
                ContentEncoding::Gzip => gzipped(&delta),
                ContentEncoding::Identity => delta,
            }
        });
        let bytes = delta.filter(|delta| delta.len() < whole.len()).map_or(whole, Bytes::from);
        let tag = format!("\"{:016x}\"", xxh3(0, &bytes));
        ModelBody { bytes, tag: tag.into() }
    }
}

impl ModelForm {
    /// Size of the stored model that it is of.
    fn size(&self, stored: &Stored) -> Size {
        let Some(prefixes) = &self.prefixes else { return stored.size(self.class).clone() };
        let sizes = stored.sizes.iter().map(|size| &size.raw[..]);
        let fits = |size: &Size| size.brotli.len() <= CLASSES[self.class];
        restricted(sizes, prefixes, Size::of, fits).unwrap_or_else(|| Size::of(&ModelSnapshot::default()))
    }
}
