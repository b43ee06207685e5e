//! From counts to a snapshot of a bounded size.

use fxhash::FxHashMap;

use super::merger::{COUNT, Merger, Traffic, Way};
use super::selection::{Choice, Context, Entry, Selection};
use crate::analyzer::Shapes;
use crate::protocol::{
    KeyRule, MAX_SNAPSHOT_BYTES, ModelSnapshot, PlaceClass, Share, Successors, TemplateContext, TemplateRule,
};

/// What a snapshot may hold.
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
/// Times that a key is counted, at most, when component classes are found out: what is asked for often is no kind for
/// that.
const MAX_SIGHTINGS: u32 = 8;

/// What followed a context, summed up.
#[derive(Debug, Default)]
struct Followed {
    all: u64,
    next: Vec<(u32, Traffic)>,
}

impl Followed {
    /// Visits of the context, in the window.
    fn visits(&self) -> f32 {
        self.all as f32 / COUNT as f32
    }

    fn add(&mut self, next: u32, traffic: &Traffic) {
        self.all += traffic.all;
        match self.next.iter_mut().find(|(known, _)| *known == next) {
            Some((_, sum)) => {
                sum.all += traffic.all;
                sum.fresh += traffic.fresh;
                sum.clients.join(traffic.clients);
            }
            None => self.next.push((next, *traffic)),
        }
    }

    fn share(&self, traffic: &Traffic) -> f32 {
        traffic.fresh as f32 / self.all.max(1) as f32
    }
}

