//! [`Scene`]: what tabs, nodes and feeds act on.

use foremap::Millis;
use foremap::adapter::FlightId;

use super::event::Event;
use super::fleet::Fleet;
use super::queue::Queue;
use super::store::Store;
use super::tally::Tally;
use super::visit::Visit;

/// Time, what is under way, the nodes over their store, the visits, and what is counted.
pub(crate) struct Scene {
    pub(crate) now: Millis,
    pub(crate) queue: Queue<Event>,
    pub(crate) store: Store,
    pub(crate) fleet: Fleet,
    /// By number; `None` where a visit is over.
    pub(crate) visits: Vec<Option<Box<Visit>>>,
    pub(crate) tally: Tally,
}

impl Scene {
    /// Schedules an event, so many milliseconds from now.
    pub(crate) fn after(&mut self, ms: Millis, event: Event) {
        self.queue.push(self.now + ms, event);
    }

    /// Tells whether a visit reads this feed.
    pub(crate) fn reads(&self, visit: usize, feed: FlightId) -> bool {
        self.visits[visit].as_ref().is_some_and(|visit| visit.feed == Some(feed))
    }
}
