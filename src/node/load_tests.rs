//! Load counters from many threads.

use super::*;

#[test]
fn no_request_is_lost_or_counted_twice_while_reports_are_taken() {
    const EACH: u64 = 50_000;
    let load = LoadCounters::new(8);
    let reports = std::thread::scope(|scope| {
        let counting: Vec<_> = (0..2_u64)
            .map(|thread| {
                let load = &load;
                scope.spawn(move || (0..EACH).for_each(|n| load.count(((n + thread) % 7) as u32)))
            })
            .collect();
        let mut reports = Vec::new();
        while !counting.iter().all(|thread| thread.is_finished()) {
            reports.push(load.take(0));
        }
        reports.push(load.take(0));
        reports
    });
    assert_eq!(reports.iter().map(|report| report.requests).sum::<u64>(), 2 * EACH);
    assert_eq!(load.len(), 0);
}

#[test]
fn a_full_counter_stops_and_the_rest_is_told_apart() {
    let load = LoadCounters::new(2);
    load.partitions[1].store(LoadCounters::FULL - 1, Ordering::Relaxed);
    load.used.store(1, Ordering::Relaxed);
    (0..3).for_each(|_| load.count(1));
    let report = load.take(9);
    assert_eq!((report.partitions, report.other), (vec![(1, LoadCounters::FULL)], 2));
    assert_eq!(report.requests, u64::from(LoadCounters::FULL) + 2);
}
