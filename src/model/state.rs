//! The merged counts in a form that another leader goes on from.

use std::cmp::Reverse;

use super::clients::Clients;
use super::merger::{KnownKey, MergedEpochs, Merger, MergerConfig, MergerStats, Traffic, Way};
use super::texts;
use crate::codec::{DecodeError, MAX_SAFE_INTEGER, Reader, Writer};
use crate::key::CompositeKey;

const MAGIC: [u8; 4] = *b"FMMG";
/// In the first one a way from one key held only what came without another key before it.
const VERSION: u8 = 2;
/// Most instances whose epochs are kept: those heard of last.
const MAX_INSTANCES: usize = 1 << 14;
/// Over any count: sums of a million of them do not overflow.
const MAX_COUNT: u64 = 1 << 40;
/// Clients of a way that are named one by one; more are a set of 64 bits.
const FEW: u32 = 6;

impl Merger {
    /// Writes what [`Merger::import`] goes on from, in `max_bytes` at most where instances alone do not take more: the
    /// heaviest ways. O(ways x log ways).
    pub fn export(&self, max_bytes: usize) -> Vec<u8> {
        let mut ways: Vec<(Way, &Traffic)> = self.ways.iter().map(|(way, traffic)| (*way, traffic)).collect();
        let ids = self.way_ids();
        ways.sort_unstable_by_key(|(way, traffic)| (Reverse(traffic.all), ids(way)));
        loop {
            let bytes = self.write(&ways);
            if bytes.len() <= max_bytes || ways.is_empty() {
                return bytes;
            }
            // In proportion, and a little less, as the ways that weigh least share most.
            let keep = ways.len() as u64 * max_bytes as u64 / bytes.len() as u64;
            ways.truncate((keep - keep / 32).min(ways.len() as u64 - 1) as usize);
        }
    }

    fn write(&self, ways: &[(Way, &Traffic)]) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.hour.into());
        let stats = &self.stats;
        for count in [stats.merged, stats.known, stats.observations, stats.capped, stats.ways_dropped] {
            w.varint(count.min(MAX_SAFE_INTEGER));
        }
        let mut keys: Vec<u32> = ways.iter().flat_map(|(way, _)| way.keys()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys.sort_unstable_by_key(|&key| &self.keys[key as usize].text);
        let mut numbers = vec![Way::NONE; self.keys.len()];
        for (number, &key) in keys.iter().enumerate() {
            numbers[key as usize] = number as u32;
        }
        self.write_keys(&mut w, &keys);
        let number = |key: u32| if key == Way::NONE { key } else { numbers[key as usize] };
        let mut ways: Vec<(Way, &Traffic)> = ways
            .iter()
            .map(|(way, traffic)| {
                (Way { before: number(way.before), last: number(way.last), next: number(way.next) }, *traffic)
            })
            .collect();
        ways.sort_unstable_by_key(|(way, _)| (way.last, way.next, way.before));
        write_ways(&mut w, &ways);
        self.write_instances(&mut w);
        w.finish()
    }

    fn write_keys(&self, w: &mut Writer, keys: &[u32]) {
        let mut before = "";
        w.list(keys.iter(), |w, &key| {
            let KnownKey { text, visits, seen, .. } = &self.keys[key as usize];
            texts::put(w, before, text);
            w.varint((*visits).min(MAX_COUNT));
            w.varint((*seen).into());
            before = text;
        });
    }

    fn write_instances(&self, w: &mut Writer) {
        let mut instances: Vec<(u64, &MergedEpochs)> =
            self.instances.iter().map(|(id, epochs)| (*id, epochs)).collect();
        instances.sort_unstable_by_key(|(id, epochs)| (Reverse(epochs.heard), *id));
        instances.truncate(MAX_INSTANCES);
        instances.sort_unstable_by_key(|(id, _)| *id);
        w.list(instances.iter(), |w, (id, epochs)| {
            w.u64_le(*id);
            w.varint(epochs.newest);
            w.u64_le(epochs.merged);
            w.varint(epochs.heard);
        });
    }

    /// Goes on from what [`Merger::export`] wrote. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of merged counts, or more than the configuration has room for.
    pub fn import(config: MergerConfig, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let mut merger = Self::new(config);
        merger.hour = r.u32("hour")?;
        let mut count = || r.at_most(MAX_SAFE_INTEGER, "count");
        let (merged, known, observations) = (count()?, count()?, count()?);
        let (capped, ways_dropped) = (count()?, count()?);
        merger.stats = MergerStats { merged, known, observations, capped, ways_dropped, ..MergerStats::default() };
        merger.keys = read_keys(&mut r, config.max_ways.saturating_mul(3))?;
        merger.visits = merger.keys.iter().map(|key| key.visits).sum();
        merger.key_bytes = merger.keys.iter().map(|key| key.text.len()).sum();
        let texts = merger.keys.iter().enumerate();
        merger.numbers = texts.map(|(number, key)| (key.text.clone(), number as u32)).collect();
        let ways = read_ways(&mut r, config.max_ways, merger.keys.len())?;
        let mut is_named = vec![false; merger.keys.len()];
        ways.iter().flat_map(|(way, _)| way.keys()).for_each(|key| is_named[key as usize] = true);
        if is_named.contains(&false) {
            return Err(DecodeError::BadValue("keys"));
        }
        merger.ways = ways.into_iter().collect();
        let instances = r.list(MAX_INSTANCES.min(config.max_instances), "instances", |r| {
            let id = r.u64_le()?;
            let newest = r.at_most(MAX_SAFE_INTEGER, "newest")?;
            let (merged, heard) = (r.u64_le()?, r.at_most(MAX_SAFE_INTEGER, "heard")?);
            Ok((id, MergedEpochs { newest, merged, heard }))
        })?;
        r.finish()?;
        if !instances.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(DecodeError::BadValue("instances"));
        }
        merger.instances = instances.into_iter().collect();
        Ok(merger)
    }
}

