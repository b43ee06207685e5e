//! From counts to a snapshot of a bounded size.

use fxhash::FxHashMap;

use super::clients::Clients;
use super::merger::{COUNT, Merger, Traffic, Way};
use super::selection::{Choice, RankedRule, RuleContext, Selection};
use crate::analyzer::Shapes;
use crate::protocol::{
    KeyRule, MAX_SNAPSHOT_BYTES, ModelSnapshot, PlaceClass, QuantizedShare, Successors, TemplateContext, TemplateRule,
};

/// The bounds of a snapshot.
pub struct SnapshotOptions<'a> {
    /// Distinct clients that must have gone a way before a snapshot tells of it.
    pub min_clients: u32,
    /// Keys that everybody may know, whoever asked for them.
    pub is_shared: &'a dyn Fn(&str) -> bool,
    /// Largest size as `compressed` measures it.
    pub max_bytes: usize,
    /// The size of bytes as they are sent.
    pub compressed: &'a dyn Fn(&[u8]) -> usize,
}

/// Lowest probability that is told. Clients prefetch from 0.1 up while their waste budget lasts; half of that leaves
/// room for what two rules say together.
const MIN_SHARE: f32 = 0.05;
/// Most of a time that is discounted: what was seen once only is as much as nothing otherwise, where all is seen once.
const MAX_DISCOUNT: f32 = 0.75;
/// Probability that a pair has to add to its last key's rule to be told.
const LEAST_GAIN: f32 = 0.05;
/// Times that a key is counted, at most, when component classes are found out: what is asked for often is no kind for
/// that.
const MAX_SIGHTINGS: u32 = 8;

/// The sum of all that followed a context.
#[derive(Debug, Default)]
struct SuccessorSum {
    all: u64,
    next: Vec<(u32, Traffic)>,
}

impl SuccessorSum {
    /// Visits of the context, in the window.
    fn visits(&self) -> f32 {
        self.all as f32 / COUNT as f32
    }

    /// Adds what followed; the same key comes one time after the other.
    fn add(&mut self, next: u32, traffic: &Traffic) {
        self.all += traffic.all;
        match self.next.last_mut() {
            Some((known, sum)) if *known == next => sum.add(traffic),
            _ => self.next.push((next, *traffic)),
        }
    }

    fn share(&self, traffic: &Traffic) -> f32 {
        traffic.fresh as f32 / self.all.max(1) as f32
    }

    /// The probability that a key follows afresh: what was counted less a discount, which goes to what a context that
    /// knows less says (interpolated absolute discounting; Ney, Essen and Kneser, 1994). Seen once in one visit is no
    /// certainty.
    fn discounted(&self, traffic: &Traffic, discount: f32, less: f32) -> f32 {
        let (all, discount) = (self.all.max(1) as f32, discount * COUNT as f32);
        let own = (traffic.fresh as f32 - discount).max(0.0);
        (own + discount * self.next.len() as f32 * less) / all
    }
}

/// The discounts of the counts of contexts of one length: from how many were seen once and twice.
fn discount<'a>(all: impl Iterator<Item = &'a SuccessorSum>) -> f32 {
    let (mut once, mut twice) = (1.0_f32, 1.0_f32);
    for (_, traffic) in all.flat_map(|followed| &followed.next) {
        match (traffic.all + COUNT / 2) / COUNT {
            1 => once += 1.0,
            2 => twice += 1.0,
            _ => {}
        }
    }
    (once / (once + 2.0 * twice)).min(MAX_DISCOUNT)
}

/// All that one building needs to look up.
struct Tables<'a> {
    merger: &'a Merger,
    options: &'a SnapshotOptions<'a>,
    shared: Vec<bool>,
    singles: FxHashMap<u32, SuccessorSum>,
    pairs: FxHashMap<(u32, u32), SuccessorSum>,
    /// Share of each key in all that followed afresh.
    popularity: Vec<f32>,
    /// Discounts of counts after one key and after two.
    discounts: (f32, f32),
    shapes: Shapes,
    templates: Vec<Vec<u8>>,
    by_template: FxHashMap<(TemplateContext, u64), SuccessorSum>,
}

