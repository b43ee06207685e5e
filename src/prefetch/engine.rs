//! [`PrefetchEngine`].

mod pooled;
mod queries;

use std::num::NonZeroUsize;
use std::sync::Arc;

use fxhash::FxBuildHasher;
use lru::LruCache;

use super::config::{Caution, PrefetchConfig};
use super::failures::{Failure, FailureLog, FailureReason};
use super::hints::Hints;
use super::ledger::{Ledger, OUTSTANDING_BYTES, Outstanding};
use super::outcome::PrefetchOutcome;
use super::request::{PrefetchRequest, Verdict};
use super::stats::FailureCounts;
use super::timing::Timing;
use super::walk::{PathNode, Walk};
use super::waste_budget::WasteBudget;
use crate::Millis;
use crate::analyzer::{Access, Analyzer, AnalyzerConfig, Context, Expert, KeyId, Prior};
use crate::codec::DecodeError;
use crate::confidence::{Booking, ConfidenceMap, LogicalTime, Worth};
use crate::key::CompositeKey;
use crate::protocol::ModelSnapshot;

/// Whose cache prefetches go to: the one of all, or a stream's own.
#[derive(Debug, Clone, Copy)]
struct Holder(Option<u64>);

/// From where a walk is looked at.
struct View {
    now: Millis,
    moment: LogicalTime,
    holder: Holder,
    /// Longest chain worth following.
    depth: u8,
}

/// A keymap that may be fetched ahead.
struct PrefetchCandidate<'a> {
    key: &'a CompositeKey,
    id: KeyId,
    worth: Worth,
    expert: Expert,
    issued: LogicalTime,
}

impl Holder {
    /// The key in that cache.
    fn of(self, id: KeyId) -> KeyId {
        self.0.map_or(id, |stream| id.within(stream))
    }
}

/// Time that a key which turned out not to exist is not predicted again. Keys are created, but rarely within
/// minutes of being missed.
const MISSING_FOR: Millis = 300_000;
/// Bytes of one such key: queue node and share of the hash table.
const MISSING_BYTES: usize = 80;
/// Bytes that all parts of a fixed size take at most: a walk's buffers, the Confidence Map's cells, the structs. A
/// constant, as pointers are of different sizes: what is left for the tables decides what is predicted, and native code
/// and WebAssembly are to decide alike.
const FIXED_BYTES: usize = 188 << 10;
const _: () =
    assert!(Walk::BYTES + ConfidenceMap::FIXED_BYTES + Hints::BYTES + size_of::<PrefetchEngine>() <= FIXED_BYTES);
/// Requests up to which an engine has nothing of its own that the calibration of others could spoil.
const NEW_FOR: u64 = 32;
/// Candidates below the threshold that are followed up per access: two or six replay level within a tenth of a point.
const SHADOWS: usize = 4;

/// Decides what to fetch ahead. See the [module](super) for the method.
///
/// Memory never exceeds the configured cap. One access costs O(1): at most 32 contexts and 96 keys are
/// looked up, nearly always far fewer, as a chain ends where its probability falls below the threshold.
#[derive(Debug)]
pub struct PrefetchEngine {
    config: PrefetchConfig,
    analyzer: Analyzer,
    confidence: ConfidenceMap,
    budget: WasteBudget,
    ledger: Ledger,
    failures: FailureLog,
    not_fetched: FailureCounts,
    missing: LruCache<KeyId, Millis, FxBuildHasher>,
    hints: Hints,
    /// The prefetch whose entry the present request found too old.
    outdated: Option<KeyId>,
    walk: Walk,
    timing: Timing,
    /// True where a model was taken over.
    imported: bool,
    /// True where demand for what is in flight is fetched a second time, instead of joining it.
    overtakes: bool,
    /// The stream that reports without one are about, with private caches.
    acting_for: Option<u64>,
    /// Waste budget left to the stream that acts, where each has its own.
    left_of_stream: Option<f64>,
}

