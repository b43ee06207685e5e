//! Several hubs, each for the keys below some prefixes.

use std::collections::BTreeMap;

use super::Refusal;
use super::told::{covered, read};
use crate::key::{CompositeKey, KeyPrefix};
use crate::model::{Path, Summary};

/// Most shards that one summary is split among: each of them is a request.
const MAX_SHARDS: usize = 4;

/// Which of several hubs a key belongs to: its first `depth` components.
fn shard_of(key: &CompositeKey, depth: usize) -> &str {
    key.portion(depth).trim_end_matches('/')
}

/// Parts of a summary, by the hub that is told each. A path is cut where it leaves the keys of a shard, so a hub never hears
/// of keys of another: what is forgotten there is nowhere else, and who may read the one sees nothing of the other. Ways
/// from one shard to another are not told of. Each part is named by instance and epoch like the whole, so that it counts
/// once as well.
///
/// Of more shards than four, the four of which the summary has most are told.
fn split(summary: &Summary, depth: usize) -> BTreeMap<String, Summary> {
    let mut parts: BTreeMap<&str, SummaryPart> = BTreeMap::new();
    for path in &summary.paths {
        let mut told = usize::from(path.told);
        let of = |key: u32| summary.keys.get(key as usize).map_or("", |key| shard_of(key, depth));
        for steps in path.steps.chunk_by(|a, b| of(a.key) == of(b.key)) {
            let known = told.min(steps.len());
            told -= known;
            if steps.len() > known.max(1) {
                let part = parts.entry(of(steps[0].key)).or_insert_with(|| SummaryPart::new(summary));
                part.add(known as u8, steps, summary);
            }
        }
    }
    let mut parts: Vec<(&str, SummaryPart)> = parts.into_iter().collect();
    parts.sort_by_key(|(_, part)| std::cmp::Reverse(part.steps));
    parts.truncate(MAX_SHARDS);
    parts.into_iter().map(|(shard, part)| (shard.to_owned(), part.summary)).collect()
}

struct SummaryPart {
    summary: Summary,
    /// Numbers of the whole's keys among its own.
    numbers: BTreeMap<u32, u32>,
    steps: usize,
}

impl SummaryPart {
    fn new(whole: &Summary) -> Self {
        let summary = Summary { instance: whole.instance, epoch: whole.epoch, ..Summary::default() };
        Self { summary, numbers: BTreeMap::new(), steps: 0 }
    }

    fn add(&mut self, told: u8, steps: &[crate::model::PathStep], whole: &Summary) {
        self.steps += steps.len();
        let mut path = Path { told, steps: steps.to_vec() };
        for step in &mut path.steps {
            let keys = &mut self.summary.keys;
            step.key = *self.numbers.entry(step.key).or_insert_with(|| {
                keys.push(whole.keys[step.key as usize].clone());
                keys.len() as u32 - 1
            });
        }
        // What is cut may come to more paths than there may be.
        if self.summary.paths.len() < Summary::MAX_PATHS {
            self.summary.paths.push(path);
        }
    }
}

/// Parts of a summary in binary form, by the hub that is told each, where its sender may tell of keys below `prefixes`. With
/// `depth` 0 there is one hub, without a name, and it is told everything as it is.
///
/// # Errors
/// [`Refusal`] where it is no summary, or one of a key that is not covered.
pub fn shares(
    summary: &[u8],
    depth: usize,
    prefixes: Option<&[KeyPrefix]>,
) -> Result<BTreeMap<String, Vec<u8>>, Refusal> {
    let read = read(summary)?;
    covered(&read, prefixes)?;
    if depth == 0 {
        return Ok(BTreeMap::from([(String::new(), summary.to_vec())]));
    }
    Ok(split(&read, depth).into_iter().map(|(shard, part)| (shard, part.encode())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PathStep;

    fn summary(paths: &[(u8, &[&str])]) -> Summary {
        let mut summary = Summary { instance: 7, epoch: 3, ..Summary::default() };
        for (told, texts) in paths {
            let steps = texts.iter().map(|text| {
                let key = CompositeKey::parse(text).expect("valid");
                let known = summary.keys.iter().position(|known| *known == key);
                let number = known.unwrap_or(summary.keys.len());
                if known.is_none() {
                    summary.keys.push(key);
                }
                PathStep { key: number as u32, repeated: known.is_some() }
            });
            let steps = steps.collect();
            summary.paths.push(Path { told: *told, steps });
        }
        summary
    }

    fn paths(part: &Summary) -> Vec<(u8, Vec<&str>)> {
        let text = |step: &PathStep| part.keys[step.key as usize].as_str();
        part.paths.iter().map(|path| (path.told, path.steps.iter().map(text).collect())).collect()
    }

    #[test]
    fn a_path_is_cut_where_it_leaves_a_shard() {
        let whole = summary(&[
            (2, &["a/1", "a/2", "a/3", "b/1", "b/2", "a/3", "a/1"]),
            (1, &["b/1", "c/1", "b/2", "b/3"]),
            (2, &["a/8", "b/9", "b/8"]),
        ]);
        let parts = split(&whole, 1);
        assert_eq!(parts.keys().collect::<Vec<_>>(), ["a", "b"], "nothing follows anything in the third");
        assert_eq!(paths(&parts["a"]), [(2, vec!["a/1", "a/2", "a/3"]), (0, vec!["a/3", "a/1"])]);
        assert_eq!(paths(&parts["b"]), [(0, vec!["b/1", "b/2"]), (0, vec!["b/2", "b/3"]), (1, vec!["b/9", "b/8"])]);
        assert!(parts.values().all(|part| (part.instance, part.epoch) == (7, 3)));
        for part in parts.values() {
            assert_eq!(Summary::decode(&part.encode()).as_ref(), Ok(part));
        }
        assert_eq!(split(&whole, 9).len(), 0, "every key is a shard of its own");
    }

    #[test]
    fn the_whole_is_covered_or_refused_and_one_hub_gets_it_as_it_is() {
        let bytes = summary(&[(0, &["a/1", "b/2"])]).encode();
        assert_eq!(shares(&bytes, 0, None).expect("fine")[""], bytes);
        let prefix = |text: &str| KeyPrefix::parse(text).expect("valid");
        assert!(shares(&bytes, 1, Some(&[prefix("a")])).is_err());
        assert!(shares(&bytes, 1, Some(&[prefix("a"), prefix("b")])).is_ok());
        assert!(shares(b"", 0, None).is_err());
    }

    #[test]
    fn it_is_split_among_few() {
        let texts: Vec<String> = (0..40).map(|at| format!("{}/{at}", at / 2 % 10)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        assert_eq!(split(&summary(&[(0, &texts)]), 1).len(), MAX_SHARDS);
    }
}
