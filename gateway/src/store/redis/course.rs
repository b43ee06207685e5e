//! [`Course`]: a request on its way, from server to server while its slot is being moved.
//!
//! While a slot is moved key by key, its master answers for the keys that are still there, and redirects for those that
//! have left or never were (`ASK`). Only a command that was redirected so is sent to the importing master: of a key that
//! has not arrived, that one would say that it does not exist, and let it be written. What names several keys is answered
//! only where all of them are at one place and exist (`TRYAGAIN`), which often is not before the slot has arrived.
//!
//! The commands of a request are executed in their order, wherever they are: what a later one tells is never older than
//! what an earlier one told.

use std::sync::Arc;

use ::redis::{Cmd, Value};

use super::keys::KeyPlace;
use super::master::RequestKind;
use super::master_queue::SlotResult;
use super::options::Address;
use super::reply::Fault;

/// Times that a newer topology is waited for. The first may have been of just before the slot had its new master. `MOVED` is
/// not followed by itself: only the topology tells which slots were torn.
const MAX_RENEWED: u8 = 3;

/// A request in one slot.
#[derive(Clone)]
pub(super) struct PlacedRequest {
    pub(super) place: KeyPlace,
    pub(super) commands: Arc<[Cmd]>,
}

impl PlacedRequest {
    pub(super) fn new(place: KeyPlace, commands: impl Into<Arc<[Cmd]>>) -> Self {
        Self { place, commands: commands.into() }
    }
}

/// Destination of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    /// The master that the topology tells.
    Owner,
    /// Another one, that imports the slot: with so many commands that it alone can answer.
    Importer { address: Address, commands: usize },
}

/// Step that has to be done before a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// It has ended.
    End,
    /// Nothing.
    Send,
    /// Waiting, as keys are on their way.
    Pause,
    /// A newer topology.
    Renew,
    /// The functions, at the server that lacks them.
    Load,
}

/// A request under way.
pub(super) struct Course {
    pub(super) item: PlacedRequest,
    pub(super) to: To,
    /// Answers that count, of the first commands.
    answered: Vec<Value>,
    /// True once it was tried again for what may happen once.
    is_second: bool,
    renewed: u8,
    outcome: SlotResult,
}

impl Course {
    pub(super) fn new(item: PlacedRequest) -> Self {
        let outcome = Err(Fault::Uncounted("the request was lost".into()));
        Self { item, to: To::Owner, answered: Vec::new(), is_second: false, renewed: 0, outcome }
    }

    /// Commands to be sent now.
    pub(super) fn commands(&self) -> Arc<[Cmd]> {
        let left = &self.item.commands[self.answered.len()..];
        match self.to {
            To::Importer { commands, .. } => left[..commands.min(left.len())].into(),
            To::Owner if self.answered.is_empty() => self.item.commands.clone(),
            To::Owner => left.into(),
        }
    }

    /// Tells whether the server that it is sent to only imports the slot.
    pub(super) fn is_asking(&self) -> bool {
        matches!(self.to, To::Importer { .. })
    }

    /// Takes what became of it. What certainly was not executed is sent again; so is a read whose connection broke.
    pub(super) fn take(&mut self, outcome: SlotResult, kind: RequestKind) -> Next {
        let to = std::mem::replace(&mut self.to, To::Owner);
        let fault = match outcome {
            Ok(values) => return self.count(values),
            Err(fault) => fault,
        };
        let first = !std::mem::replace(&mut self.is_second, true);
        let next = match &fault {
            Fault::Moving(_) | Fault::Asked { .. } => {
                self.is_second = !first;
                Next::Pause
            }
            Fault::Elsewhere(_) if self.renewed < MAX_RENEWED => {
                self.is_second = !first;
                self.renewed += 1;
                Next::Renew
            }
            Fault::NoFunctions if first => {
                self.to = to;
                Next::Load
            }
            Fault::Dropped(_) if first && kind != RequestKind::Write => Next::Send,
            _ => Next::End,
        };
        self.outcome = Err(fault);
        next
    }

    /// Keeps the answers up to the first redirection; where that leads, the commands that were redirected alike go.
    fn count(&mut self, values: Vec<Value>) -> Next {
        let asked = |value: &Value| match Fault::among(std::slice::from_ref(value)) {
            Some(Fault::Asked { to, why }) => Some((to, why)),
            _ => None,
        };
        let at = values.iter().position(|value| asked(value).is_some()).unwrap_or(values.len());
        if let Some((address, why)) = values.get(at).and_then(asked) {
            let alike = |value: &&Value| asked(value).is_some_and(|(to, _)| to == address);
            let count = values[at..].iter().take_while(alike).count();
            self.to = To::Importer { address, commands: count };
            self.outcome = Err(Fault::Moving(why));
        }
        self.answered.extend(values.into_iter().take(at));
        if self.answered.len() < self.item.commands.len() {
            return Next::Send;
        }
        self.outcome = Ok(std::mem::take(&mut self.answered));
        Next::End
    }

    /// Returns what became of it at last.
    pub(super) fn end(self) -> SlotResult {
        self.outcome
    }
}

#[cfg(test)]
#[path = "course_tests.rs"]
mod tests;