impl PrefetchEngine {
    /// An engine that knows nothing yet.
    ///
    /// Of the memory, a 24th goes to the Confidence Map, a 32nd to the ledger, a 128th each to the failure log
    /// and to keys that do not exist, the rest to the analyzer.
    pub fn new(config: PrefetchConfig) -> Self {
        let config = config.checked();
        let memory = config.analyzer.memory_bytes;
        let (for_map, for_ledger, for_log, for_missing) = (memory / 24, memory / 32, memory / 128, memory / 128);
        let missing = NonZeroUsize::new(for_missing / MISSING_BYTES).unwrap_or(NonZeroUsize::MIN);
        let others = for_map + for_ledger + for_log + for_missing + FIXED_BYTES;
        let analyzer = AnalyzerConfig { memory_bytes: memory.saturating_sub(others), ..config.analyzer };
        let mut suppressed = LruCache::unbounded_with_hasher(FxBuildHasher::default());
        suppressed.resize(missing);
        Self {
            analyzer: Analyzer::new(analyzer),
            confidence: ConfidenceMap::new(for_map),
            budget: WasteBudget::new(&config),
            ledger: Ledger::new(for_ledger / OUTSTANDING_BYTES),
            failures: FailureLog::new(config.failure_log, for_log),
            not_fetched: FailureCounts::default(),
            missing: suppressed,
            hints: Hints::default(),
            outdated: None,
            walk: Walk::default(),
            timing: Timing::default(),
            imported: false,
            overtakes: false,
            acting_for: None,
            left_of_stream: None,
            config,
        }
    }

    /// One demand request: learns from it, scores earlier predictions, and appends what to fetch ahead, best first.
    ///
    /// `skip` says whether a key is cached or in flight already; it is asked for at most 96 keys, mostly for a dozen.
    /// The outcome of an earlier prefetch for `key` is reported by [`PrefetchEngine::handle_outcome`], before or after.
    pub fn handle_access(
        &mut self,
        now: Millis,
        stream: &str,
        key: &CompositeKey,
        access: Access,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        prefetches: &mut Vec<PrefetchRequest>,
    ) {
        if !self.config.enabled {
            return;
        }
        self.budget.on_request();
        let seq = self.budget.requests();
        self.timing.on_request(self.ledger.in_flight());
        let reached = self.timing.reached(seq);
        let horizon = u32::try_from(seq - reached).unwrap_or(u32::MAX);
        let at = self.analyzer.observe(stream, key, access, horizon);
        let holder = self.holder(stream);
        let moment = self.moment(at.requests);
        // Where demand joins what is in flight, a prefetch too late has still saved a part of the wait.
        let useful = if self.overtakes { reached } else { seq - 1 };
        self.hints.asked(now, at.id);
        if self.outdated.take() == Some(at.id) {
            // What was predicted came, and yet fetching it was of no use.
            self.confidence.forfeit(holder.of(at.id));
        } else if let Some(after) =
            self.confidence.settle(LogicalTime { of_all: useful, ..moment }, holder.of(at.id)).after
        {
            self.analyzer.came_true(at.id, after);
        }
        let mut walk = std::mem::take(&mut self.walk);
        walk.start(&self.analyzer, &self.confidence, &at.context, key.as_str().as_bytes());
        let view = View { now, moment, holder, depth: self.depth(&at.context) };
        let wanted_waste = self.look_ahead(&view, &mut walk, skip, prefetches);
        self.walk = walk;
        let left = self.budget_left();
        self.budget.pace(wanted_waste, left);
    }

    /// Takes over what others learned, in place of what it took over before: their rules, and before its own first
    /// requests also how far to trust them and the threshold that they settled at. What was learnt here stays. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the calibration cannot be read; nothing is taken over then.
    pub fn import(&mut self, snapshot: &ModelSnapshot) -> Result<(), DecodeError> {
        if self.calibrate(snapshot)? {
            self.analyzer.import(snapshot);
        }
        Ok(())
    }

    /// As [`PrefetchEngine::import`], of tables that several engines of one seed share; `prior` is that of the snapshot.
    ///
    /// # Errors
    /// As there.
    pub fn share(&mut self, snapshot: &ModelSnapshot, prior: Arc<Prior>) -> Result<(), DecodeError> {
        if self.calibrate(snapshot)? {
            self.analyzer.share(prior);
        }
        Ok(())
    }

