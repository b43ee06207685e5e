//! The walk over likely continuations, best first.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use crate::analyzer::{Analyzer, Candidate, Context, Expert, KeyId};
use crate::confidence::{ConfidenceMap, Step};

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
pub(super) struct Node {
    pub(super) id: KeyId,
    pub(super) confidence: f32,
    pub(super) step: Step,
    pub(super) expert: Expert,
    pub(super) depth: u8,
    path: f32,
    context: Context,
}

/// Where a path has come to.
#[derive(Debug, Clone, Copy)]
struct Reached {
    path: f32,
    confidence: f32,
    depth: u8,
}

impl Ord for Node {
    /// By confidence; the nearer, then the smaller id, breaks ties, so that a walk is reproducible.
    fn cmp(&self, other: &Self) -> Ordering {
        let confidence = self.confidence.total_cmp(&other.confidence);
        confidence.then(other.depth.cmp(&self.depth)).then(other.id.cmp(&self.id))
    }
}

// `BinaryHeap` asks for the whole family; only `cmp` decides.
impl PartialOrd for Node {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Node {}

/// Best-first search; its buffers are kept from walk to walk.
#[derive(Debug, Default)]
pub(super) struct Walk {
    frontier: BinaryHeap<Node>,
    seen: Vec<KeyId>,
    candidates: Vec<Candidate>,
    expansions: usize,
}

impl Walk {
    /// Bytes that the buffers take at most.
    pub(super) const BYTES: usize = MAX_FRONTIER * (size_of::<Node>() + size_of::<KeyId>()) + 8_192;

    /// Starts from where a stream is.
    pub(super) fn start(&mut self, analyzer: &Analyzer, map: &ConfidenceMap, context: &Context) {
        self.frontier.clear();
        self.seen.clear();
        self.expansions = 0;
        self.seen.extend(context.last);
        self.expand(analyzer, map, context, Reached { path: 1.0, confidence: 1.0, depth: 0 }, 0.0);
    }

    /// The most likely continuation that was not seen yet, each key once.
    pub(super) fn next(&mut self) -> Option<Node> {
        while self.seen.len() <= MAX_VISITS {
            let node = self.frontier.pop()?;
            if !self.seen.contains(&node.id) {
                self.seen.push(node.id);
                return Some(node);
            }
        }
        None
    }

    /// Goes on from a node under the assumption that it comes true; continuations far below `threshold` are left out.
    pub(super) fn go_on(&mut self, analyzer: &Analyzer, map: &ConfidenceMap, node: &Node, threshold: f32) {
        let reached = Reached { path: node.path, confidence: node.confidence, depth: node.depth };
        self.expand(analyzer, map, &node.context, reached, threshold * SHADOW_MARGIN);
    }

    fn expand(&mut self, analyzer: &Analyzer, map: &ConfidenceMap, context: &Context, reached: Reached, floor: f32) {
        if self.expansions >= MAX_EXPANSIONS {
            return;
        }
        self.expansions += 1;
        self.candidates.clear();
        analyzer.predict(context, &mut self.candidates);
        let depth = reached.depth + 1;
        for candidate in &self.candidates {
            if self.frontier.len() >= MAX_FRONTIER || self.seen.contains(&candidate.id) {
                continue;
            }
            let direct = Step::Direct(candidate.evidence);
            let probability = map.probability(&direct);
            let path = reached.path * probability;
            let (step, confidence) = if depth == 1 {
                (direct, probability)
            } else {
                let chained = Step::Chained { path, depth };
                // Calibration must not make a path likelier than its beginning.
                (chained, map.probability(&chained).min(reached.confidence))
            };
            if confidence >= floor {
                let (expert, context) = (candidate.evidence.expert, context.then(candidate.id));
                self.frontier.push(Node { id: candidate.id, confidence, step, expert, depth, path, context });
            }
        }
    }
}
