//! Errors of clocks.

/// Farthest that a clock is set ahead or back, in microseconds.
pub(crate) const JUMP_US: u64 = 5_000_000;
/// Microseconds that a plainly wrong clock is ahead: five minutes, a year, ten years.
pub(crate) const FAR_US: [i64; 3] = [300_000_000, 31_536_000_000_000, 315_360_000_000_000];