    /// Takes over the calibration of others where there is none of its own; says whether their rules are to follow.
    fn calibrate(&mut self, snapshot: &ModelSnapshot) -> Result<bool, DecodeError> {
        if !self.config.enabled {
            return Ok(false);
        }
        let is_new = self.budget.requests() <= NEW_FOR && !self.imported;
        if is_new && !snapshot.calibration.is_empty() {
            self.confidence.import(&snapshot.calibration)?;
            self.budget.start_at(f32::from(snapshot.threshold) / 256.0);
        }
        self.imported = true;
        Ok(true)
    }

    /// Appends what to fetch ahead after the latest request of a stream, for `key`, now that more is known than when it was made:
    /// a model was taken over. `skip` is asked as in [`PrefetchEngine::handle_access`].
    pub fn look_again(
        &mut self,
        now: Millis,
        stream: &str,
        key: &CompositeKey,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        prefetches: &mut Vec<PrefetchRequest>,
    ) {
        let Some(requests) = self.analyzer.requests_of(stream).filter(|_| self.config.enabled) else { return };
        // As it looks with the classes that the model brought.
        let context = self.analyzer.context_of(key);
        let mut walk = std::mem::take(&mut self.walk);
        walk.start(&self.analyzer, &self.confidence, &context, key.as_str().as_bytes());
        let view =
            View { now, moment: self.moment(requests), holder: self.holder(stream), depth: self.depth(&context) };
        self.look_ahead(&view, &mut walk, skip, prefetches);
        self.walk = walk;
    }

    /// Evidence learned here, and the threshold in 256ths: what a [`ModelSnapshot`] takes along.
    pub fn calibration(&self) -> (Vec<u8>, u8) {
        (self.confidence.export(), (self.budget.threshold() * 256.0) as u8)
    }

    /// A request of an earlier run: learns which key followed which, and nothing else.
    pub fn recall(&mut self, stream: &str, key: &CompositeKey) {
        if self.config.enabled {
            self.analyzer.observe(stream, key, Access::Miss, 1);
        }
    }

    /// Follows a walk; returns the expected waste of what is above the threshold.
    fn look_ahead(
        &mut self,
        view: &View,
        walk: &mut Walk,
        skip: &mut dyn FnMut(&CompositeKey) -> bool,
        prefetches: &mut Vec<PrefetchRequest>,
    ) -> f64 {
        let View { now, moment, holder, depth } = *view;
        let threshold = self.budget.threshold();
        let (mut wanted_waste, mut issued, mut shadows) = (0.0, 0, 0);
        while let Some(node) = walk.next() {
            if self.is_missing(now, node.id) {
                continue;
            }
            let outstanding = self.ledger.contains(holder.of(node.id));
            let mut absent = false;
            if !outstanding {
                let Some(key) = walk.key(&self.analyzer, &node) else { continue };
                absent = !skip(key);
                if absent {
                    let worth = self.confidence.worth(node.confidence);
                    let id = holder.of(node.id);
                    let candidate = PrefetchCandidate { key, id, worth, expert: node.expert, issued: moment };
                    let verdict = self.prefetch_keymap(now, &candidate);
                    if verdict == Verdict::Logged(FailureReason::BelowThreshold) {
                        if node.confidence > threshold {
                            self.confidence.passed_over(&worth);
                        }
                    } else {
                        // Also what only the budget refused, or the threshold would not rise while that is empty.
                        wanted_waste += f64::from(1.0 - worth.probability);
                    }
                    if verdict == Verdict::Fetch {
                        issued += 1;
                        let PathNode { depth, expert, .. } = node;
                        prefetches.push(PrefetchRequest {
                            key: key.clone(),
                            confidence: worth.probability,
                            depth,
                            expert,
                        });
                    } else {
                        shadows += 1;
                    }
                }
            }
            // Entries proven useful are left out: they are popular and would flatter the predictor. Direct
            // predictions of what is there by prediction are scored; else only the far end of a chain would be.
            if absent || (outstanding && node.depth == 1) {
                self.book(moment, holder, walk, &node);
            }
            if node.confidence > threshold && node.depth < depth {
                walk.go_on(&self.analyzer, &self.confidence, &node, threshold);
            }
            if issued >= self.config.max_orders || shadows >= SHADOWS {
                break;
            }
        }
        wanted_waste
    }

    fn book(&mut self, moment: LogicalTime, holder: Holder, walk: &Walk, node: &PathNode) {
        let PathNode { id, after, confidence, expert, .. } = *node;
        let booking = Booking { id: holder.of(id), after, step: &walk.step(node), expert, confidence };
        if self.confidence.book(moment, &booking) {
            self.analyzer.predicted(id, after);
        }
    }

