//! Sessions that go on elsewhere, states that are kept, and cores that are rebuilt.

use super::client::adapter;
use super::judge::{Session, Verdict};
use super::mutant::Mutant;
use super::step::Legacy;
use super::truth::Truth;
use super::world::World;

/// Bytes of a state, more than there are.
const STATE_BYTES: usize = 1 << 20;

impl World {
    /// The session of `from` goes on at the other client.
    pub(crate) fn bookmark(&mut self, truth: &Truth, from: usize) -> Verdict {
        let to = 1 - from;
        self.tick(truth, to)?;
        let mut bookmark = self.clients[from].adapter.bookmark();
        if self.mutant == Some(Mutant::BookmarkEmpty) {
            bookmark = adapter(truth.shape, 0).bookmark();
        }
        let session = self.clients[from].judge.session.clone();
        let other = &mut self.clients[to];
        let opened = other.adapter.open_bookmark(other.now, &bookmark);
        opened.unwrap_or_else(|error| panic!("a bookmark that was just made: {error}"));
        other.judge.session.join(&session);
        other.judge.brought.clear();
        self.tally.note("bookmark");
        self.drain(truth, to, None)
    }

    pub(crate) fn export(&mut self, client: usize) {
        let this = &mut self.clients[client];
        this.kept = Some((this.adapter.state(STATE_BYTES), this.judge.session.clone()));
    }

    /// A client takes over what was kept while it runs.
    pub(crate) fn import(&mut self, truth: &Truth, client: usize) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let Some((state, session)) = this.kept.clone() else { return Ok(()) };
        let imported = this.adapter.import_state(this.now, &state);
        let count = imported.unwrap_or_else(|error| panic!("a state that was exported: {error}"));
        // One of another store is not taken over.
        if this.judge.session.store.is_none() || this.judge.session.store == session.store {
            this.judge.session.join(&session);
        }
        this.judge.brought.clear();
        self.tally.note(if count > 0 { "state with entries" } else { "state" });
        self.drain(truth, client, None)
    }

    /// A client gets a new core.
    pub(crate) fn rebuild(&mut self, truth: &Truth, client: usize, legacy: Legacy) -> Verdict {
        self.tick(truth, client)?;
        let this = &mut self.clients[client];
        let session = this.judge.session.clone();
        let (floors, bookmark): (Vec<_>, _) = (this.adapter.session_token().collect(), this.adapter.bookmark());
        let state = this.adapter.state(STATE_BYTES);
        let kept = this.kept.clone();
        match (legacy, kept) {
            (Legacy::Nothing, _) | (Legacy::OldState, None) => this.rebuild(truth, Session::default()),
            (Legacy::OldState, Some((_, session))) => this.rebuild(truth, session),
            _ => this.rebuild(truth, session),
        }
        let now = this.now;
        match legacy {
            _ if self.mutant == Some(Mutant::FloorsForgotten) => {}
            Legacy::Floors | Legacy::Bookmark => {
                _ = this.adapter.open_bookmark(now, &bookmark);
                // Floors alone do not say of which store they are, so they come after what does.
                let floors = floors.into_iter().filter(|_| legacy == Legacy::Floors);
                floors.for_each(|floor| this.adapter.raise_session_token(floor));
            }
            Legacy::State => _ = this.adapter.import_state(now, &state),
            Legacy::OldState => {
                if let Some((state, _)) = &this.kept {
                    _ = this.adapter.import_state(now, state);
                }
            }
            Legacy::Nothing => {}
        }
        let held = this.adapter.stats(now).cache.entries > 0;
        self.tally.note(if held { "core rebuilt with entries" } else { "core rebuilt" });
        self.end_relay(truth, client)?;
        self.drain(truth, client, None)
    }
}
