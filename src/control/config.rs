//! [`ControlConfig`]: settings of a control machine.

use super::coordinator::CoordinatorConfig;
use crate::Millis;

/// Settings of a control machine. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlConfig {
    /// Set where other processes use the store. Where none does, the process leads, always under term 0, and registers nothing.
    pub is_shared: bool,
    /// Set where loads are collected and plans made.
    pub plans: bool,
    /// Set where plans are put in force without being asked for.
    pub applies: bool,
    /// Time between two heartbeats.
    pub beat_ms: Millis,
    /// The same while a proposal is stored: everybody waits for its end.
    pub brisk_ms: Millis,
    /// Shortest time between two heartbeats, whoever asks for one.
    pub pause_ms: Millis,
    /// Life of a registration and of the lease without a heartbeat.
    pub ttl_ms: Millis,
    /// Patience of the coordinator.
    pub coordinator: CoordinatorConfig,
}

impl Default for ControlConfig {
    /// Two heartbeats may be lost. A node may be away for two lives of its registration, which is a restart, and members have as
    /// long for warming up as a bounded read may be stale.
    fn default() -> Self {
        Self {
            is_shared: true,
            plans: true,
            applies: true,
            beat_ms: 1_000,
            brisk_ms: 200,
            pause_ms: 50,
            ttl_ms: 3_000,
            coordinator: CoordinatorConfig { grace_ms: 6_000, warm_ms: 2_000 },
        }
    }
}