fn write_ways(w: &mut Writer, ways: &[(Way, &Traffic)]) {
    let mut last = 0;
    w.list(ways.iter(), |w, (way, traffic)| {
        w.varint(u64::from(way.last - last));
        last = way.last;
        w.varint(way.next.into());
        w.varint(if way.before == Way::NONE { 0 } else { 1 + u64::from(way.before) });
        let all = traffic.all.min(MAX_COUNT);
        w.varint(all);
        w.varint(all - traffic.fresh.min(all));
        let mut clients = traffic.clients.0;
        if clients.count_ones() > FEW {
            w.u8(u8::MAX);
            w.u64_le(clients);
            return;
        }
        w.u8(clients.count_ones() as u8);
        while clients != 0 {
            w.u8(clients.trailing_zeros() as u8);
            clients &= clients - 1;
        }
    });
}

fn read_keys(r: &mut Reader<'_>, max: usize) -> Result<Vec<KnownKey>, DecodeError> {
    let mut text = String::new();
    let keys = r.list(max, "keys", |r| {
        texts::take(r, &mut text)?;
        if CompositeKey::from_canonical(&text).is_none() {
            return Err(DecodeError::BadValue("key"));
        }
        let (visits, seen) = (r.at_most(MAX_COUNT, "visits")?, r.u32("seen")?);
        Ok(KnownKey::new(&text, visits, seen))
    })?;
    if keys.is_sorted_by(|a, b| a.text < b.text) { Ok(keys) } else { Err(DecodeError::BadValue("keys")) }
}

fn read_ways(r: &mut Reader<'_>, max: usize, keys: usize) -> Result<Vec<(Way, Traffic)>, DecodeError> {
    let number = |value: u64| match u32::try_from(value) {
        Ok(number) if (number as usize) < keys => Ok(number),
        _ => Err(DecodeError::BadValue("way")),
    };
    let mut last = 0;
    let ways = r.list(max, "ways", |r| {
        last += r.at_most(keys as u64, "way")?;
        let next = number(r.varint()?)?;
        let before = match r.varint()? {
            0 => Way::NONE,
            coded => number(coded - 1)?,
        };
        let all = r.at_most(MAX_COUNT, "traffic")?;
        let fresh = all - r.at_most(all, "traffic")?;
        Ok((Way { before, last: number(last)?, next }, Traffic { all, fresh, clients: read_clients(r)? }))
    })?;
    let place = |way: &Way| (way.last, way.next, way.before);
    if ways.is_sorted_by(|(a, _), (b, _)| place(a) < place(b)) { Ok(ways) } else { Err(DecodeError::BadValue("ways")) }
}

fn read_clients(r: &mut Reader<'_>) -> Result<Clients, DecodeError> {
    let count = match r.u8()? {
        u8::MAX => return Ok(Clients(r.u64_le()?)),
        count if u32::from(count) <= FEW => count,
        _ => return Err(DecodeError::BadValue("clients")),
    };
    let mut clients = 0;
    for _ in 0..count {
        match r.u8()? {
            bit @ 0..64 => clients |= 1 << bit,
            _ => return Err(DecodeError::BadValue("clients")),
        }
    }
    Ok(Clients(clients))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
