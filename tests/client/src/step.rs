//! Steps that may happen next.

use proptest::prelude::*;
use proptest_state_machine::ReferenceStateMachine;

use super::truth::{CLIENTS, Course, GATEWAYS, KEYS, Put, Shape, Truth};

/// Consistency that a `get` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Within a bound.
    Bounded(u32),
    /// Within a bound, or a little beyond it while it is asked for anew.
    Revalidating(u32, u32),
    /// Within a bound, or so much beyond it where nothing else answers.
    IfError(u32, u32),
    /// Past the cache.
    Bypassing(u32),
    /// Through the store.
    Strong,
    /// Whatever there is.
    Any(u32),
}

/// Target of an invalidation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// A key.
    Key(u8),
    /// The prefix of a key.
    Prefix(u8),
    /// The tag of a key.
    Tag(u8),
    /// Everything.
    All,
    /// Everything, as `clear`.
    Clear,
}

/// Fate of a batch that gets no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// The connection breaks.
    Network,
    /// The gateway is overloaded.
    Unavailable,
    /// The bytes that arrive are no answer.
    Garbage,
}

/// End of a feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order.
    Ended,
    /// It breaks.
    Broken,
    /// For now.
    Refused,
    /// For good.
    NoRoute,
}

/// State that a new core of a client begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Legacy {
    /// Nothing: it is another session.
    Nothing,
    /// The floors.
    Floors,
    /// A bookmark.
    Bookmark,
    /// The state exported just now.
    State,
    /// The state exported last.
    OldState,
}

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Time passes.
    Wait(u16),
    /// Time passes, and everything goes its usual way.
    Breathe(u16),
    /// Time passes, and then the first client reads the next key of its round, in the usual way.
    Walk(u16),
    /// Time passes for everybody but the clients, which get everything later.
    Freeze(u16),
    /// The clients' machine sleeps; its monotonic clock may stand still.
    Sleep {
        /// For how long.
        ms: u32,
        /// True if the monotonic clock stands still.
        stands_still: bool,
        /// True if clients are told that they slept.
        told: bool,
    },
    /// The wall clock is set.
    SetWall(i32),
    /// Somebody else writes.
    Write {
        /// The key.
        key: u8,
        /// True if it removes the key.
        deletes: bool,
    },
    /// A client begins a write.
    Put {
        /// The client.
        client: u8,
        /// The key.
        key: u8,
        /// True if it removes the key.
        deletes: bool,
        /// True if the state that it left behind is known.
        known: bool,
    },
    /// A client's write is committed.
    Commit(u8),
    /// A client hears that its write was committed.
    Acknowledge(u8),
    /// A gateway asks for the log.
    Poll(u8),
    /// A gateway forgets old changes.
    Truncate(u8),
    /// A gateway is started anew.
    Restart(u8),
    /// The store is another one.
    RenewStore,
    /// A client reads.
    Get {
        /// The client.
        client: u8,
        /// The key.
        key: u8,
        /// The consistency asked for.
        ask: Ask,
        /// In which scope.
        scope: u8,
        /// In which stream.
        stream: u8,
        /// For how long.
        patience_ms: u16,
    },
    /// A client lists everything below a prefix.
    List {
        /// The client.
        client: u8,
        /// A key with that prefix.
        key: u8,
        /// At which gateway.
        gateway: u8,
    },
    /// An application says what it needs next.
    Hint {
        /// The client.
        client: u8,
        /// The key.
        key: u8,
    },
    /// A reader gives up.
    Cancel(u8),
    /// A scope ends.
    CloseScope(u8),
    /// A client drops what it has.
    Invalidate(u8, Drop),
    /// A gateway looks at a request.
    Process(u8),
    /// A client gets an answer.
    Deliver {
        /// Which.
        pick: u8,
        /// True if it comes once more.
        again: bool,
    },
    /// A request or its answer does not arrive.
    Lose(u8, Mishap),
    /// A client that asked for a feed gets one.
    AcceptFeed(u8),
    /// The gateway of a client's feed sends a frame.
    Beat(u8),
    /// A frame arrives.
    Hear {
        /// At which client.
        client: u8,
        /// Which.
        pick: u8,
        /// True if it comes once more.
        again: bool,
        /// Place at which it is cut, in 256ths.
        cut: u8,
    },
    /// A frame with all news does not arrive.
    LoseFrame(u8, u8),
    /// A feed ends.
    EndFeed(u8, End),
    /// Somebody looks, or nobody does.
    Attend(u8, bool),
    /// A session goes on at the other client.
    Bookmark(u8),
    /// A client's state is kept.
    Export(u8),
    /// A client takes over what was kept while it runs.
    Import(u8),
    /// A client gets a new core.
    Rebuild(u8, Legacy),
}