    /// Decides on a key that the application says will be asked for, with `probability` and within so many
    /// milliseconds. How often earlier hints of that probability came true corrects it. `skip` says whether the key is
    /// cached or in flight already: then the hint is scored, and nothing is fetched.
    pub fn hint(
        &mut self,
        now: Millis,
        key: &CompositeKey,
        probability: Option<f32>,
        within: Option<Millis>,
        skip: bool,
    ) -> Verdict {
        let id = self.analyzer.id(key);
        let probability = self.hints.book(now, id, probability, within);
        if skip {
            return Verdict::Outstanding;
        }
        if self.is_missing(now, id) {
            self.log_failure(now, key, probability, Expert::Hint, FailureReason::Missing);
            return Verdict::Logged(FailureReason::Missing);
        }
        let worth = self.confidence.worth(probability).stated(probability);
        self.prefetch_keymap(now, &PrefetchCandidate { key, id, worth, expert: Expert::Hint, issued: self.moment(0) })
    }

    /// There is no keymap of `key`, as far as is known: it is not fetched ahead for a while.
    pub fn handle_absence(&mut self, now: Millis, key: &CompositeKey) {
        let id = self.analyzer.id(key);
        self.missing.put(id, now + MISSING_FOR);
    }

    /// Decides on one keymap that is neither cached nor in flight: with a confidence above the threshold, and within the
    /// waste budget, it is to be fetched ahead; else its failure is logged.
    fn prefetch_keymap(&mut self, now: Millis, candidate: &PrefetchCandidate<'_>) -> Verdict {
        let PrefetchCandidate { key, id, worth, expert, issued } = *candidate;
        if self.ledger.contains(id) {
            return Verdict::Outstanding;
        }
        let confidence = worth.probability;
        let reason = if confidence > self.budget.threshold() {
            if self.can_spend() {
                self.budget.issued(confidence);
                self.left_of_stream = self.left_of_stream.map(|left| left - 1.0);
                // What is thought of predictions says nothing of hints, nor the other way round.
                if expert != Expert::Hint {
                    self.confidence.issued(&worth);
                }
                self.ledger.issue(id, Outstanding { worth, expert, issued, landed: None });
                return Verdict::Fetch;
            }
            FailureReason::Budget
        } else {
            FailureReason::BelowThreshold
        };
        self.log_failure(now, key, confidence, expert, reason);
        Verdict::Logged(reason)
    }

    /// Longest chain worth following. As long as prefetches arrive before the next request, none is: what comes after
    /// that can be issued then. Nor is one where what comes after the delay has been learnt.
    fn depth(&self, context: &Context) -> u8 {
        if self.timing.is_felt() && !self.analyzer.knows_far(context) { self.config.max_depth } else { 1 }
    }

    /// The present, as the one who holds the cache sees it that a stream's keys go to.
    fn moment(&self, requests_of_stream: u32) -> LogicalTime {
        let of_all = self.budget.requests();
        let seq = if self.config.private_caches { u64::from(requests_of_stream) } else { of_all };
        LogicalTime { seq, of_all }
    }

    fn holder(&self, stream: &str) -> Holder {
        Holder(self.config.private_caches.then(|| self.stream_id(stream)))
    }

    fn stream_id(&self, stream: &str) -> u64 {
        let acting_for = self.acting_for.filter(|_| stream.is_empty());
        acting_for.unwrap_or_else(|| self.analyzer.stream_id(stream))
    }

    /// A key in the cache of a stream, and the present by the clock of who holds that.
    fn held(&self, stream: &str, id: KeyId) -> (KeyId, u64) {
        let holder = self.holder(stream);
        let requests = holder.0.map_or(0, |stream| self.analyzer.requests(stream));
        (holder.of(id), self.moment(requests).seq)
    }

    fn budget_left(&self) -> f64 {
        self.left_of_stream
            .unwrap_or_else(|| self.budget.left(self.ledger.outcomes().spent(), self.ledger.outstanding()))
    }

    fn can_spend(&self) -> bool {
        self.config.enabled && !self.budget.is_off() && self.budget_left() >= 1.0
    }

