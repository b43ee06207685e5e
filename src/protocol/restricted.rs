//! Part of a model that somebody may see.

use super::snapshot::{KeyRule, ModelSnapshot, Successors};

impl ModelSnapshot {
    /// The same without the keys that `may_read` does not cover: rules that follow from one of them are left out, and so
    /// is each such successor. Templates stay, as they were made by many. O(keys + rules).
    #[must_use]
    pub fn restricted(&self, may_read: impl Fn(&str) -> bool) -> Self {
        let open: Vec<bool> = self.keys.iter().map(|key| may_read(key)).collect();
        let is_open = |key: u32| open.get(key as usize).copied().unwrap_or(false);
        let restrict = |rule: &KeyRule| {
            let next = rule.then.next.iter().copied().filter(|(next, _)| is_open(*next)).collect();
            KeyRule { then: Successors { next, ..rule.then }, ..*rule }
        };
        let from_open = |rule: &&KeyRule| is_open(rule.last) && rule.before.is_none_or(is_open);
        let mut rules: Vec<KeyRule> = self.rules.iter().filter(from_open).map(restrict).collect();
        rules.retain(|rule| !rule.then.next.is_empty());
        // Only what a rule names.
        let mut named = vec![false; self.keys.len()];
        for rule in &rules {
            let next = rule.then.next.iter().map(|(next, _)| *next);
            for key in next.chain(rule.before).chain([rule.last]) {
                named[key as usize] = true;
            }
        }
        let (mut keys, mut popularity, mut numbers) = (Vec::new(), Vec::new(), vec![0; self.keys.len()]);
        for (at, key) in self.keys.iter().enumerate().filter(|(at, _)| named[*at]) {
            numbers[at] = keys.len() as u32;
            keys.push(key.clone());
            popularity.extend(self.popularity.get(at));
        }
        // In the same order as before, so that all stays sorted.
        let number = |key: &mut u32| *key = numbers[*key as usize];
        for rule in &mut rules {
            rule.before.as_mut().map(number);
            number(&mut rule.last);
            rule.then.next.iter_mut().for_each(|(next, _)| number(next));
        }
        Self {
            made: self.made,
            name_bytes: self.name_bytes,
            keys,
            popularity,
            rules,
            templates: self.templates.clone(),
            template_rules: self.template_rules.clone(),
            places: self.places.clone(),
            threshold: self.threshold,
            calibration: self.calibration.clone(),
        }
    }
}

#[cfg(test)]
#[path = "restricted_tests.rs"]
mod tests;