impl Merger {
    /// The model as of now: what most clients gain most from by the byte, and nothing that fewer than the least number
    /// of clients did. It follows from what was merged, not from the order of merging. O(ways x log ways).
    pub fn snapshot(&self, made: u64, options: &SnapshotOptions<'_>) -> ModelSnapshot {
        self.snapshots(made, options, &[options.max_bytes]).pop().unwrap_or_default()
    }

    /// The same for each of several sizes, in place of that of the options; one that has everything in it is the last,
    /// whatever larger ones are asked for.
    pub fn snapshots(&self, made: u64, options: &SnapshotOptions<'_>, sizes: &[usize]) -> Vec<ModelSnapshot> {
        let mut tables = Tables::new(self, options);
        tables.find_templates();
        let mut selection = tables.select();
        let name_bytes = name_bytes(self.keys.len());
        let places = tables.places();
        let build = |selected: &[RankedRule]| tables.build(made, name_bytes, &places, selected);
        let size = |selected: &[RankedRule]| {
            let snapshot = build(selected);
            let bytes = snapshot.encode();
            // Clients refuse what is beyond the bounds of the form, however small it is.
            if is_readable(&snapshot, bytes.len()) { (options.compressed)(&bytes) } else { usize::MAX }
        };
        let mut snapshots = Vec::with_capacity(sizes.len());
        for &most in sizes {
            selection.fit(most.min(MAX_SNAPSHOT_BYTES), size);
            snapshots.push(build(selection.chosen()));
            if selection.is_whole() {
                break;
            }
        }
        snapshots
    }
}

/// `true` where a snapshot of so many bytes is within what its form allows, with room for a calibration.
fn is_readable(snapshot: &ModelSnapshot, encoded: usize) -> bool {
    /// Most bytes of a calibration: about a kilobyte.
    const CALIBRATION: usize = 8 << 10;
    let bytes = |texts: &mut dyn Iterator<Item = usize>| texts.sum::<usize>();
    snapshot.keys.len() <= ModelSnapshot::MAX_KEYS
        && snapshot.templates.len() <= ModelSnapshot::MAX_TEMPLATES
        && snapshot.rules.len() <= ModelSnapshot::MAX_RULES
        && snapshot.template_rules.len() <= ModelSnapshot::MAX_RULES
        && bytes(&mut snapshot.keys.iter().map(String::len)) <= ModelSnapshot::MAX_TEXT_BYTES
        && bytes(&mut snapshot.templates.iter().map(Vec::len)) <= ModelSnapshot::MAX_TEXT_BYTES
        && encoded <= MAX_SNAPSHOT_BYTES - CALIBRATION
}

/// Bytes of a hash that two of so many keys share with a probability of about a 250th for each.
fn name_bytes(keys: usize) -> u8 {
    let bits = usize::BITS - keys.leading_zeros() + 8;
    (bits.div_ceil(8)).clamp(2, 8) as u8
}

impl<'a> Tables<'a> {
    fn new(merger: &'a Merger, options: &'a SnapshotOptions<'a>) -> Self {
        let mut ways: Vec<(&Way, &Traffic)> = merger.ways.iter().collect();
        // By text, as numbers follow the order of merging.
        let mut order: Vec<u32> = (0..merger.keys.len() as u32).collect();
        order.sort_unstable_by_key(|&key| &merger.keys[key as usize].text);
        let mut rank = vec![0; order.len()];
        for (at, &key) in order.iter().enumerate() {
            rank[key as usize] = at as u32;
        }
        let place = |key: u32| if key == Way::NONE { key } else { rank[key as usize] };
        ways.sort_unstable_by_key(|(way, _)| (place(way.last), place(way.next), place(way.before)));
        let (mut singles, mut pairs) =
            (FxHashMap::<_, SuccessorSum>::default(), FxHashMap::<_, SuccessorSum>::default());
        let mut sightings = vec![0; merger.keys.len()];
        let (mut popularity, mut fresh) = (vec![0.0; merger.keys.len()], 1.0);
        for (way, traffic) in ways {
            if way.before != Way::NONE {
                pairs.entry((way.before, way.last)).or_default().add(way.next, traffic);
                continue;
            }
            singles.entry(way.last).or_default().add(way.next, traffic);
            sightings[way.next as usize] += traffic.clients.at_least();
            popularity[way.next as usize] += traffic.fresh as f32;
            fresh += traffic.fresh as f32;
        }
        popularity.iter_mut().for_each(|share| *share /= fresh);
        let discounts = (discount(singles.values()), discount(pairs.values()));
        let mut shapes = Shapes::new();
        for &key in &order {
            for _ in 0..sightings[key as usize].clamp(1, MAX_SIGHTINGS) {
                shapes.observe(&merger.keys[key as usize].text);
            }
        }
        let shared = merger.keys.iter().map(|key| (options.is_shared)(&key.text)).collect();
        let (templates, by_template) = (Vec::new(), FxHashMap::default());
        Self { merger, options, shared, singles, pairs, popularity, discounts, shapes, templates, by_template }
    }

