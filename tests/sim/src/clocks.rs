//! How wrong clocks are.

/// How far a clock is set ahead or back, in microseconds.
pub(crate) const JUMP_US: u64 = 5_000_000;
/// How far a clock is ahead that is plainly wrong: five minutes, a year, ten years.
pub(crate) const FAR_US: [i64; 3] = [300_000_000, 31_536_000_000_000, 315_360_000_000_000];
