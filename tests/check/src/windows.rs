//! When each version can have come to be, if every operation took effect at one moment between its call and its return.
//!
//! Versions come one after the other. A version is not there before its write was sent, nor before a strong read of the
//! version before it was sent; and it is there when somebody has been told of it. The first makes an earliest moment,
//! carried on to later versions, the second a latest one, carried back to earlier versions. An order exists exactly
//! where no earliest moment is after the latest one.
//!
//! Reads that found nothing must fit into the time below a delete marker. Between two markers the earliest end of all
//! that is there is the latest moment of the first value, and its start anew the earliest of the second marker: if the
//! first is before the second, then something was certainly there in between; otherwise a moment can be chosen at which
//! the values come and go, and any read may have found nothing.

use super::key_ops::KeyOps;
use super::versions::{State, Told, Versions};
use super::{Level, Outcome, Read, Rule, Time, Violation, Write};

/// One version's window.
struct Window<'a> {
    version: u64,
    is_marker: bool,
    earliest: Time,
    cause_earliest: Option<Told<'a>>,
    latest: Time,
    cause_latest: Option<Told<'a>>,
    /// Sending time of the last strong read of it, and that read.
    read_until: Option<(Time, Told<'a>)>,
}

/// A time at which something was there in every order: inside it, nobody can have found nothing.
struct Present {
    /// Latest moment of the first value.
    after: Time,
    /// Earliest moment of the delete marker that follows; `Time::MAX` without one.
    before: Time,
    /// Windows of the values.
    of: std::ops::Range<usize>,
}

/// The windows of all versions of a key, ascending.
pub(crate) struct Windows<'a> {
    windows: Vec<Window<'a>>,
    /// Times at which somebody was told of a version, ascending, with the newest version told of by then.
    told: Vec<(Time, u64)>,
    traceless_delete: Option<Time>,
}

impl<'a> Windows<'a> {
    /// Finds them. O(n log n).
    ///
    /// # Errors
    /// Where no order exists.
    pub(crate) fn of(ops: &KeyOps<'a>, versions: &Versions<'a>) -> Result<Self, Violation> {
        let mut windows: Vec<Window<'a>> = Vec::with_capacity(versions.all.len());
        for (&version, known) in &versions.all {
            let born_by = known.write.map(Told::Write);
            let is_marker = known.state == State::Marker;
            let (latest, by) = known.proof;
            windows.push(Window {
                version,
                is_marker,
                earliest: known.born,
                cause_earliest: born_by,
                latest,
                cause_latest: (latest < Time::MAX).then_some(by),
                read_until: None,
            });
        }
        let mut told: Vec<(Time, u64)> = windows.iter().map(|window| (window.latest, window.version)).collect();
        told.sort_unstable();
        let mut newest = 0;
        for entry in &mut told {
            newest = newest.max(entry.1);
            entry.1 = newest;
        }
        let mut this = Self { windows, told, traceless_delete: versions.traceless_delete };
        this.note_strong(ops);
        this.carry();
        this.check_order(ops.key)?;
        this.check_absences(ops)?;
        Ok(this)
    }

