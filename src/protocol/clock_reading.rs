//! [`ClockReading`]: a moment on a gateway's clock.

use serde::{Deserialize, Serialize};

/// Reading of a gateway's clock. Only readings of one clock can be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClockReading {
    /// Which clock: another one for each process, at most 2^53 - 1.
    pub id: u64,
    /// Milliseconds since that clock began.
    pub ms: u64,
}
