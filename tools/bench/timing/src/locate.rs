//! Cost of a look-up of placement.

use std::sync::Arc;

use foremap::key::CompositeKey;
use foremap::partition::{PartitionMap, Placement};

/// A map and keys to look up in it.
pub struct Locate {
    placement: Placement,
    keys: Vec<CompositeKey>,
    found: Vec<u32>,
}

impl Locate {
    /// Reads a map in its binary form, and keys, one a line.
    ///
    /// # Errors
    /// For what is none.
    pub fn new(map: &[u8], keys: &str) -> Result<Self, String> {
        let map = PartitionMap::decode(map).map_err(|error| error.to_string())?;
        let parse = |line: &str| CompositeKey::parse(line).map_err(|error| format!("`{line}`: {error}"));
        let keys = keys.lines().map(parse).collect::<Result<_, _>>()?;
        let mut all = Self { placement: Placement::new(Arc::new(map)), keys, found: Vec::new() };
        // Owners are computed at first use and then remembered: that is not what is timed.
        all.core();
        Ok(all)
    }

    /// Looks every key up; a sum that depends on all results.
    pub fn core(&mut self) -> u32 {
        let mut sum = 0_u32;
        for key in &self.keys {
            let place = self.placement.locate(key);
            sum = sum.wrapping_mul(31).wrapping_add(place.partition ^ place.node);
        }
        sum
    }

    /// Looks up keys given as UTF-8, one a line, as a caller without keys of its own would: the partition and the node of
    /// each, one after the other. A line that is no key is left out.
    pub fn batch(&mut self, lines: &[u8]) -> &[u32] {
        self.found.clear();
        for line in lines.split(|&byte| byte == b'\n') {
            if let Some(key) = std::str::from_utf8(line).ok().and_then(|line| CompositeKey::parse(line).ok()) {
                let place = self.placement.locate(&key);
                self.found.extend([place.partition, place.node]);
            }
        }
        &self.found
    }
}

#[cfg(test)]
mod tests {
    use foremap::partition::{MapNode, StorageLayout};

    use super::*;

    #[test]
    fn text_and_keys_are_placed_alike() {
        let node = |id| MapNode { id, origin: format!("http://n{id}"), weight: 1 };
        let map = PartitionMap::new(1, 64, StorageLayout::default(), (1..=3).map(node).collect());
        let mut locate = Locate::new(&map.encode(), "a/b\na/c").expect("a map and keys");
        let mut sum = 0_u32;
        for pair in locate.batch(b"a/b\na//\na/c").chunks_exact(2) {
            sum = sum.wrapping_mul(31).wrapping_add(pair[0] ^ pair[1]);
        }
        assert_eq!(sum, locate.core());
        assert!(Locate::new(b"no map", "").is_err() && Locate::new(&map.encode(), "a//b").is_err());
    }
}