/// Bounds: mostly the usual one in a calm course.
fn bound(course: Course) -> BoxedStrategy<u32> {
    let usual = if course == Course::Wild { 3 } else { 12 };
    prop_oneof![usual => Just(2_000_u32), 1 => Just(0_u32), 2 => 1_u32..300, 2 => 300_u32..5_000].boxed()
}

fn ask(course: Course) -> BoxedStrategy<Ask> {
    let bound = || bound(course);
    prop_oneof![
        10 => bound().prop_map(Ask::Bounded),
        1 => (bound(), 1_u32..60_000).prop_map(|(bound, more)| Ask::Revalidating(bound, more)),
        1 => (bound(), 1_u32..60_000).prop_map(|(bound, more)| Ask::IfError(bound, more)),
        1 => bound().prop_map(Ask::Bypassing),
        2 => Just(Ask::Strong),
        1 => bound().prop_map(Ask::Any),
    ]
    .boxed()
}

fn key() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0..KEYS / 4, 1 => 0..KEYS]
}

fn client() -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(0_u8), 1 => 1..CLIENTS as u8]
}

fn gateway() -> impl Strategy<Value = u8> {
    0..GATEWAYS as u8
}

/// Time passes in the usual way.
fn time() -> BoxedStrategy<Step> {
    let moment = prop_oneof![2 => 0_u16..4, 3 => 0_u16..200, 1 => 200_u16..4_000];
    prop_oneof![
        2 => moment.prop_map(Step::Wait),
        3 => prop_oneof![4 => 1_u16..60, 2 => 60_u16..1_200].prop_map(Step::Breathe),
    ]
    .boxed()
}

/// Clocks and machines misbehave.
fn clocks() -> BoxedStrategy<Step> {
    prop_oneof![
        3 => (1_u16..30_000).prop_map(Step::Freeze),
        1 => (1_500_u32..4_000_000, any::<bool>(), any::<bool>())
            .prop_map(|(ms, stands_still, told)| Step::Sleep { ms, stands_still, told }),
        1 => prop_oneof![-4_000_000_i32..-1_100, -900_i32..900, 1_100_i32..4_000_000].prop_map(Step::SetWall),
    ]
    .boxed()
}

fn writes() -> BoxedStrategy<Step> {
    prop_oneof![
        8 => (key(), prop::bool::weighted(0.3)).prop_map(|(key, deletes)| Step::Write { key, deletes }),
        6 => gateway().prop_map(Step::Poll),
    ]
    .boxed()
}

fn own_writes() -> BoxedStrategy<Step> {
    prop_oneof![
        4 => (client(), key(), prop::bool::weighted(0.3), prop::bool::weighted(0.8))
            .prop_map(|(client, key, deletes, known)| Step::Put { client, key, deletes, known }),
        5 => any::<u8>().prop_map(Step::Commit),
        5 => any::<u8>().prop_map(Step::Acknowledge),
    ]
    .boxed()
}

