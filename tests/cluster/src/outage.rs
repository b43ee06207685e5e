//! Times that calls had to wait.

use foremap_check::Time;

use crate::recorder::{Call, Kind, What};

/// A call that takes longer than this has met an outage.
const SLOW: Time = 1_000_000;
/// Time in which some call of this sort was under way that failed or took longer than a second.
pub(crate) fn unavailable(calls: &[Call], what: What) -> Time {
    let slow = |call: &&Call| call.what == what && (!call.succeeded || call.returned - call.invoked > SLOW);
    let mut spans: Vec<(Time, Time)> = calls.iter().filter(slow).map(|call| (call.invoked, call.returned)).collect();
    spans.sort_unstable();
    let (mut total, mut reached) = (0, 0);
    for (from, to) in spans {
        total += to.saturating_sub(from.max(reached));
        reached = reached.max(to);
    }
    total
}

/// The longest that any bounded read of a client of the package had to wait after a gateway died at `death`: reads that
/// were under way then, and those begun before `until`, answered by a gateway or failed. `None` without such reads.
pub(crate) fn recovery(calls: &[Call], death: Time, until: Time) -> Option<Time> {
    let concerned = |call: &&Call| {
        call.kind == Kind::Sdk && call.what == What::Bounded && call.returned >= death && call.invoked < until
    };
    calls.iter().filter(concerned).map(|call| call.returned - call.invoked.max(death)).max()
}

/// The longest of the calls of this sort begun after `from` and before `until`. `None` without any.
pub(crate) fn longest(calls: &[Call], what: What, from: Time, until: Time) -> Option<Time> {
    let concerned = |call: &&Call| call.what == what && (from..until).contains(&call.invoked);
    calls.iter().filter(concerned).map(|call| call.returned - call.invoked).max()
}

/// The middle one.
pub(crate) fn median(mut figures: Vec<Time>) -> Option<Time> {
    figures.sort_unstable();
    figures.get(figures.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(what: What, invoked: Time, returned: Time, succeeded: bool) -> Call {
        Call { kind: Kind::Sdk, what, invoked, returned, succeeded }
    }

    #[test]
    fn overlapping_outages_count_once_and_quick_calls_not_at_all() {
        let calls = [
            call(What::Write, 0, 2_000_000, true),
            call(What::Write, 1_000_000, 3_000_000, true),
            call(What::Write, 5_000_000, 5_100_000, true),
            call(What::Write, 6_000_000, 6_000_500, false),
            call(What::Strong, 0, 9_000_000, true),
        ];
        assert_eq!(unavailable(&calls, What::Write), 3_000_500);
        assert_eq!(unavailable(&calls, What::Bounded), 0);
    }

    #[test]
    fn recovery_is_the_longest_wait_counted_from_the_death() {
        let calls = [
            call(What::Bounded, 0, 99, true),
            call(What::Bounded, 50, 300, true),
            call(What::Bounded, 200, 500, false),
            call(What::Strong, 100, 9_000, true),
            call(What::Bounded, 6_000_000, 16_000_000, true),
        ];
        assert_eq!(recovery(&calls, 100, 5_000_000), Some(300));
        assert_eq!(recovery(&calls[..1], 100, 5_000_000), None);
        assert_eq!(median(vec![3, 1, 2]), Some(2));
        assert_eq!(longest(&calls, What::Bounded, 50, 6_000_000), Some(300));
        assert_eq!(longest(&calls, What::Write, 0, 9_000_000), None);
    }
}
