//! [`Analyzer`]: observes accesses, proposes successors.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::classes::{Classes, Shape};
use super::components::Parts;
use super::context::{Context, context_hash, pair, step_hash};
use super::evidence::{Candidate, Evidence, Expert, Grade, Proposals, Visits};
use super::history::{History, Reached};
use super::keys::KeyId;
use super::prior::Prior;
use super::streams::{STREAM_BYTES, Streams};
use super::table::{KEY_WINDOW, PredictionTable, SHAPE_WINDOW};
use super::template::{LastRead, apply, derive};
use super::texts::TextStore;
use super::{Access, AccessCounts, AnalyzerConfig, AnalyzerStats};
use crate::key::{CompositeKey, MAX_KEY_BYTES};
use crate::protocol::ModelSnapshot;

/// State of a stream after an access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRef {
    /// The key just observed.
    pub id: KeyId,
    /// Its stream's context.
    pub context: Context,
    /// Requests of the stream so far.
    pub requests: u32,
}

/// Learns which key follows which. See the [module](super) for the method.
#[derive(Debug)]
pub struct Analyzer {
    seed: u64,
    frozen: bool,
    table: PredictionTable,
    keys: TextStore,
    templates: TextStore,
    classes: Classes,
    /// The model that others learned.
    prior: Arc<Prior>,
    prior_max: usize,
    streams: Streams,
    history: History,
    /// Requests that an order takes to arrive, plus one.
    horizon: u32,
    accesses: AccessCounts,
    /// Requests observed, which is the clock of ages.
    now: u32,
    /// The template just derived; a buffer.
    template: Vec<u8>,
    /// The text of a stream's last key; a buffer.
    last: Vec<u8>,
}

/// Most bytes of a template.
pub(super) const MAX_TEMPLATE: usize = ModelSnapshot::MAX_TEMPLATE_BYTES;
/// Bytes that the buffers of texts take at most: they grow by doubling.
const BUFFERS: usize = 2 * MAX_TEMPLATE + 6 * MAX_KEY_BYTES;

impl Analyzer {
    /// An empty analyzer within the bounds of `config`: of the memory that no shared model takes, seven sixteenths for
    /// contexts, at most a sixteenth for streams, a 32nd for templates, at most a 64th for the history, the rest for the
    /// dictionary.
    pub fn new(config: AnalyzerConfig) -> Self {
        let prior_max = config.prior_bytes.min(config.memory_bytes / 2);
        let memory = (config.memory_bytes - prior_max).max(AnalyzerConfig::MIN_MEMORY);
        let table = PredictionTable::new(memory / 16 * 7);
        let streams = Streams::new(config.max_streams.min(memory / 16 / STREAM_BYTES));
        let (templates, classes) = (TextStore::new(memory / 32, config.seed), Classes::new());
        let history = History::new(memory / 64);
        let others =
            table.bytes() + streams.capacity() * STREAM_BYTES + templates.bytes() + classes.bytes() + history.bytes();
        let keys = TextStore::new(memory - others - BUFFERS, config.seed);
        Self {
            seed: config.seed,
            frozen: config.frozen,
            table,
            keys,
            templates,
            classes,
            prior: Arc::default(),
            prior_max,
            streams,
            history,
            horizon: 1,
            accesses: AccessCounts::default(),
            now: 0,
            template: Vec::new(),
            last: Vec::new(),
        }
    }

    /// The id of a key.
    pub fn id(&self, key: &CompositeKey) -> KeyId {
        KeyId::of(self.seed, key)
    }