/// All that one building needs to look up.
struct Tables<'a> {
    merger: &'a Merger,
    options: &'a SnapshotOptions<'a>,
    shared: Vec<bool>,
    singles: FxHashMap<u32, Followed>,
    pairs: FxHashMap<(u32, u32), Followed>,
    shapes: Shapes,
    templates: Vec<Vec<u8>>,
    by_template: FxHashMap<(TemplateContext, u64), Followed>,
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
        /// Largest snapshot before compression, with room for what calibrates it.
        const RAW: usize = MAX_SNAPSHOT_BYTES - (64 << 10);
        let mut tables = Tables::new(self, options);
        tables.find_templates();
        let mut selection = tables.select();
        let name_bytes = name_bytes(self.keys.len());
        let build = |selected: &[Entry]| tables.build(made, name_bytes, selected);
        let mut snapshots = Vec::with_capacity(sizes.len());
        for &size in sizes {
            selection.fit(size, |selected| {
                let bytes = build(selected).encode();
                let in_proportion = bytes.len() as u64 * size as u64 / RAW as u64;
                (options.compressed)(&bytes).max(in_proportion as usize)
            });
            snapshots.push(build(selection.chosen()));
            if selection.is_whole() {
                break;
            }
        }
        snapshots
    }
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
        let (mut singles, mut pairs) = (FxHashMap::<_, Followed>::default(), FxHashMap::<_, Followed>::default());
        let mut sightings = vec![0; merger.keys.len()];
        for (way, traffic) in ways {
            singles.entry(way.last).or_default().add(way.next, traffic);
            if way.before != Way::NONE {
                pairs.entry((way.before, way.last)).or_default().add(way.next, traffic);
            }
            sightings[way.next as usize] += traffic.clients.at_least();
        }
        let mut shapes = Shapes::new();
        for &key in &order {
            for _ in 0..sightings[key as usize].clamp(1, MAX_SIGHTINGS) {
                shapes.observe(&merger.keys[key as usize].text);
            }
        }
        let shared = merger.keys.iter().map(|key| (options.is_shared)(&key.text)).collect();
        let (templates, by_template) = (Vec::new(), FxHashMap::default());
        Self { merger, options, shared, singles, pairs, shapes, templates, by_template }
    }

    fn text(&self, key: u32) -> &str {
        &self.merger.keys[key as usize].text
    }

    /// Whether a snapshot may tell of a way.
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
        let mut rules: FxHashMap<(TemplateContext, u64), Followed> = FxHashMap::default();
        let shape: Vec<u64> = merger.keys.iter().map(|key| shapes.shape(&key.text)).collect();
        for (way, traffic) in &merger.ways {
            let shape_of = |key: u32| shape[key as usize];
            let made = of(way.last, way.next).unwrap_or(Way::NONE);
            rules.entry((TemplateContext::Shape, shape_of(way.last))).or_default().add(made, traffic);
            if way.before == Way::NONE {
                continue;
            }
            if let Some(by) = of(way.before, way.last) {
                rules.entry((TemplateContext::Step(by), shape_of(way.last))).or_default().add(made, traffic);
            }
            if way.before != way.next {
                let far = of(way.before, way.next).unwrap_or(Way::NONE);
                rules.entry((TemplateContext::Far, shape_of(way.before))).or_default().add(far, traffic);
            }
        }
        (self.templates, self.by_template) = (templates, rules);
    }

    /// Everything that may be told, with what it is worth.
    fn select(&self) -> Selection {
        let mut selection = Selection::default();
        for (&last, followed) in &self.singles {
            self.offer(&mut selection, Context::Keys(Way::NONE, last), followed, &[last], |_| 0.0);
        }
        for (&(before, last), followed) in &self.pairs {
            let single = self.singles.get(&last);
            let known = |next: u32| {
                let single = single?;
                let (_, traffic) = single.next.iter().find(|(known, _)| *known == next)?;
                self.is_open(traffic, &[last, next]).then(|| single.share(traffic))
            };
            self.offer(&mut selection, Context::Keys(before, last), followed, &[before, last], |next| {
                known(next).unwrap_or(0.0)
            });
        }
        for (&(context, shape), followed) in &self.by_template {
            self.offer_templates(&mut selection, context, shape, followed);
        }
        let text_bytes = |choice: Choice| match choice {
            Choice::Key(key) => self.text(key).len(),
            Choice::Template(template) => self.templates[template as usize].len(),
        };
        selection.order(text_bytes, |choice| match choice {
            Choice::Key(key) => self.text(key).as_bytes(),
            Choice::Template(template) => &self.templates[template as usize],
        });
        selection
    }

    /// Offers what followed keys; what `known` says is predicted without it counts for nothing.
    fn offer(
        &self,
        selection: &mut Selection,
        context: Context,
        followed: &Followed,
        keys: &[u32],
        known: impl Fn(u32) -> f32,
    ) {
        let visits = followed.visits();
        // What came before the window counts for what the rule is worth.
        let last = keys[keys.len() - 1];
        let single = self.singles.get(&last).map_or(1.0, Followed::visits);
        let rate = self.merger.keys[last as usize].visits as f32 * visits / single.max(1.0);
        for (next, traffic) in &followed.next {
            let share = followed.share(traffic);
            let is_open = self.is_open(traffic, keys)
                && (self.shared[*next as usize] || { traffic.clients.at_least() >= self.options.min_clients });
            if share >= MIN_SHARE && is_open {
                let gain = rate * (share - known(*next)).max(0.0);
                selection.offer(Entry { context, choice: Choice::Key(*next), share, visits, gain });
            }
        }
    }

    fn offer_templates(&self, selection: &mut Selection, context: TemplateContext, shape: u64, followed: &Followed) {
        /// What a template adds to rules that name keys.
        const NOVEL: f32 = 0.25;
        let visits = followed.visits();
        for (template, traffic) in followed.next.iter().filter(|(template, _)| *template != Way::NONE) {
            let share = followed.share(traffic);
            if share >= MIN_SHARE && traffic.clients.at_least() >= self.options.min_clients {
                let (context, choice) = (Context::Template(context, shape), Choice::Template(*template));
                selection.offer(Entry { context, choice, share, visits, gain: visits * share * NOVEL });
            }
        }
    }

    /// The snapshot of some entries.
    fn build(&self, made: u64, name_bytes: u8, entries: &[Entry]) -> ModelSnapshot {
        let (mut keys, mut templates) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry.context {
                Context::Keys(before, last) => keys.extend([before, last].into_iter().filter(|&key| key != Way::NONE)),
                Context::Template(TemplateContext::Step(by), _) => templates.push(by),
                Context::Template(..) => {}
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
        snapshot.templates = templates.iter().map(|&at| self.templates[at as usize].clone()).collect();
        for (context, then) in rules(entries, &key_numbers, &template_numbers) {
            match context {
                Context::Keys(before, last) => snapshot.rules.push(KeyRule {
                    before: key_numbers.get(&before).copied(),
                    last: key_numbers[&last],
                    then,
                }),
                Context::Template(TemplateContext::Step(by), shape) => snapshot.template_rules.push(TemplateRule {
                    context: TemplateContext::Step(template_numbers[&by]),
                    shape,
                    then,
                }),
                Context::Template(context, shape) => {
                    snapshot.template_rules.push(TemplateRule { context, shape, then });
                }
            }
        }
        snapshot.rules.sort_unstable_by_key(|rule| (rule.last, rule.before));
        snapshot.template_rules.sort_unstable_by_key(|rule| (rule.context, rule.shape));
        if !snapshot.template_rules.is_empty() {
            snapshot.places = self.places();
        }
        snapshot
    }

    /// The classes of the places that most keys lead through.
    fn places(&self) -> Vec<PlaceClass> {
        let mut uses: FxHashMap<u64, (u64, bool)> = FxHashMap::default();
        for (&last, followed) in &self.singles {
            self.shapes.places(self.text(last), |place, is_kind| {
                uses.entry(place).or_insert((0, is_kind)).0 += followed.all;
            });
        }
        let mut places: Vec<_> = uses.into_iter().collect();
        places.sort_unstable_by_key(|&(place, (uses, _))| (std::cmp::Reverse(uses), place));
        places.truncate(ModelSnapshot::MAX_PLACES);
        places.sort_unstable();
        places.into_iter().map(|(place, (_, is_kind))| PlaceClass { place, is_kind }).collect()
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
    entries: &[Entry],
    keys: &FxHashMap<u32, u32>,
    templates: &FxHashMap<u32, u32>,
) -> FxHashMap<Context, Successors> {
    let mut rules: FxHashMap<Context, (f32, Vec<(f32, u32)>)> = FxHashMap::default();
    for entry in entries {
        let next = match entry.choice {
            Choice::Key(key) => keys[&key],
            Choice::Template(template) => templates[&template],
        };
        let rule = rules.entry(entry.context).or_default();
        rule.0 = entry.visits;
        rule.1.push((entry.share, next));
    }
    let finish = |(context, (visits, mut next)): (Context, (f32, Vec<(f32, u32)>))| {
        next.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        next.truncate(Successors::MAX);
        let visits = ((visits + 0.01) as u32).max(1).ilog2().min(Successors::MAX_VISITS.into()) as u8;
        (context, Successors { visits, next: next.into_iter().map(|(share, next)| (next, Share::of(share))).collect() })
    };
    rules.into_iter().map(finish).collect()
}

#[cfg(test)]
#[path = "builder_tests.rs"]
mod tests;
