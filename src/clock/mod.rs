//! Clocks: the time here, and what a gateway's time is here.
//!
//! ```
//! use foremap::clock::{LocalClock, RemoteClocks, Tick};
//! use foremap::protocol::ClockReading;
//!
//! let mut clock = LocalClock::default();
//! assert_eq!(clock.read(100.0, 5_000_000.0), Tick { now: 100, broke: false });
//! // A minute of sleep, of which the monotonic clock knows nothing.
//! assert_eq!(clock.read(110.0, 5_060_010.0), Tick { now: 60_110, broke: true });
//!
//! let mut gateways = RemoteClocks::default();
//! let shown = |ms| ClockReading { id: 9, ms };
//! assert_eq!(gateways.observe(shown(7_000), 100, Some(140), 140), Ok(()));
//! // What the gateway sent 50 ms later is as old as that, though it arrives only now.
//! assert_eq!(gateways.date(shown(7_050), 400), Ok(Some(149)));
//! ```
//!
//! Ages are only as true as the clocks that they are counted on. A host's monotonic clock may stand still while the
//! machine sleeps, and in some runtimes it is the wall clock, which can be set back ([`LocalClock`]). What is pushed says
//! when it was true on its sender's clock, and its arrival says nothing, as it may have waited in a buffer for
//! an hour ([`RemoteClocks`]). Both err on the old side: what is not known to be young is old.
//!
//! Readings that came with answers bound the difference of two clocks (F. Cristian, "Probabilistic clock synchronization",
//! 1989); a wall clock may be slewed or stepped by a time server (RFC 5905). At most 16 clocks are followed, in O(clocks) a
//! call.

mod local;
mod remote;

pub use local::{LocalClock, Tick};
pub use remote::{ClockBroke, RemoteClocks};
