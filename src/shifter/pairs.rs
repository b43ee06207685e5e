//! [`Pairs`]: partitions that are fetched together.

use super::assignment::Assignment;
use crate::load::LoadModel;

/// Pairs of partitions, each the only one of a prefix, that are fetched together.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pairs {
    /// Partitions, and their share of all batches of two prefixes; the most frequent first.
    pub(super) partitions: Vec<(u32, u32, f64)>,
    /// Share of the batches of prefixes that have several partitions.
    scattered: f64,
}

impl Pairs {
    /// Those of the prefixes that nodes report.
    pub(super) fn new(load: &LoadModel, assignment: &Assignment<'_>) -> Self {
        let mut found = Vec::new();
        let (mut scattered, mut all) = (0.0, 0.0);
        for (one, other, count) in load.together() {
            let only = |prefix| assignment.parts(prefix).filter(|parts| parts.len() == 1).map(|parts| parts[0]);
            let count = count as f64;
            all += count;
            match (only(one), only(other)) {
                (Some(one), Some(other)) => found.push((one, other, count)),
                _ => scattered += count,
            }
        }
        let all = f64::max(all, 1.0);
        let mut partitions: Vec<_> = found.into_iter().map(|(one, other, count)| (one, other, count / all)).collect();
        partitions.sort_by(|a, b| b.2.total_cmp(&a.2).then_with(|| (a.0, a.1).cmp(&(b.0, b.1))));
        Self { partitions, scattered: scattered / all }
    }

    /// Those that one node serves.
    pub(super) fn at_home(&self, assignment: &Assignment<'_>) -> impl Iterator<Item = u32> {
        let together = |&&(one, other, _): &&(u32, u32, f64)| assignment.owner(one) == assignment.owner(other);
        self.partitions.iter().filter(together).flat_map(|&(one, other, _)| [one, other])
    }

    /// Share of the batches of two prefixes that no one node serves.
    pub(super) fn apart(&self, assignment: &Assignment<'_>) -> f64 {
        let apart = |&&(one, other, _): &&(u32, u32, f64)| assignment.owner(one) != assignment.owner(other);
        self.scattered + self.partitions.iter().filter(apart).map(|pair| pair.2).sum::<f64>()
    }
}
