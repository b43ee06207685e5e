use proptest::prelude::*;

use super::Priority::{Demand, List, Prefetch};
use super::*;

/// `count` requests, a tenth of a millisecond apart from `now` on, each of which waits for `wait`; when they are over.
fn serve(admission: &mut Admission, mut now: Micros, count: usize, wait: Micros) -> Micros {
    for _ in 0..count {
        admission.enter(now, Demand).expect("taken on");
        admission.begin(now + wait, now);
        now += 100;
    }
    now
}

/// As many as may wait do; nothing has begun.
fn overloaded() -> (Admission, Vec<Priority>) {
    let mut admission = Admission::default();
    let mut refused = Vec::new();
    // A prefetch, a list and three demands, over and over.
    for at in 0..10_000 {
        let priority = [Prefetch, List, Demand, Demand, Demand][at % 5];
        if admission.enter(at as Micros, priority).is_err() {
            refused.push(priority);
        }
    }
    (admission, refused)
}

#[test]
fn what_is_fetched_ahead_goes_first_then_lists_then_demand() {
    let (admission, refused) = overloaded();
    let first = |priority| refused.iter().position(|refused| *refused == priority).expect("refused");
    assert!(first(Prefetch) < first(List) && first(List) < first(Demand));
    let stats = admission.stats();
    assert_eq!((stats.waiting, stats.bound), (1_024, 1_024));
    assert_eq!(stats.admitted.iter().sum::<u64>(), 1_024);
    assert_eq!(stats.admitted.iter().chain(&stats.refused).sum::<u64>(), 10_000);
}

#[test]
fn nothing_is_fetched_ahead_for_a_second_after_the_last_sign_of_overload() {
    let (mut admission, _) = overloaded();
    for _ in 0..1_024 {
        admission.begin(10_000, 9_900);
    }
    assert_eq!(admission.enter(10_000, Demand), Ok(()));
    for priority in [Prefetch, List] {
        assert_eq!(admission.enter(1_000_000, priority), Err(1_000), "{priority:?}");
        assert_eq!(admission.accompany(1_000_000, priority), Err(1_000), "{priority:?}");
        assert_eq!(admission.enter(1_010_000, priority), Ok(()), "{priority:?}");
        assert_eq!(admission.accompany(1_010_000, priority), Ok(()), "{priority:?}");
    }
}

#[test]
fn fewer_may_wait_where_they_wait_too_long_and_more_where_they_do_not() {
    let mut admission = Admission::default();
    let now = serve(&mut admission, 0, 1_000, Admission::TARGET);
    assert_eq!(admission.stats().bound, 1_024, "the target is not over the target");
    let now = serve(&mut admission, now, 10_000, Admission::TARGET + 1);
    assert_eq!(admission.stats().bound, Admission::LEAST as u64);
    assert!(admission.enter(now, Prefetch).is_err(), "many late windows in a row");
    // Windows of 20 ms, each of which lets a sixteenth more wait, and one.
    let now = serve(&mut admission, now, 1_000, 10);
    assert!((3..=7).contains(&admission.stats().bound), "{:?}", admission.stats());
    serve(&mut admission, now, 40_000, 10);
    assert_eq!(admission.stats().bound, Admission::MOST as u64);
}

#[test]
fn a_burst_alone_stops_nothing() {
    let mut admission = Admission::default();
    // Two windows.
    let now = serve(&mut admission, 0, 400, 5_000);
    assert_eq!(admission.enter(now + 5_000, Prefetch), Ok(()));
    admission.give_up();
    assert_eq!(admission.stats().waiting, 0);
}

#[test]
fn where_there_is_little_to_do_more_may_wait_again() {
    let mut admission = Admission::default();
    let mut now = serve(&mut admission, 0, 20_000, Admission::TARGET + 1);
    let twice = |admission: &mut Admission, now| [(); 2].map(|()| admission.enter(now, Demand));
    assert_eq!((admission.stats().bound, twice(&mut admission, now)), (2, [Ok(()); 2]));
    assert_eq!(twice(&mut admission, now), [Err(1_000); 2]);
    (0..2).for_each(|_| admission.give_up());
    for _ in 0..10 {
        now = serve(&mut admission, now + 1_000_000, 2, 10);
    }
    assert_eq!(admission.stats().bound, Admission::MOST as u64);
}

#[test]
fn few_requests_are_no_ground_to_judge_on() {
    let mut admission = Admission::default();
    for second in 0..100 {
        let now = second * 2_000_000;
        serve(&mut admission, now, 15, 50_000);
    }
    assert_eq!(admission.stats().bound, 1_024);
}