    fn text(&self, key: u32) -> &str {
        &self.merger.keys[key as usize].text
    }

    /// `true` where a snapshot may tell of a way.
    fn is_open(&self, traffic: &Traffic, keys: &[u32]) -> bool {
        traffic.clients.at_least() >= self.options.min_clients || keys.iter().all(|&key| self.shared[key as usize])
    }

    /// Derives the templates of all ways.
    fn find_templates(&mut self) {
        let mut numbers: FxHashMap<Vec<u8>, u32> = FxHashMap::default();
        let mut known: FxHashMap<(u32, u32), Option<u32>> = FxHashMap::default();
        let mut templates = Vec::new();
        let (merger, shapes) = (self.merger, &self.shapes);
        let mut of = |last: u32, next: u32| {
            *known.entry((last, next)).or_insert_with(|| {
                let template = shapes.template(&merger.keys[last as usize].text, &merger.keys[next as usize].text)?;
                Some(*numbers.entry(template).or_insert_with_key(|template| {
                    templates.push(template.clone());
                    templates.len() as u32 - 1
                }))
            })
        };
        let mut sums: FxHashMap<(TemplateContext, u64, u32), Traffic> = FxHashMap::default();
        let mut add = |context, shape, template, traffic: &Traffic| {
            sums.entry((context, shape, template)).or_default().add(traffic);
        };
        let shape: Vec<u64> = merger.keys.iter().map(|key| shapes.shape(&key.text)).collect();
        for (way, traffic) in &merger.ways {
            let shape_of = |key: u32| shape[key as usize];
            let made = of(way.last, way.next).unwrap_or(Way::NONE);
            if way.before == Way::NONE {
                add(TemplateContext::Shape, shape_of(way.last), made, traffic);
                continue;
            }
            if let Some(by) = of(way.before, way.last) {
                add(TemplateContext::Step(by), shape_of(way.last), made, traffic);
            }
            if way.before != way.next {
                let far = of(way.before, way.next).unwrap_or(Way::NONE);
                add(TemplateContext::Far, shape_of(way.before), far, traffic);
            }
        }
        let mut rules: FxHashMap<(TemplateContext, u64), SuccessorSum> = FxHashMap::default();
        for ((context, shape, template), traffic) in sums {
            rules.entry((context, shape)).or_default().add(template, &traffic);
        }
        (self.templates, self.by_template) = (templates, rules);
    }

    /// The probability that a key follows another one afresh.
    fn after(&self, followed: &SuccessorSum, next: u32, traffic: &Traffic) -> f32 {
        followed.discounted(traffic, self.discounts.0, self.popularity[next as usize])
    }

    /// Everything that may be told, with what it is worth.
    fn select(&self) -> Selection {
        let mut selection = Selection::default();
        for (&last, followed) in &self.singles {
            self.offer(&mut selection, RuleContext::Keys(Way::NONE, last), followed, &[last], |next, traffic| {
                (self.after(followed, next, traffic), 0.0)
            });
        }
        for (&(before, last), followed) in &self.pairs {
            let Some(single) = self.singles.get(&last) else { continue };
            self.offer(&mut selection, RuleContext::Keys(before, last), followed, &[before, last], |next, traffic| {
                let known = single.next.iter().find(|(known, _)| *known == next);
                let known = known.map_or(0.0, |(_, traffic)| self.after(single, next, traffic));
                (followed.discounted(traffic, self.discounts.1, known), known)
            });
        }
        for (&(context, shape), followed) in &self.by_template {
            self.offer_templates(&mut selection, context, shape, followed);
        }
        selection.order(|choice| match choice {
            Choice::Key(key) => self.text(key).as_bytes(),
            Choice::Template(template) => &self.templates[template as usize],
        });
        selection
    }