    /// The canonical text of an id, unless it was not asked for so long that it was dropped.
    /// It is in `buffer` if it is not kept as it is.
    pub fn text<'a>(&'a self, id: KeyId, buffer: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        self.keys.text(id, buffer).or_else(|| self.prior.text(id))
    }

    /// Takes over what others learned, in place of what it took over before. What was learnt here stays, and is added to it
    /// where something is predicted. What no memory was set aside for is left out. O(bytes).
    pub fn import(&mut self, snapshot: &ModelSnapshot) {
        self.share(Arc::new(Prior::new(self.seed, self.prior_max, snapshot)));
    }

    /// As [`Analyzer::import`], of tables that several analyzers of one seed share. O(1).
    pub fn share(&mut self, prior: Arc<Prior>) {
        self.classes.give(prior.places());
        self.prior = prior;
    }

    /// The id of a stream.
    pub(crate) fn stream_id(&self, stream: &str) -> u64 {
        xxh3_64_with_seed(stream.as_bytes(), self.seed)
    }

    /// Learns from one demand request. O(1): at most nine contexts change.
    ///
    /// An order made with an earlier request would have arrived by now if that is `horizon` requests or more ago (1:
    /// orders arrive before the next request). A key asked twice in a row changes nothing: it is cached, and would
    /// hide what follows it.
    pub fn observe(&mut self, stream: &str, key: &CompositeKey, access: Access, horizon: u32) -> StreamRef {
        let id = self.id(key);
        let text = key.as_str().as_bytes();
        let stream = self.stream_id(stream);
        *self.accesses.of(access) += 1;
        self.now = self.now.wrapping_add(1);
        self.horizon = horizon;
        let mut state = self.streams.get(stream).copied().unwrap_or_default();
        state.requests = state.requests.wrapping_add(1);
        if state.context.last != Some(id) {
            state.context = if self.frozen {
                self.then(&state.context, id, text)
            } else {
                let parts = Parts::new(text);
                let shape = self.classes.observe(&parts);
                let step = self.learn(&state.context, id, &parts, &shape);
                self.learn_far(state.last_seq, id, &parts, &shape);
                self.history.push(self.now, id, shape.hash, state.last_seq);
                state.last_seq = Some(self.now);
                state.context.then(id, &shape, step)
            };
        }
        self.keys.touch(id, text, self.now);
        self.streams.put(stream, state);
        StreamRef { id, context: state.context, requests: state.requests }
    }

    /// Returns the hash of the template that explains the step, or of none, with the shape it led to; 0 without a last key.
    fn learn(&mut self, state: &Context, id: KeyId, next: &Parts<'_>, shape: &Shape) -> u64 {
        let mut ambiguous = true;
        if let Some(line) = state.line(Expert::Order1) {
            ambiguous = self.table.learn(line, id, true, KEY_WINDOW);
        }
        if let Some(line) = state.line(Expert::Order2) {
            self.table.learn(line, id, ambiguous, KEY_WINDOW);
        }
        let Some(made) = state.last.and_then(|last| self.derive(last, next, shape)) else { return 0 };
        for expert in [Expert::Template, Expert::Template2, Expert::Template3] {
            if let Some(line) = state.line(expert) {
                self.table.learn(line, made, true, SHAPE_WINDOW);
            }
        }
        step_hash(shape.hash, made)
    }

    /// Learns what orders made with earlier requests should have been for: those that would have arrived just now. Where
    /// orders arrive before the next request, templates from the last key but one are learnt all the same.
    fn learn_far(&mut self, last_seq: Option<u32>, id: KeyId, next: &Parts<'_>, shape: &Shape) {
        let delayed = self.horizon > 1;
        let least = if delayed { 1 } else { 2 };
        let Some(from) = self.history.reached(last_seq, self.now, self.horizon, least) else { return };
        if delayed && from.id != id {
            let ambiguous = self.table.learn(context_hash(Expert::Far, from.id.bits()), id, true, KEY_WINDOW);
            if let Some(before) = from.before {
                self.table.learn(context_hash(Expert::Far2, pair(before, from.id)), id, ambiguous, KEY_WINDOW);
            }
        }
        self.learn_far_template(from, id, next, shape);
        if delayed && let Some(from) = self.history.reached(last_seq, self.now, self.horizon, from.lag + 1) {
            // Once more for those a request earlier: delays vary.
            self.learn_far_template(from, id, next, shape);
        }
    }

    fn learn_far_template(&mut self, from: Reached, id: KeyId, next: &Parts<'_>, shape: &Shape) {
        if from.id == id {
            return;
        }
        let Some(made) = self.derive(from.id, next, shape) else { return };
        self.table.learn(context_hash(Expert::FarTemplate, from.shape), made, true, SHAPE_WINDOW);
    }

    /// The id of the template that leads from `last` to `next`, remembered, or of none; `None` if the text of `last`
    /// is not known any more.
    fn derive(&mut self, last: KeyId, next: &Parts<'_>, shape: &Shape) -> Option<KeyId> {
        let last = self.keys.probable_text(last, &mut self.last)?;
        let mut made = KeyId::NONE;
        if derive(&Parts::new(last), next, shape, &mut self.template) && self.template.len() <= MAX_TEMPLATE {
            made = KeyId::of_bytes(self.seed, &self.template);
            self.templates.touch(made, &self.template, self.now);
        }
        Some(made)
    }

    /// The context after `next`, whose text is `text`, followed `context`.
    pub fn then(&self, context: &Context, next: KeyId, text: &[u8]) -> Context {
        let parts = Parts::new(text);
        let shape = self.classes.shape(&parts);
        let mut by = 0;
        let (mut template, mut buffer) = (Vec::new(), Vec::new());
        if let Some(last) = context.last.and_then(|last| self.text(last, &mut buffer))
            && derive(&Parts::new(last), &parts, &shape, &mut template)
        {
            by = step_hash(shape.hash, KeyId::of_bytes(self.seed, &template));
        }
        context.then(next, &shape, by)
    }

    /// The context that consists of one key alone.
    pub fn context_of(&self, key: &CompositeKey) -> Context {
        Context::of(self.id(key), self.classes.shape(&Parts::new(key.as_str().as_bytes())).hash)
    }

    /// The known successors of a context, the likeliest few of them, each key once, in an order that depends on
    /// the observations alone; `last` is the text of the context's last key. Texts proposed before stay. O(1).
    pub fn predict(&self, context: &Context, last: &[u8], out: &mut Proposals) {
        out.begin();
        let parts = Parts::new(last);
        let mut read = LastRead::default();
        let mut unlisted = [Grade::SILENT; Expert::COUNT];
        for expert in Expert::ALL {
            if self.horizon <= 1 && matches!(expert, Expert::Far | Expert::Far2) {
                continue;
            }
            let known = context.line(expert).and_then(|line| self.prior.mix(line, self.table.get(line)));
            let Some(successors) = known else { continue };
            unlisted[expert as usize] = Grade::UNLISTED;
            let visits = Visits::of(successors.total);
            for (next, count, latest) in successors.iter() {
                let rank = visits.rank(count);
                let (mut id, mut text) = (next, (0, 0));
                if expert.is_template() {
                    // Most of the work, and in vain where enough is known that is likelier.
                    if out.is_vain(rank) {
                        continue;
                    }
                    let Some(made) = self.make(next, &parts, &mut read, out) else { continue };
                    (id, text) = made;
                }
                if Some(id) != context.last {
                    out.propose(id, expert, rank, visits.grade(count, latest), text);
                }
            }
        }
        out.choose(&unlisted);
        for Candidate { id, evidence, .. } in &mut out.candidates {
            evidence.popularity = self.prior.popularity(*id).map_or(0, Evidence::popularity_elsewhere);
        }
        if self.frozen {
            // Somebody new knows nothing of any key.
            return;
        }
        let predicts = context.last.and_then(|last| self.keys.known(last)).map_or(0, |k| Evidence::record(k.predicts));
        for Candidate { id, evidence, .. } in &mut out.candidates {
            let key = self.keys.known(*id);
            // What many know of a key outweighs what one does.
            if evidence.popularity == 0 {
                evidence.popularity = Evidence::popularity(key, self.now);
            }
            evidence.predicted = key.map_or(0, |key| Evidence::record(key.predicted));
            evidence.predicts = predicts;
        }
    }

    /// The key that a template makes of the last one, and where its text is. Experts mostly name the same templates, so
    /// each is applied once.
    fn make(
        &self,
        template: KeyId,
        last: &Parts<'_>,
        read: &mut LastRead,
        out: &mut Proposals,
    ) -> Option<(KeyId, (u32, u32))> {
        if let Some((_, made)) = out.made.iter().find(|(known, _)| *known == template) {
            return *made;
        }
        let start = out.texts.len();
        let text = self.templates.probable_text(template, &mut out.template).or_else(|| self.prior.text(template));
        let made = text.filter(|text| apply(text, last, read, &mut out.texts)).map(|_| {
            let text = (start as u32, out.texts.len() as u32);
            (KeyId::of_bytes(self.seed, &out.texts[start..]), text)
        });
        out.made.push((template, made));
        made
    }

    /// Tells whether it has been learnt what to order in a context for the time after the delay of orders.
    pub fn knows_far(&self, context: &Context) -> bool {
        context.line(Expert::Far).is_some_and(|line| self.table.get(line).is_some())
    }

    /// A prediction of `id` was made after `context`; it counts as failed until [`Analyzer::came_true`].
    pub fn predicted(&mut self, id: KeyId, context: KeyId) {
        self.keys.book(id, context);
    }

    /// A prediction reported before came true.
    pub fn came_true(&mut self, id: KeyId, context: KeyId) {
        self.keys.pay_back(id, context);
    }

    /// Requests so far of the stream of an id.
    pub(crate) fn requests(&self, stream: u64) -> u32 {
        self.streams.get(stream).map_or(0, |stream| stream.requests)
    }

    /// The present context of a stream.
    pub fn context(&self, stream: &str) -> Option<Context> {
        self.streams.get(self.stream_id(stream)).map(|stream| stream.context)
    }

    /// Requests of a stream so far; `None` where it is not known.
    pub fn requests_of(&self, stream: &str) -> Option<u32> {
        self.streams.get(self.stream_id(stream)).map(|stream| stream.requests)
    }

    /// Fill and bounds.
    pub fn stats(&self) -> AnalyzerStats {
        let tables = self.table.bytes()
            + self.keys.bytes()
            + self.templates.bytes()
            + self.classes.bytes()
            + self.history.bytes();
        AnalyzerStats {
            accesses: self.accesses,
            lines: self.table.used(),
            lines_max: self.table.capacity(),
            lines_replaced: self.table.replaced(),
            keys: self.keys.len(),
            key_bytes: self.keys.used_bytes(),
            key_bytes_max: self.keys.bound(),
            keys_evicted: self.keys.evicted(),
            templates: self.templates.len(),
            template_bytes: self.templates.used_bytes(),
            template_bytes_max: self.templates.bound(),
            streams: self.streams.len(),
            streams_max: self.streams.capacity(),
            streams_evicted: self.streams.evicted(),
            prior_lines: self.prior.lines(),
            prior_bytes: self.prior.size(),
            prior_bytes_max: self.prior_max,
            memory_bytes: self.prior.size() + tables + self.streams.len() * STREAM_BYTES + BUFFERS,
        }
    }
}

#[cfg(test)]
#[path = "analyzer_tests.rs"]
mod tests;
