//! Predictors that know the future: bounds.

use crate::trace::Trace;

use super::id::Id;
use crate::rules::{Observed, Predictor};

/// Requests that an oracle may foresee.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sight {
    /// Any request.
    Any,
    /// Requests for keys that somebody asked for before.
    Known,
    /// The requests marked, by their number: what the rules of a synthetic workload determine.
    Marked(Vec<bool>),
}

/// Prefetches the true next keys of the same client, over LRU.
pub(crate) struct Oracle<'a> {
    trace: &'a Trace,
    ahead: usize,
    sight: Sight,
    /// For each request, the next one of the same client; `usize::MAX` for none.
    next: Vec<usize>,
    known: Vec<bool>,
}

impl<'a> Oracle<'a> {
    pub(crate) fn new(trace: &'a Trace, ahead: usize, sight: Sight) -> Self {
        let mut following = vec![usize::MAX; trace.clients.len()];
        let mut next = vec![usize::MAX; trace.requests.len()];
        for (at, request) in trace.requests.iter().enumerate().rev() {
            next[at] = std::mem::replace(&mut following[request.client as usize], at);
        }
        Self { trace, ahead, sight, next, known: vec![false; trace.keys.len()] }
    }

    fn sees(&self, at: usize, key: Id) -> bool {
        match &self.sight {
            Sight::Any => true,
            Sight::Known => self.known[key as usize],
            Sight::Marked(marked) => marked.get(at).copied().unwrap_or(false),
        }
    }
}

impl Predictor<Id> for Oracle<'_> {
    const PREDICTS: bool = false;

    fn observe(&mut self, observed: &Observed<'_, Id>, _: &mut dyn FnMut(&Id) -> bool, orders: &mut Vec<Id>) {
        self.known[*observed.key as usize] = true;
        let mut at = observed.at;
        for _ in 0..self.ahead {
            at = self.next[at];
            let Some(request) = self.trace.requests.get(at) else { break };
            if self.sees(at, request.key) {
                orders.push(request.key);
            }
        }
        // The soonest lands last, and so stays longest.
        orders.reverse();
    }
}