    /// Offers what followed keys; `share` is its probability, and what is predicted without it.
    fn offer(
        &self,
        selection: &mut Selection,
        context: RuleContext,
        followed: &SuccessorSum,
        keys: &[u32],
        share: impl Fn(u32, &Traffic) -> (f32, f32),
    ) {
        let visits = followed.visits();
        // What came before the window counts for what the rule is worth.
        let last = keys[keys.len() - 1];
        let single = self.singles.get(&last).map_or(1.0, SuccessorSum::visits);
        let rate = self.merger.keys[last as usize].visits as f32 * visits / single.max(1.0);
        let is_open = |next: u32, traffic: &Traffic| self.is_open(traffic, keys) && self.is_open(traffic, &[next]);
        let told = followed.next.iter().filter(|(next, traffic)| is_open(*next, traffic));
        let told = told.map(|(next, traffic)| (*next, share(*next, traffic)));
        let told: Vec<(u32, (f32, f32))> = told.filter(|(_, (share, _))| *share >= MIN_SHARE).collect();
        let gain = |(share, known): (f32, f32)| (share - known).max(0.0);
        // All of a pair or nothing: that it does not name a key says that the key does not follow.
        let of_pair = match context {
            RuleContext::Keys(Way::NONE, _) => None,
            _ => Some(told.iter().map(|(_, share)| gain(*share)).sum::<f32>()),
        };
        if of_pair.is_some_and(|sum| sum < LEAST_GAIN) {
            return;
        }
        let each = of_pair.map(|sum| rate * sum / told.len() as f32);
        for (next, share) in told {
            let gain = each.unwrap_or(rate * gain(share));
            selection.offer(RankedRule { context, choice: Choice::Key(next), share: share.0, visits, gain });
        }
    }

    fn offer_templates(
        &self,
        selection: &mut Selection,
        context: TemplateContext,
        shape: u64,
        followed: &SuccessorSum,
    ) {
        /// The addition of a template to rules that name keys.
        const NOVEL: f32 = 0.25;
        let visits = followed.visits();
        for (template, traffic) in followed.next.iter().filter(|(template, _)| *template != Way::NONE) {
            let share = followed.share(traffic);
            if share >= MIN_SHARE && traffic.clients.at_least() >= self.options.min_clients {
                let (context, choice) = (RuleContext::Template(context, shape), Choice::Template(*template));
                selection.offer(RankedRule { context, choice, share, visits, gain: visits * share * NOVEL });
            }
        }
    }

