//! Options of the core.

use wasm_bindgen::JsValue;

use super::errors::thrown;
use super::fields::Fields;
use crate::adapter::{AdapterConfig, Share};
use crate::cache::CacheConfig;
use crate::prefetch::PrefetchConfig;
use crate::protocol::ErrorCode;

/// The adapter's options, and the token for the gateways (`token`, beside them). What is left out keeps its default.
pub(super) fn read(options: JsValue) -> Result<(AdapterConfig, Option<String>), JsValue> {
    let options = Fields::of(options, ErrorCode::Config)?;
    let mut config = AdapterConfig::default();
    set(&mut config.origins, options.texts("origins")?);
    set(&mut config.max_origins, options.whole("maxOrigins")?);
    set(&mut config.seed, options.whole("seed")?);
    set(&mut config.max_staleness_ms, options.whole("maxStalenessMs")?);
    set(&mut config.max_waiting, options.whole("maxWaiting")?);
    set(&mut config.max_prefetching, options.whole("maxPrefetching")?);
    set(&mut config.share, read_share(&options)?);
    set(&mut config.model_bytes, options.whole("modelBytes")?);
    if let Some(feed) = options.object("feed")? {
        set(&mut config.feed.enabled, feed.flag("enabled")?);
        set(&mut config.feed.idle_ms, feed.whole("idleMs")?);
        set(&mut config.feed.after_requests, feed.whole("afterRequests")?);
    }
    if let Some(cache) = options.object("cache")? {
        read_cache(&mut config.cache, &cache)?;
    }
    if let Some(prefetch) = options.object("prefetch")? {
        read_prefetch(&mut config.prefetch, &prefetch)?;
    }
    Ok((config, options.text("token")?))
}

fn read_cache(config: &mut CacheConfig, cache: &Fields) -> Result<(), JsValue> {
    set(&mut config.max_bytes, cache.whole("maxBytes")?);
    set(&mut config.max_entries, cache.whole("maxEntries")?);
    set(&mut config.probation_share, cache.number("probationShare")?.map(|share| share as f32));
    set(&mut config.negative_ttl_ms, cache.whole("negativeTtlMs")?);
    set(&mut config.seed, cache.whole("seed")?);
    Ok(())
}

fn read_prefetch(config: &mut PrefetchConfig, prefetch: &Fields) -> Result<(), JsValue> {
    set(&mut config.enabled, prefetch.flag("enabled")?);
    set(&mut config.waste_budget, prefetch.number("wasteBudget")?);
    set(&mut config.threshold, prefetch.number("threshold")?.map(|threshold| threshold as f32));
    set(&mut config.max_depth, prefetch.whole("maxDepth")?);
    set(&mut config.max_orders, prefetch.whole("maxOrders")?);
    set(&mut config.failure_log, prefetch.whole("failureLog")?);
    let Some(analyzer) = prefetch.object("analyzer")? else { return Ok(()) };
    set(&mut config.analyzer.memory_bytes, analyzer.whole("memoryBytes")?);
    set(&mut config.analyzer.max_streams, analyzer.whole("maxStreams")?);
    set(&mut config.analyzer.seed, analyzer.whole("seed")?);
    Ok(())
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

/// The option `share`: `"off"`, `"read"` or `"both"`.
fn read_share(options: &Fields) -> Result<Option<Share>, JsValue> {
    match options.text("share")?.as_deref() {
        None => Ok(None),
        Some("off") => Ok(Some(Share::Off)),
        Some("read") => Ok(Some(Share::Read)),
        Some("both") => Ok(Some(Share::Both)),
        Some(_) => Err(thrown(ErrorCode::Config, "`share` is `off`, `read` or `both`")),
    }
}
