//! [`Access`]: how a demand request was met.

use serde::Serialize;

/// Way in which a demand request was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// From the cache, and not for the first time.
    Hit,
    /// First demand hit of a prefetched entry.
    FirstUse,
    /// Asked while its prefetch was in flight.
    Late,
    /// Neither cached nor on its way.
    Miss,
}

/// Demand requests by how they were met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessCounts {
    /// [`Access::Hit`].
    pub hits: u64,
    /// [`Access::FirstUse`].
    pub first_uses: u64,
    /// [`Access::Late`].
    pub late: u64,
    /// [`Access::Miss`].
    pub misses: u64,
}

impl AccessCounts {
    pub(super) fn of(&mut self, access: Access) -> &mut u64 {
        match access {
            Access::Hit => &mut self.hits,
            Access::FirstUse => &mut self.first_uses,
            Access::Late => &mut self.late,
            Access::Miss => &mut self.misses,
        }
    }
}