    /// The snapshot of some entries; `places` are for those that are templates.
    fn build(&self, made: u64, name_bytes: u8, places: &[PlaceClass], entries: &[RankedRule]) -> ModelSnapshot {
        let (mut keys, mut templates) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.context {
                RuleContext::Keys(before, last) => {
                    keys.extend([before, last].into_iter().filter(|&key| key != Way::NONE))
                }
                RuleContext::Template(TemplateContext::Step(by), _) => templates.push(by),
                RuleContext::Template(..) => {}
            }
            match entry.choice {
                Choice::Key(key) => keys.push(key),
                Choice::Template(template) => templates.push(template),
            }
        }
        let (keys, key_numbers) = numbered(keys, |key| self.text(key).as_bytes());
        let (templates, template_numbers) = numbered(templates, |template| &self.templates[template as usize]);
        let mut snapshot = ModelSnapshot { made, name_bytes, ..ModelSnapshot::default() };
        snapshot.keys = keys.iter().map(|&key| self.text(key).to_owned()).collect();
        // Of keys that are told anyway, and coarse: a visit of one client rarely shows in a power of two.
        let log2 = |&key: &u32| self.merger.keys[key as usize].visits.max(1).ilog2() as u8;
        snapshot.popularity = keys.iter().map(|key| log2(key).min(ModelSnapshot::MAX_POPULARITY)).collect();
        snapshot.templates = templates.iter().map(|&at| self.templates[at as usize].clone()).collect();
        for (context, then) in rules(entries, &key_numbers, &template_numbers) {
            match context {
                RuleContext::Keys(before, last) => snapshot.rules.push(KeyRule {
                    before: key_numbers.get(&before).copied(),
                    last: key_numbers[&last],
                    then,
                }),
                RuleContext::Template(TemplateContext::Step(by), shape) => snapshot.template_rules.push(TemplateRule {
                    context: TemplateContext::Step(template_numbers[&by]),
                    shape,
                    then,
                }),
                RuleContext::Template(context, shape) => {
                    snapshot.template_rules.push(TemplateRule { context, shape, then });
                }
            }
        }
        snapshot.rules.sort_unstable_by_key(|rule| (rule.last, rule.before));
        snapshot.template_rules.sort_unstable_by_key(|rule| (rule.context, rule.shape));
        if !snapshot.template_rules.is_empty() {
            snapshot.places = places.to_vec();
        }
        snapshot
    }

    /// The classes of the places that most keys lead through. A place is the hash of what lies left of it, so it is told
    /// like a key: if enough clients came to it, or everybody may know it.
    fn places(&self) -> Vec<PlaceClass> {
        let mut uses: FxHashMap<u64, (u64, bool, Clients, bool)> = FxHashMap::default();
        for (&last, followed) in &self.singles {
            let mut clients = Clients::default();
            followed.next.iter().for_each(|(_, traffic)| clients.join(traffic.clients));
            self.shapes.places(self.text(last), |place, is_kind| {
                let entry = uses.entry(place).or_insert((0, is_kind, Clients::default(), false));
                entry.0 += followed.all;
                entry.2.join(clients);
                entry.3 |= self.shared[last as usize];
            });
        }
        let is_open = |clients: Clients, is_shared| is_shared || clients.at_least() >= self.options.min_clients;
        let mut places: Vec<_> =
            uses.into_iter().filter(|(_, (_, _, clients, is_shared))| is_open(*clients, *is_shared)).collect();
        places.sort_unstable_by_key(|&(place, (uses, ..))| (std::cmp::Reverse(uses), place));
        places.truncate(ModelSnapshot::MAX_PLACES);
        let mut places: Vec<_> =
            places.into_iter().map(|(place, (_, is_kind, ..))| PlaceClass { place, is_kind }).collect();
        places.sort_unstable_by_key(|place| place.place);
        places
    }
}

/// Numbers in the order of the texts.
fn numbered<'a>(mut all: Vec<u32>, text: impl Fn(u32) -> &'a [u8]) -> (Vec<u32>, FxHashMap<u32, u32>) {
    all.sort_unstable();
    all.dedup();
    all.sort_unstable_by_key(|&at| text(at));
    let numbers = all.iter().enumerate().map(|(number, &at)| (at, number as u32)).collect();
    (all, numbers)
}

/// Entries by context, the likeliest successors first.
fn rules(
    entries: &[RankedRule],
    keys: &FxHashMap<u32, u32>,
    templates: &FxHashMap<u32, u32>,
) -> FxHashMap<RuleContext, Successors> {
    let mut rules: FxHashMap<RuleContext, (f32, Vec<(f32, u32)>)> = FxHashMap::default();
    for entry in entries {
        let next = match entry.choice {
            Choice::Key(key) => keys[&key],
            Choice::Template(template) => templates[&template],
        };
        let rule = rules.entry(entry.context).or_default();
        rule.0 = entry.visits;
        rule.1.push((entry.share, next));
    }
    let finish = |(context, (visits, mut next)): (RuleContext, (f32, Vec<(f32, u32)>))| {
        next.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        next.truncate(Successors::MAX);
        let visits = ((visits + 0.01) as u32).max(1).ilog2().min(Successors::MAX_VISITS.into()) as u8;
        (
            context,
            Successors {
                visits,
                next: next.into_iter().map(|(share, next)| (next, QuantizedShare::of(share))).collect(),
            },
        )
    };
    rules.into_iter().map(finish).collect()
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "builder_tests.rs"]
mod tests;
