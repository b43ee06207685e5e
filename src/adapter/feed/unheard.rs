//! [`Unheard`].

/// Reason why no more frames of a feed are to be heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::adapter) enum Unheard {
    /// The feed did not survive the frame.
    Lost,
    /// A clock stood still or was set.
    ClockBroke,
}
