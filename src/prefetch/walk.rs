//! The walk over likely continuations, best first.

use std::collections::BinaryHeap;

use crate::analyzer::{Analyzer, Context, Expert, KeyId, Proposals};
use crate::confidence::{ConfidenceMap, PredictionStep, Score};
use crate::key::CompositeKey;

/// Most contexts looked up per walk.
const MAX_EXPANSIONS: usize = 32;
/// Most keys a walk comes to.
const MAX_VISITS: usize = 96;
/// Most continuations waiting in a walk.
const MAX_FRONTIER: usize = 256;
/// A continuation this much below the threshold is not even scored, unless it is direct.
const SHADOW_MARGIN: f32 = 0.75;

/// A key on a path from the present.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathNode {
    pub(super) id: KeyId,
    /// The key before it on the path.
    pub(super) after: KeyId,
    /// Probability that it is asked for soon, and not before a prefetch made now arrives.
    pub(super) confidence: f32,
    pub(super) expert: Expert,
    pub(super) depth: u8,
    path: f32,
    /// Its score among those of the walk, if it is direct.
    score: u16,
    /// The context before it.
    context: u16,
    text: (u32, u32),
}

/// Place that a path has come to.
#[derive(Debug, Clone, Copy)]
struct WalkPosition {
    path: f32,
    confidence: f32,
    depth: u8,
}

/// A node's place in the frontier: its confidence and nearness, then the complement of its id, so that a walk is
/// reproducible, and where it is.
type FrontierRank = (u64, u64);

fn place(node: &PathNode, at: usize) -> FrontierRank {
    // The bits of floats that are not negative are ordered as the floats.
    let confidence = u64::from(node.confidence.max(0.0).to_bits());
    (confidence << 8 | u64::from(!node.depth), !node.id.bits() << 16 | at as u64)
}

/// Best-first search; its buffers are kept from walk to walk.
#[derive(Debug, Default)]
pub(super) struct Walk {
    frontier: BinaryHeap<FrontierRank>,
    nodes: Vec<PathNode>,
    seen: Vec<KeyId>,
    proposals: Proposals,
    scores: Vec<Score>,
    contexts: Vec<Context>,
    last: Vec<u8>,
    text: String,
    buffer: Vec<u8>,
    /// Keys made lately, each where the low bits of its id say: the same few are likely again and again, and to make
    /// one of them costs an allocation.
    made: Vec<Option<(KeyId, CompositeKey)>>,
    /// The latest key that is too long to be one of those.
    long: Option<CompositeKey>,
}

impl Walk {
    /// Bytes that the buffers take at most: frontier, keys seen, contexts, and the texts that templates made.
    pub(super) const BYTES: usize = MAX_FRONTIER * size_of::<FrontierRank>()
        + MAX_EXPANSIONS * 8 * size_of::<PathNode>()
        + Proposals::BYTES
        + MAX_VISITS * size_of::<KeyId>()
        + MAX_EXPANSIONS * (size_of::<Context>() + 2_048)
        + Self::MADE * (size_of::<Option<(KeyId, CompositeKey)>>() + Self::MAX_MADE + 32)
        + 16_384;
    /// Keys remembered, and longest one that is.
    const MADE: usize = 256;
    const MAX_MADE: usize = 96;
    /// Bytes of texts after which no context is looked up any more.
    const MAX_TEXTS: usize = 4_096;

    /// Starts from where a stream is; `last` is the text of its last key.
    pub(super) fn start(&mut self, analyzer: &Analyzer, map: &ConfidenceMap, context: &Context, last: &[u8]) {
        self.frontier.clear();
        self.nodes.clear();
        self.seen.clear();
        self.proposals.clear();
        self.scores.clear();
        self.contexts.clear();
        self.seen.extend(context.last);
        self.last.clear();
        self.last.extend_from_slice(last);
        self.expand(analyzer, map, *context, WalkPosition { path: 1.0, confidence: 1.0, depth: 0 }, 0.0);
    }

