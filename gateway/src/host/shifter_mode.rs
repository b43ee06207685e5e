//! [`ShifterMode`].

use serde::Serialize;

/// Party that acts on what the shifter plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ShifterMode {
    /// The shifter.
    #[default]
    Auto,
    /// Whoever asks for it: plans are made and told, and applied on demand only.
    DryRun,
    /// Nobody: no loads are collected.
    Off,
}
