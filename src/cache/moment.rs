//! [`Moment`]: a time that may lie before the page.

/// A moment on the clock of [`Millis`](crate::Millis), negative before that clock began: what a page learns in its first
/// seconds may be older than the page.
pub(super) type Moment = i64;

/// The moment `age_ms` before `now`; `u32::MAX` is not known, and so before any moment.
pub(super) fn before(now: crate::Millis, age_ms: u32) -> Moment {
    if age_ms == u32::MAX { Moment::MIN } else { now as Moment - Moment::from(age_ms) }
}