/// Something that happens, and how long after the last.
#[derive(Debug, Clone, Copy)]
enum Step {
    Enter(Priority),
    Accompany(Priority),
    /// Somebody begins with the oldest that waits.
    Begin,
    GiveUp,
}

fn steps() -> impl Strategy<Value = Vec<(Micros, Step)>> {
    let priority = prop_oneof![Just(Prefetch), Just(List), Just(Demand)];
    let step = prop_oneof![
        6 => priority.clone().prop_map(Step::Enter),
        1 => priority.prop_map(Step::Accompany),
        3 => Just(Step::Begin),
        1 => Just(Step::GiveUp),
    ];
    let after = prop_oneof![20 => 0..2_000_u64, 1 => 0..600_000_u64];
    prop::collection::vec((after, step), 1..3_000)
}

/// The same by its definition: everything that ever happened, looked through anew.
#[derive(Default)]
struct Naive {
    waiting: Vec<Micros>,
    /// Waits of those that began, by when.
    begun: Vec<(Micros, Micros)>,
    /// When who was looked at, the waiting and the bound then.
    looks: Vec<(Micros, usize, usize)>,
    /// Windows that were judged: when, and whether late.
    windows: Vec<(Micros, bool)>,
    /// The bound after each window.
    bounds: Vec<usize>,
    /// When the present window began, and what was before it.
    open: (Micros, usize),
}

impl Naive {
    fn bound(&self) -> usize {
        self.bounds.last().copied().unwrap_or(Admission::MOST)
    }

    fn close(&mut self, now: Micros) {
        let (since, begun_before) = self.open;
        let samples = &self.begun[begun_before..];
        let is_enough = samples.len() >= 20;
        if now - since < 20_000 || (!is_enough && now - since < 1_000_000) {
            return;
        }
        if is_enough {
            let is_late = samples.iter().filter(|(_, wait)| *wait > 500).count() * 20 > samples.len();
            let bound = self.bound();
            let bound = if is_late { (bound * 4 / 5).max(2) } else { (bound + 1 + bound / 16).min(1_024) };
            self.windows.push((now, is_late));
            self.bounds.push(bound);
        } else {
            self.bounds.push((self.bound() * 2).min(1_024));
        }
        self.open = (now, self.begun.len());
    }

    fn refuses(&mut self, now: Micros, priority: Priority) -> bool {
        self.close(now);
        let (waiting, bound) = (self.waiting.len(), self.bound());
        self.looks.push((now, waiting, bound));
        let recent = |at: &Micros| now < at + 1_000_000;
        let share = |bound: usize, quarters: usize| (bound * quarters).div_ceil(4);
        let saw = |quarters: usize| {
            let over = |(_, waiting, bound): &&(Micros, usize, usize)| *waiting >= share(*bound, quarters);
            waiting >= share(bound, quarters) || self.looks.iter().filter(over).any(|(at, ..)| recent(at))
        };
        let third_late = || {
            let late = |end: usize| self.windows[end.saturating_sub(3)..end].iter().all(|(_, late)| *late);
            (3..=self.windows.len()).any(|end| late(end) && recent(&self.windows[end - 1].0))
        };
        match priority {
            Prefetch => saw(2) || third_late(),
            List => saw(3),
            Demand => waiting >= bound,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn it_decides_as_its_definition_does(steps in steps()) {
        let (mut admission, mut naive, mut now) = (Admission::default(), Naive::default(), 0);
        let mut demand_refused = None;
        for (after, step) in steps {
            now += after;
            match step {
                Step::Enter(priority) => {
                    let refuses = naive.refuses(now, priority);
                    prop_assert_eq!(admission.enter(now, priority).is_err(), refuses);
                    if !refuses {
                        naive.waiting.push(now);
                    } else if priority == Demand {
                        demand_refused = Some(now);
                    }
                    let is_shedding = demand_refused.is_some_and(|at| now < at + 1_000_000);
                    prop_assert!(refuses || priority == Demand || !is_shedding, "demand was shed before");
                }
                Step::Accompany(priority) => {
                    let refuses = naive.refuses(now, priority);
                    prop_assert_eq!(admission.accompany(now, priority).is_err(), refuses);
                }
                Step::Begin if !naive.waiting.is_empty() => {
                    let since = naive.waiting.remove(0);
                    naive.begun.push((now, now - since));
                    naive.close(now);
                    admission.begin(now, since);
                }
                Step::GiveUp if !naive.waiting.is_empty() => {
                    naive.waiting.pop();
                    admission.give_up();
                }
                Step::Begin | Step::GiveUp => {}
            }
            let stats = admission.stats();
            prop_assert_eq!((stats.waiting, stats.bound), (naive.waiting.len() as u64, naive.bound() as u64));
        }
    }
}
