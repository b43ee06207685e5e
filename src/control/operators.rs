//! Requests of operators, and the leader's record, which has the freeze switch.

use super::OperatorRequestId;
use super::command::{Command, NotDone, OperatorAnswer, StoreChange, StoreFailed, Times};
use super::control::{Control, Phase};
use super::plans::{Ask, Plans};
use super::record::LeaderRecord;
use crate::partition::Epoch;

impl Control {
    /// Takes the outcome of [`Command::ReadRecord`].
    pub fn handle_record(&mut self, times: Times, record: Result<LeaderRecord, StoreFailed>) {
        self.is_recording = false;
        if let (Ok(mut record), Some(term)) = (record, self.term) {
            // It may lead before a map names it.
            if let Some(member) = self.members.first() {
                record.origin = member.origin.clone();
            }
            self.is_recording = true;
            self.commands.push_back(Command::Store { change: StoreChange::Record(record), term });
        }
        self.advance(times);
    }

    pub(super) fn recorded(&mut self, record: &LeaderRecord, stored: Result<bool, StoreFailed>) {
        self.is_recording = false;
        if let Phase::Freezing { id, frozen } = self.phase {
            if stored == Ok(true) {
                self.plans.freeze(frozen);
            }
            match (stored, self.term) {
                // What is proposed may not be wanted any more: taken out, as whoever leads next would finish it.
                (Ok(true), Some(term)) if frozen => {
                    self.commands.push_back(Command::Store { change: StoreChange::Withdraw, term });
                }
                (Ok(true), _) => self.switched(id, OperatorAnswer::Frozen),
                _ => self.switched(id, OperatorAnswer::Refused(NotDone::Store)),
            }
            return;
        }
        if let (Ok(true), Some(term)) = (stored, self.term) {
            self.plans.begin(term, record.frozen);
        }
    }

    pub(super) fn withdrawn(&mut self, stored: Result<bool, StoreFailed>) {
        let Phase::Freezing { id, .. } = self.phase else { return };
        let done = stored == Ok(true);
        if done && !self.config.is_shared {
            self.proposal = None;
        }
        self.switched(id, if done { OperatorAnswer::Frozen } else { OperatorAnswer::Refused(NotDone::Store) });
    }

    fn switched(&mut self, id: OperatorRequestId, answer: OperatorAnswer) {
        (self.phase, self.due) = (Phase::Idle, 0);
        self.commands.push_back(Command::Answer(id, answer));
    }

    pub(super) fn refuse_switches(&mut self) {
        for (id, _) in std::mem::take(&mut self.switches) {
            self.commands.push_back(Command::Answer(id, OperatorAnswer::Refused(NotDone::Elsewhere)));
        }
    }

    /// Asks for what the leader before left, which counts before anything is planned.
    pub(super) fn ask_record(&mut self) {
        if !std::mem::replace(&mut self.is_recording, true) {
            self.commands.push_back(Command::ReadRecord);
        }
    }

    /// Puts what the dry run tells on its way, whatever the mode, also while frozen. Where the caller names the epoch that it
    /// saw, that has to be the map in force. An empty plan does nothing. The answer to `id` comes as a command.
    pub fn handle_apply(&mut self, times: Times, id: OperatorRequestId, seen: Option<Epoch>) {
        self.ask(times, id, Ask::Apply { seen });
    }

    /// Knowledge and plan of the shifter, as a command that answers `id`.
    pub fn handle_status(&mut self, times: Times, id: OperatorRequestId) {
        self.ask(times, id, Ask::Status);
    }

    fn ask(&mut self, times: Times, id: OperatorRequestId, ask: Ask) {
        // It waits for what the leader before left, too.
        let refused = match self.term {
            Some(_) if self.config.plans => self.plans.ask(id, ask).err(),
            _ => Some(NotDone::Elsewhere),
        };
        self.commands.extend(refused.map(|why| Command::Answer(id, OperatorAnswer::Refused(why))));
        self.advance(times);
    }

    /// Turns the freeze switch, for this leader and all after it. The answer to `id` comes as a command, when no plan that
    /// nobody asked for can come in force any more.
    pub fn handle_freeze(&mut self, times: Times, id: OperatorRequestId, frozen: bool) {
        let refused = match self.term {
            None => Some(NotDone::Elsewhere),
            Some(_) if self.switches.len() == Plans::MAX_ASKED => Some(NotDone::Busy),
            Some(_) => None,
        };
        match refused {
            Some(why) => self.commands.push_back(Command::Answer(id, OperatorAnswer::Refused(why))),
            None => self.switches.push_back((id, frozen)),
        }
        self.advance(times);
    }
}
