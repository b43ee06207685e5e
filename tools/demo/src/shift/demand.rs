//! Keys that clients ask for.

use anyhow::{Context as _, Result};
use foremap::key::CompositeKey;

/// Tenants that are asked for alike while the load is even. A map without rules places each as a whole. The names are such
/// that they happen to be spread well, 1.15 of the mean on the heaviest of six nodes; with so few, others come to 1.55.
const TENANTS: u32 = 90;
/// Keys of a tenant.
const KEYS: u32 = 30;
/// The tenant that turns hot is large, so that much of what is asked for changes its home.
const HOT_KEYS: u32 = 1_500;

/// The tenants' keys, in order of tenants; the first one is the tenant that turns hot.
pub(super) struct Demand {
    keys: Vec<CompositeKey>,
}

impl Demand {
    /// Names all keys.
    pub(super) fn new() -> Result<Self> {
        let hot = (0..HOT_KEYS).map(|n| format!("tenant-0/files/{n}"));
        let others = (1..TENANTS).flat_map(|tenant| (0..KEYS).map(move |n| format!("tenant-{tenant}/files/{n}")));
        let key = |text: String| CompositeKey::parse(&text).with_context(|| format!("`{text}` is no key"));
        Ok(Self { keys: hot.chain(others).map(key).collect::<Result<_>>()? })
    }

    /// Every key.
    pub(super) fn keys(&self) -> &[CompositeKey] {
        &self.keys
    }

    /// The next key: of any tenant alike, or, once it is `hot`, every second one of the first tenant, and every tenth one
    /// and the same key.
    pub(super) fn draw(&self, hot: bool, random: &mut fastrand::Rng) -> &CompositeKey {
        let of_hot = match random.u32(..10) {
            0 if hot => return &self.keys[0],
            1..=4 => hot,
            _ => false,
        };
        let tenant = if of_hot { 0 } else { random.u32(u32::from(hot)..TENANTS) };
        let at = match tenant {
            0 => random.u32(..HOT_KEYS),
            other => HOT_KEYS + (other - 1) * KEYS + random.u32(..KEYS),
        };
        &self.keys[at as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_as_they_are_told() -> Result<()> {
        let demand = Demand::new()?;
        let mut random = fastrand::Rng::with_seed(7);
        let mut shares = |hot| {
            let drawn: Vec<&str> = (0..20_000).map(|_| demand.draw(hot, &mut random).as_str()).collect();
            let share = |is: fn(&str) -> bool| drawn.iter().filter(|key| is(key)).count() as f64 / 20_000.0;
            (share(|key| key.starts_with("tenant-0/")), share(|key| key == "tenant-0/files/0"))
        };
        let (even, one_of_even) = shares(false);
        assert!(even < 0.02 && one_of_even < 0.001, "{even} {one_of_even}");
        let (hot, one) = shares(true);
        assert!((0.48..0.52).contains(&hot) && (0.09..0.11).contains(&one), "{hot} {one}");
        Ok(())
    }
}
