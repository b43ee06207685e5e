//! The yardstick: replays access traces through the prediction core, without network, and through baselines.
//!
//! Rules, the same for every method:
//!
//! * Every key has size 1. A demand miss inserts its key. The whole trace counts, there is no warm-up.
//! * After each request the predictor may order prefetches. One lands before the next request, or after the latency
//!   that was asked for. Landing inserts it, which may evict.
//! * *Used* is a prefetch whose first event after insertion is a demand hit. All others are waste: evicted unused,
//!   refused by the cache, asked for before they landed, or unused at the end.
//! * One cache is shared by all clients, or each client has its own. The predictor is pooled, and tells clients apart as
//!   streams; or each client has an engine of its own as well, from its first request to its last.
//! * The budget's excess is taken after every request: waste known so far, less budget x requests so far. That of a
//!   client with a cache of its own counts its own waste and requests.
//!
//! The method `foremap` is the very [`PrefetchEngine`](foremap::prefetch::PrefetchEngine) and
//! [`LocalCache`](foremap::cache::LocalCache) of the client. Baselines are in `baseline`.
//!
//! [`replay`] does one trace. It reads no clock and no file, and starts no thread: a [`Host`] has the clock. The program
//! `foremap-replay` is one, and reads, draws and prints; access traces are in [`trace`].

mod baseline;
mod budgets;
mod clients;
mod clock;
mod demand;
mod early;
mod engine;
mod flights;
mod host;
mod instances;
mod liars;
mod method;
mod random;
mod recording;
mod report;
mod rules;
mod run;
mod settings;
mod sharing;
mod tally;
pub mod trace;

pub use host::Host;
pub use method::Method;
pub use random::Random;
pub use recording::{Recording, Timed};
pub use report::Row;
pub use run::{Replayed, replay};
pub use settings::{CacheSize, Handovers, Latency, Lie, Models, Settings, Share, Tuning};
pub use sharing::compressed;