    fn is_missing(&self, now: Millis, id: KeyId) -> bool {
        self.missing.peek(&id).is_some_and(|&until| now < until)
    }

    fn log_failure(&mut self, now: Millis, key: &CompositeKey, confidence: f32, expert: Expert, reason: FailureReason) {
        match reason {
            FailureReason::BelowThreshold => self.not_fetched.below_threshold += 1,
            FailureReason::Budget => self.not_fetched.budget += 1,
            _ => {}
        }
        if !self.failures.wants(reason) {
            return;
        }
        let threshold = self.budget.threshold();
        self.failures.push(Failure { key: key.clone(), confidence, threshold, expert, reason, at: now });
    }

    /// A prefetch's answer has arrived, to be told before its outcome; of a prefetch for `stream`, which matters with private
    /// caches only. Without an open prefetch for `key` nothing happens.
    pub fn handle_arrival(&mut self, stream: &str, key: &CompositeKey) {
        let (held, seq) = self.held(stream, self.analyzer.id(key));
        if let Some(issued) = self.ledger.land(seq, held) {
            self.timing.landed(issued, self.budget.requests());
        }
    }

    /// The outcome of a prefetch, to be told exactly once. Without an open prefetch for `key` nothing happens.
    pub fn handle_outcome(&mut self, now: Millis, key: &CompositeKey, outcome: PrefetchOutcome) {
        self.handle_outcome_of("", now, key, outcome);
    }

    /// As [`PrefetchEngine::handle_outcome`], of a prefetch for `stream`; which one matters with private caches only.
    pub fn handle_outcome_of(&mut self, stream: &str, now: Millis, key: &CompositeKey, outcome: PrefetchOutcome) {
        let id = self.analyzer.id(key);
        let (held, seq) = self.held(stream, id);
        let Some(prefetch) = self.ledger.close(seq, held, outcome) else { return };
        let reason = match outcome {
            PrefetchOutcome::Used | PrefetchOutcome::Refunded => None,
            PrefetchOutcome::Late | PrefetchOutcome::Overtaken => Some(FailureReason::Late),
            PrefetchOutcome::Outdated => Some(FailureReason::Outdated),
            PrefetchOutcome::Wasted => Some(FailureReason::Unused),
            PrefetchOutcome::Harmful => Some(FailureReason::Harmful),
            PrefetchOutcome::Missing => Some(FailureReason::Missing),
            PrefetchOutcome::Failed => Some(FailureReason::Failed),
        };
        let predicted = prefetch.expert != Expert::Hint;
        match outcome {
            PrefetchOutcome::Used | PrefetchOutcome::Late => {
                self.budget.not_wasted();
                if predicted {
                    self.confidence.used(&prefetch.worth);
                }
                self.overtakes &= outcome != PrefetchOutcome::Late;
            }
            PrefetchOutcome::Refunded => self.budget.unissued(prefetch.worth.probability),
            PrefetchOutcome::Overtaken => self.overtakes = true,
            PrefetchOutcome::Outdated => self.outdated = Some(id),
            PrefetchOutcome::Wasted | PrefetchOutcome::Harmful | PrefetchOutcome::Missing | PrefetchOutcome::Failed => {
            }
        }
        if predicted
            && matches!(outcome, PrefetchOutcome::Refunded | PrefetchOutcome::Missing | PrefetchOutcome::Failed)
        {
            self.confidence.unissued(&prefetch.worth);
        }
        if matches!(outcome, PrefetchOutcome::Late | PrefetchOutcome::Overtaken) && prefetch.landed.is_none() {
            self.timing.late(prefetch.issued.of_all, self.budget.requests());
        }
        if outcome == PrefetchOutcome::Missing {
            self.missing.put(id, now + MISSING_FOR);
        }
        if let Some(stay) = self.ledger.stay() {
            self.confidence.set_stay(stay, self.timing.delay());
        }
        if let Some(reason) = reason {
            self.log_failure(now, key, prefetch.worth.probability, prefetch.expert, reason);
        }
    }

    /// Limit of prefetching at the moment.
    pub fn caution(&self) -> Caution {
        self.budget.caution()
    }

    /// Sets how far prefetching may go from now on.
    pub fn set_caution(&mut self, caution: Caution) {
        self.budget.set_caution(caution);
    }
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
