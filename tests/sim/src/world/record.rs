//! The history that [`foremap_check`] holds against the promises.

use std::sync::Arc;

use foremap::adapter::Answer;
use foremap::key::CompositeKey;
use foremap::protocol::{Consistency, KeymapFields};
use foremap_check::{Final, Found, History, Kept, Level, Outcome, Time, Write};

use super::world::{VERSIONS, World};
use crate::check::{Read, Violation};
use crate::cluster::{Command, Record, Reply};

/// Microseconds, counted on within a millisecond so that steps of one moment have an order.
const PER_MS: Time = 1_000;

fn text(key: &CompositeKey) -> Arc<str> {
    key.as_str().into()
}

fn value(fields: &KeymapFields) -> Arc<str> {
    fields.locator.as_str().into()
}

impl World {
    /// Now, as the history has it.
    pub(super) fn time(&self) -> Time {
        self.now * PER_MS + self.tick.min(PER_MS - 1)
    }

    /// A write begins, and its outcome is not known yet. Returns its place in the history.
    pub(super) fn record_write(&mut self, key: &CompositeKey, session: u64, fields: Option<&KeymapFields>) -> usize {
        let (invoked, returned, outcome) = (self.time(), Time::MAX, Outcome::Unknown);
        let value = fields.map(value);
        self.history.writes.push(Write { key: text(key), session, value, invoked, returned, outcome });
        self.history.writes.len() - 1
    }

    pub(super) fn record_outcome(&mut self, at: usize, outcome: Outcome) {
        let returned = self.time();
        let write = &mut self.history.writes[at];
        (write.returned, write.outcome) = (returned, outcome);
    }

    pub(super) fn record_read(&mut self, read: &Read, session: usize, answer: &Answer) {
        let level = match read.consistency {
            Consistency::Strong => Level::Strong,
            Consistency::Bounded => Level::Bounded { max_staleness: Time::from(read.max_staleness_ms) * PER_MS },
            Consistency::Any => Level::Any,
        };
        let found = answer.keymap.as_ref();
        self.history.reads.push(foremap_check::Read {
            key: text(&read.key),
            session: session as u64,
            level,
            invoked: read.invoked,
            returned: self.time(),
            found: found.map(|found| Found { version: found.version, value: value(&found.fields) }),
            age: answer.age_ms.saturating_mul(PER_MS),
            position: Some(answer.at.position),
        });
    }

    /// Reads what the cluster holds in the end, and checks the whole history.
    pub(super) fn check_history(&mut self) {
        for at in 0..self.keys.len() {
            let key = self.keys[at].clone();
            match self.final_state(&key) {
                Some(last) => self.history.finals.push(last),
                None => return self.violate("healed", format!("{key} cannot be read in the end")),
            }
        }
        let history = History { slack: PER_MS, ..std::mem::take(&mut self.history) };
        match foremap_check::check(&history) {
            Ok(summary) => self.tally.count_history(&summary),
            Err(violation) => {
                let rule = violation.rule.name();
                self.violation.get_or_insert(Violation { rule, detail: format!("history: {violation}") });
            }
        }
    }

    fn final_state(&mut self, key: &CompositeKey) -> Option<Final> {
        let group = self.cluster.group_of_key(key);
        let now_us = self.now_us();
        let (Reply::Read(answer), true) = self.cluster.perform(group, now_us, &Command::Read(key.clone())).ok()? else {
            return None;
        };
        let versions = self.cluster.perform(group, now_us, &Command::Versions(key.clone())).ok()?;
        let (Reply::Versions(records, _), true) = versions else { return None };
        let kept = |record: &Record| Kept { version: record.version, value: record.fields.as_deref().map(value) };
        let newest = answer.value.map(|found| Found { version: found.version, value: value(&found.fields) });
        let kept = records.iter().map(kept).collect();
        Some(Final { key: text(key), newest, kept, retention: VERSIONS })
    }
}