    fn note_strong(&mut self, ops: &KeyOps<'a>) {
        let strong = ops.reads.iter().filter(|read| read.level == Level::Strong);
        let found = strong.filter_map(|&read| Some((read.found.as_ref()?.version, read.invoked, Told::Read(read))));
        let conflict = |&write: &&'a Write| match write.outcome {
            Outcome::Conflict { current } if current > 0 => Some((current, write.invoked, Told::Write(write))),
            _ => None,
        };
        for (version, invoked, told) in found.chain(ops.writes.iter().filter_map(conflict)) {
            if let Ok(at) = self.windows.binary_search_by_key(&version, |window| window.version)
                && self.windows[at].read_until.is_none_or(|(until, _)| until < invoked)
            {
                self.windows[at].read_until = Some((invoked, told));
            }
        }
    }

    /// Carries earliest moments on, and latest ones back.
    fn carry(&mut self) {
        let mut reached = (0, None);
        for window in &mut self.windows {
            if reached.0 > window.earliest {
                (window.earliest, window.cause_earliest) = reached;
            }
            reached = (window.earliest, window.cause_earliest);
            if let Some((until, told)) = window.read_until
                && until > reached.0
            {
                reached = (until, Some(told));
            }
        }
        let mut bound = (Time::MAX, None);
        for window in self.windows.iter_mut().rev() {
            if bound.0 < window.latest {
                (window.latest, window.cause_latest) = bound;
            }
            bound = (window.latest, window.cause_latest);
        }
    }

    fn check_order(&self, key: &str) -> Result<(), Violation> {
        let Some(window) = self.windows.iter().find(|window| window.earliest > window.latest) else { return Ok(()) };
        let text =
            |cause: Option<Told<'_>>| cause.map_or_else(|| "unknown deletes".to_owned(), |told| told.to_string());
        let (version, earliest, latest) = (window.version, window.earliest, window.latest);
        let (from, to) = (text(window.cause_earliest), text(window.cause_latest));
        let detail =
            format!("version {version} came at {earliest} at the earliest ({from}), but was there by {latest} ({to})");
        Err(Violation::new(Rule::Linearizable, key, detail))
    }

    fn check_absences(&self, ops: &KeyOps<'a>) -> Result<(), Violation> {
        let present = self.present();
        let strong = |read: &&&Read| read.level == Level::Strong && read.found.is_none();
        let absent = ops.reads.iter().filter(strong).map(|&read| (read.invoked, read.returned, Told::Read(read)));
        let missing = |write: &&'a Write| match write.outcome {
            Outcome::Conflict { current: 0 } => Some((write.invoked, write.returned, Told::Write(write))),
            _ => None,
        };
        for (invoked, returned, told) in absent.chain(ops.writes.iter().filter_map(missing)) {
            let at = present.partition_point(|span| span.before <= returned);
            let Some(span) = present.get(at).filter(|span| span.after < invoked) else { continue };
            if !self.may_be_deleted(span, invoked, returned) {
                let first = &self.windows[span.of.start];
                let by = first.cause_latest.map_or_else(String::new, |told| format!(" ({told})"));
                let (version, after) = (first.version, span.after);
                let detail =
                    format!("{told}, but version {version} was there by {after}{by}, and no delete followed in time");
                return Err(Violation::new(Rule::Linearizable, ops.key, detail));
            }
        }
        Ok(())
    }

    /// The times at which something was certainly there, ascending.
    fn present(&self) -> Vec<Present> {
        let mut spans = Vec::new();
        let mut from = 0;
        while let Some(first) = (from..self.windows.len()).find(|&at| !self.windows[at].is_marker) {
            let end = (first..self.windows.len()).find(|&at| self.windows[at].is_marker);
            let (after, before) = (self.windows[first].latest, end.map_or(Time::MAX, |at| self.windows[at].earliest));
            let end = end.unwrap_or(self.windows.len());
            if after < before {
                spans.push(Present { after, before, of: first..end });
            }
            from = end;
        }
        spans
    }

    /// Tells whether a delete that left no trace, between two values of `span`, explains an absence.
    fn may_be_deleted(&self, span: &Present, invoked: Time, returned: Time) -> bool {
        if self.traceless_delete.is_none_or(|sent| sent > returned) {
            return false;
        }
        // The first value after which there is still time when the read was sent, and the last that it must be after.
        let next = span.of.clone().find(|&at| at + 1 == self.windows.len() || self.windows[at + 1].latest >= invoked);
        next.is_some_and(|at| {
            let window = &self.windows[at];
            window.earliest.max(window.read_until.map_or(0, |(until, _)| until)) <= returned
        })
    }

    /// The newest version that somebody had been told of before `before`; 0 for none.
    pub(crate) fn told_before(&self, before: Time) -> u64 {
        let count = self.told.partition_point(|&(at, _)| at < before);
        count.checked_sub(1).map_or(0, |last| self.told[last].1)
    }

    /// The oldest version, `needed` or newer, that an absence told at `returned` can be the state after.
    pub(crate) fn absent(&self, needed: u64, returned: Time) -> Option<u64> {
        if needed == 0 {
            return Some(0);
        }
        let from = self.windows.partition_point(|window| window.version < needed);
        let marker = self.windows[from..].iter().find(|window| window.is_marker);
        let marker = marker.filter(|marker| marker.earliest <= returned).map(|marker| marker.version);
        let traceless = self.traceless_delete.filter(|&sent| sent <= returned).map(|_| needed);
        traceless.or(marker)
    }
}