fn reads(course: Course) -> BoxedStrategy<Step> {
    let read = (client(), key(), ask(course), prop::bool::weighted(0.15), 0_u8..2, 50_u16..12_000);
    prop_oneof![
        24 => read.prop_map(|(client, key, ask, scope, stream, patience_ms)| {
            Step::Get { client, key, ask, scope: scope.into(), stream, patience_ms }
        }),
        1 => (client(), key()).prop_map(|(client, key)| Step::Hint { client, key }),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => client().prop_map(Step::CloseScope),
    ]
    .boxed()
}

fn lists() -> BoxedStrategy<Step> {
    let dropped = key().prop_flat_map(|key| {
        prop_oneof![
            3 => Just(Drop::Key(key)),
            2 => Just(Drop::Prefix(key)),
            2 => Just(Drop::Tag(key)),
            1 => Just(Drop::All),
            1 => Just(Drop::Clear),
        ]
    });
    prop_oneof![
        3 => (client(), key(), gateway()).prop_map(|(client, key, gateway)| Step::List { client, key, gateway }),
        2 => (client(), dropped).prop_map(|(client, what)| Step::Invalidate(client, what)),
    ]
    .boxed()
}

fn network() -> BoxedStrategy<Step> {
    prop_oneof![
        1 => any::<u8>().prop_map(Step::Process),
        1 => (any::<u8>(), prop::bool::weighted(0.1)).prop_map(|(pick, again)| Step::Deliver { pick, again }),
    ]
    .boxed()
}

fn mishaps() -> BoxedStrategy<Step> {
    let mishap = prop_oneof![2 => Just(Mishap::Network), 1 => Just(Mishap::Unavailable), 1 => Just(Mishap::Garbage)];
    let end = prop_oneof![
        2 => Just(End::Ended), 3 => Just(End::Broken), 1 => Just(End::Refused), 1 => Just(End::NoRoute)
    ];
    prop_oneof![
        4 => (any::<u8>(), mishap).prop_map(|(pick, mishap)| Step::Lose(pick, mishap)),
        6 => (client(), any::<u8>()).prop_map(|(client, pick)| Step::LoseFrame(client, pick)),
        2 => (client(), end).prop_map(|(client, end)| Step::EndFeed(client, end)),
        6 => gateway().prop_map(Step::Truncate),
        3 => gateway().prop_map(Step::Restart),
        1 => Just(Step::RenewStore),
    ]
    .boxed()
}

fn feeds() -> BoxedStrategy<Step> {
    prop_oneof![
        3 => client().prop_map(Step::AcceptFeed),
        6 => client().prop_map(Step::Beat),
        8 => (client(), prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], prop::bool::weighted(0.1), any::<u8>())
            .prop_map(|(client, pick, again, cut)| Step::Hear { client, pick, again, cut }),
        1 => (client(), prop::bool::weighted(0.7)).prop_map(|(client, looks)| Step::Attend(client, looks)),
    ]
    .boxed()
}

fn hosts() -> BoxedStrategy<Step> {
    let legacy = prop_oneof![
        1 => Just(Legacy::Nothing), 1 => Just(Legacy::Floors), 1 => Just(Legacy::Bookmark),
        3 => Just(Legacy::State), 2 => Just(Legacy::OldState)
    ];
    prop_oneof![
        2 => client().prop_map(Step::Bookmark),
        2 => client().prop_map(Step::Export),
        2 => client().prop_map(Step::Import),
        2 => (client(), legacy).prop_map(|(client, legacy)| Step::Rebuild(client, legacy)),
    ]
    .boxed()
}

fn walk() -> BoxedStrategy<Step> {
    prop_oneof![3 => 1_u16..100, 1 => 100_u16..1_500, 1 => 2_100_u16..4_000].prop_map(Step::Walk).boxed()
}

