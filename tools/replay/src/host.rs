//! [`Host`]: what a replay runs for.

/// Clock and audience of a replay; nothing is timed, and nobody is told, for `()`.
pub trait Host {
    /// Nanoseconds since some moment, always the same one; `None` where there is no clock.
    fn nanos(&self) -> Option<u64> {
        None
    }

    /// A method replayed so many more requests.
    fn replayed(&self, _method: &str, _requests: u64) {}
}

impl Host for () {}
