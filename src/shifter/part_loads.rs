//! [`PartLoads`]: the loads of the parts that spread bits make of a prefix.

use crate::load::PrefixNow;

/// Load of each of the `2^spread` parts of a prefix: heavy cells where they fall, the remainder evenly.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PartLoads(pub(super) Vec<f64>);

impl PartLoads {
    /// Those of a prefix under the load that it has.
    pub(super) fn of(prefix: &PrefixNow, spread: u8) -> Self {
        Self::under(prefix.load, prefix, spread)
    }

    /// Those of a prefix under a load that it is to have.
    pub(super) fn under(load: f64, prefix: &PrefixNow, spread: u8) -> Self {
        let mut parts = vec![0.0; 1 << spread];
        let mask = (1_u16 << spread) - 1;
        let mut counted = 0.0;
        for &(cell, of_cell) in &prefix.cells {
            parts[usize::from(cell & mask)] += of_cell;
            counted += of_cell;
        }
        let rest = (load - counted).max(0.0) / parts.len() as f64;
        // Where cells come to more than the prefix, which is counted apart, they are scaled.
        let scale = if counted > load && counted > 0.0 { load / counted } else { 1.0 };
        parts.iter_mut().for_each(|part| *part = *part * scale + rest);
        Self(parts)
    }

    /// Load of the heaviest part.
    pub(super) fn heaviest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }
}