fn steps(course: Course) -> BoxedStrategy<Step> {
    // Time, clocks, writes, own writes, reads, lists, network, mishaps, feeds, hosts, walks.
    let weights = match course {
        Course::Wild => [20, 4, 14, 12, 22, 6, 24, 6, 14, 3, 1],
        Course::Calm => [30, 2, 10, 1, 34, 1, 8, 4, 16, 1, 2],
        Course::Busy => [24, 1, 8, 18, 24, 12, 10, 1, 4, 9, 1],
        Course::Walk => [8, 1, 2, 1, 4, 2, 4, 1, 2, 1, 60],
    };
    let [time_, clocks_, writes_, own_, reads_, lists_, network_, mishaps_, feeds_, hosts_, walk_] = weights;
    prop::strategy::Union::new_weighted(vec![
        (time_, time()),
        (clocks_, clocks()),
        (writes_, writes()),
        (own_, own_writes()),
        (reads_, reads(course)),
        (lists_, lists()),
        (network_, network()),
        (mishaps_, mishaps()),
        (feeds_, feeds()),
        (hosts_, hosts()),
        (walk_, walk()),
    ])
    .boxed()
}

fn shape() -> impl Strategy<Value = Shape> {
    let course = prop_oneof![
        3 => Just(Course::Wild), 3 => Just(Course::Calm), 3 => Just(Course::Busy), 1 => Just(Course::Walk)
    ];
    let ppm = || prop_oneof![2 => Just(0_i64), 1 => Just(500_i64), 1 => Just(-500_i64), 1 => -500_i64..500];
    let entries = prop_oneof![5 => Just(usize::MAX), 1 => Just(3_usize), 1 => Just(1_usize)];
    let ttl = prop_oneof![2 => Just(5_000_u64), 1 => Just(400_u64)];
    let ppm = [ppm(), ppm(), ppm()];
    (course, entries, prop::bool::weighted(0.7), prop::bool::weighted(0.7), ppm, ttl).prop_map(
        |(course, max_entries, feeds, predicts, ppm, negative_ttl_ms)| Shape {
            course,
            max_entries,
            feeds: feeds && course != Course::Walk,
            predicts: predicts || course == Course::Walk,
            ppm,
            negative_ttl_ms,
        },
    )
}

thread_local! {
    static STEPS: [BoxedStrategy<Step>; 4] =
        [Course::Wild, Course::Calm, Course::Busy, Course::Walk].map(steps);
}

impl ReferenceStateMachine for Truth {
    type State = Self;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Self> {
        shape().prop_map(Self::new).boxed()
    }

    fn transitions(state: &Self) -> BoxedStrategy<Step> {
        STEPS.with(|steps| steps[state.shape.course as usize].clone())
    }

    fn apply(mut state: Self, step: &Step) -> Self {
        state.take(step);
        state
    }
}

impl Truth {
    /// Applies a step to the truth.
    pub fn take(&mut self, step: &Step) {
        match *step {
            Step::Wait(ms) => self.now += u64::from(ms),
            Step::Breathe(ms) | Step::Walk(ms) | Step::Freeze(ms) => {
                self.now += u64::from(ms);
                // Now and then gateways fall behind.
                if ms % 3 != 0 {
                    self.poll_all();
                }
            }
            Step::LoseFrame(..) => self.poll_all(),
            Step::Sleep { ms, stands_still, .. } => {
                self.now += u64::from(ms);
                self.stood_still += if stands_still { u64::from(ms) } else { 0 };
                self.poll_all();
            }
            Step::SetWall(ms) => self.wall_set += i64::from(ms),
            Step::Write { key, deletes } => self.write(key, deletes),
            Step::Put { key, deletes, .. } => {
                self.put_count += 1;
                self.puts.push(Put { number: self.put_count, key, deletes });
            }
            Step::Commit(pick) => self.commit_put(pick.into()),
            Step::Poll(gateway) => self.poll(gateway.into()),
            Step::Truncate(gateway) => self.truncate(gateway.into()),
            Step::Restart(gateway) => self.restart(gateway.into()),
            Step::RenewStore => self.renew_store(),
            _ => {}
        }
    }
}
