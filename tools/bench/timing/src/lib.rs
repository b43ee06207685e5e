//! Code that is timed natively and as WebAssembly alike: what prediction costs for each access, which is a replay
//! with the engine less the same without ([`recording`]), and look-ups of placement ([`Locate`]). And merging, natively.

#[cfg(target_arch = "wasm32")]
mod bindings;
mod locate;
#[cfg(not(target_arch = "wasm32"))]
mod merge;

pub use locate::Locate;
#[cfg(not(target_arch = "wasm32"))]
pub use merge::{Full, Merging, Visits};

use foremap::prefetch::PrefetchConfig;
use foremap_replay::{CacheSize, Latency, Models, Recording, Settings, Tuning, trace};

/// Records a replay of a trace, of any form that is known, by one engine of `memory` bytes and a cache of so many entries.
///
/// # Errors
/// For a trace that cannot be read.
pub fn recording(trace: &[u8], memory: usize, entries: usize) -> Result<Recording, String> {
    let settings = Settings {
        cache: CacheSize::Entries(entries),
        waste_budget: PrefetchConfig::default().waste_budget,
        models: Models::Pooled,
        memory,
        latency: Latency::Requests(0),
        tuning: Tuning::default(),
        series: None,
    };
    let recording = trace::parse(trace).and_then(|trace| Recording::new(trace, settings));
    recording.map_err(|error| format!("{error:#}"))
}
