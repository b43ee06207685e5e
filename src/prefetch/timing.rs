//! Time that prefetches take, counted in requests.

/// Share of the way that the estimate goes back towards a shorter delay with each prefetch that lands; a longer one
/// counts at once. A prefetch too late is lost, one too early is not.
const RECOVERY: f32 = 1.0 / 16.0;
/// Requests with nothing in flight after which the estimate fades, as nothing lands then that could correct it: else the
/// engine might wait for ever for predictions that far ahead. Shorter pauses are usual where few prefetches go out.
const MEMORY: u32 = 1_024;

/// The prefetches that would have arrived by now. They arrive about in the order of issue, so what landed last says it;
/// where none was issued for a while, the delay of those before does.
#[derive(Debug, Clone, Default)]
pub(super) struct Timing {
    /// Latest request one of whose prefetches has arrived.
    landed: u64,
    /// Requests between a prefetch and its arrival.
    delay: f32,
    /// Requests since something was in flight.
    idle: u32,
}

impl Timing {
    /// One more request, while so many prefetches are in flight.
    pub(super) fn on_request(&mut self, in_flight: usize) {
        self.idle = if in_flight == 0 { self.idle.saturating_add(1) } else { 0 };
        if self.idle > MEMORY {
            self.recover(0.0, RECOVERY);
        }
    }

    fn recover(&mut self, delay: f32, part: f32) {
        self.delay += (delay - self.delay) * part;
        if self.delay < 0.01 {
            self.delay = 0.0;
        }
    }

    /// A prefetch made with request `issued` arrives after request `seq`.
    pub(super) fn landed(&mut self, issued: u64, seq: u64) {
        self.landed = self.landed.max(issued);
        let delay = seq.saturating_sub(issued) as f32;
        if delay > self.delay {
            self.delay = delay;
        } else {
            self.recover(delay, RECOVERY);
        }
    }

    /// Its key is asked for before it arrived, by the request after request `seq`.
    pub(super) fn late(&mut self, issued: u64, seq: u64) {
        self.delay = self.delay.max((seq + 1).saturating_sub(issued) as f32);
    }

    /// The latest request whose prefetches have arrived before request `seq`.
    pub(super) fn reached(&self, seq: u64) -> u64 {
        self.landed.max(seq.saturating_sub(1 + self.delay.round() as u64)).min(seq.saturating_sub(1))
    }

    /// Returns whether prefetches arrive after the next request, more often than not.
    pub(super) fn is_felt(&self) -> bool {
        self.delay >= 0.5
    }

    /// Requests between a prefetch and its arrival.
    pub(super) fn delay(&self) -> f32 {
        self.delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_landed_last_says_what_would_have_landed() {
        let mut timing = Timing::default();
        assert_eq!(timing.reached(10), 9, "at once, as long as nothing else is known");
        timing.late(10, 10);
        assert!(timing.is_felt(), "the very next request came before it arrived");
        timing.late(10, 11);
        assert_eq!(timing.reached(13), 10);
        timing.landed(10, 18);
        assert_eq!((timing.reached(19), timing.reached(40)), (10, 31));
        for seq in 40..400 {
            timing.landed(seq, seq);
        }
        assert_eq!(timing.reached(400), 399);
        assert_eq!(timing.delay(), 0.0);
        timing.late(400, 450);
        for _ in 0..2_000 {
            timing.on_request(0);
        }
        assert!(!timing.is_felt(), "nothing in flight tells any more");
    }
}