    /// The most likely continuation that was not seen yet, each key once.
    pub(super) fn next(&mut self) -> Option<PathNode> {
        while self.seen.len() <= MAX_VISITS {
            let (_, place) = self.frontier.pop()?;
            let node = self.nodes.get(usize::from(place as u16))?;
            if !self.seen.contains(&node.id) {
                self.seen.push(node.id);
                return Some(*node);
            }
        }
        None
    }

    /// The key of a node; `None` if its text was dropped.
    pub(super) fn key(&mut self, analyzer: &Analyzer, node: &PathNode) -> Option<&CompositeKey> {
        self.made.resize(Self::MADE, None);
        let at = node.id.bits() as usize % Self::MADE;
        if self.made[at].as_ref().is_none_or(|(id, _)| *id != node.id) {
            let made = self.proposals.text(node.text);
            let text = if made.is_empty() { analyzer.text(node.id, &mut self.buffer)? } else { made };
            let key = CompositeKey::from_known(text, &mut self.text)?;
            if text.len() > Self::MAX_MADE {
                return Some(self.long.insert(key));
            }
            self.made[at] = Some((node.id, key));
        }
        self.made[at].as_ref().map(|(_, key)| key)
    }

    /// Origin of a node.
    pub(super) fn step(&self, node: &PathNode) -> PredictionStep {
        match self.scores.get(usize::from(node.score)) {
            Some(score) if node.depth == 1 => PredictionStep::Direct(*score),
            _ => PredictionStep::Chained { path: node.path, depth: node.depth },
        }
    }

    /// Goes on from a node under the assumption that it comes true; continuations far below `threshold` are left out.
    pub(super) fn go_on(&mut self, analyzer: &Analyzer, map: &ConfidenceMap, node: &PathNode, threshold: f32) {
        let made = self.proposals.text(node.text);
        let Some(text) = (if made.is_empty() { analyzer.text(node.id, &mut self.buffer) } else { Some(made) }) else {
            return;
        };
        self.last.clear();
        self.last.extend_from_slice(text);
        let Some(before) = self.contexts.get(usize::from(node.context)) else { return };
        let context = analyzer.then(before, node.id, &self.last);
        let reached = WalkPosition { path: node.path, confidence: node.confidence, depth: node.depth };
        self.expand(analyzer, map, context, reached, threshold * SHADOW_MARGIN);
    }

    fn expand(
        &mut self,
        analyzer: &Analyzer,
        map: &ConfidenceMap,
        context: Context,
        reached: WalkPosition,
        lowest: f32,
    ) {
        let Some(after) = context.last else { return };
        if self.contexts.len() >= MAX_EXPANSIONS || self.proposals.texts_len() > Self::MAX_TEXTS {
            return;
        }
        let at = self.contexts.len() as u16;
        self.contexts.push(context);
        analyzer.predict(&context, &self.last, &mut self.proposals);
        let depth = reached.depth + 1;
        for candidate in &self.proposals.candidates {
            if self.frontier.len() >= MAX_FRONTIER || self.seen.contains(&candidate.id) {
                continue;
            }
            let score = map.score(&candidate.evidence);
            let path = reached.path * score.probability;
            // Calibration must not make a path likelier than its beginning.
            let confidence =
                if depth == 1 { score.probability } else { map.chain(path, depth).min(reached.confidence) };
            if confidence >= lowest {
                let score_at = self.scores.len() as u16;
                if depth == 1 {
                    self.scores.push(score);
                }
                let node = PathNode {
                    id: candidate.id,
                    after,
                    confidence,
                    expert: candidate.expert,
                    depth,
                    path,
                    score: score_at,
                    context: at,
                    text: candidate.text(),
                };
                self.frontier.push(place(&node, self.nodes.len()));
                self.nodes.push(node);
            }
        }
    }
}
