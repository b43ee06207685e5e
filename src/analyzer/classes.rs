//! Component classes, learnt on the spot: which components name a kind, and which an instance.

use std::sync::Arc;

use fxhash::FxHashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::components::{Parts, Reading, Scale, read};

/// Positions told apart; 12 KB.
const POSITIONS: usize = 512;
/// Visits after which a position's statistics are halved.
const WINDOW: u16 = 1_024;
/// Most values of a component that names a kind.
const MAX_VALUES: u32 = 32;
/// Times that each of its values is seen, on average, before a component is believed to name a kind.
const REPEATS: u32 = 4;
/// Distinct words that are taken for kinds before there is any statistics: half of the words of a page of menu
/// entries, and few enough for instances to be recognised soon.
const FEW_WORDS: u32 = 8;
/// Digits from which a number is an instance, however few there are.
const LONG_NUMBER: usize = 3;

/// Class of one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComponentClass {
    /// One of few values, part of the shape.
    Kind,
    /// One of many values: a name, number or date, blank in the shape.
    Instance,
}

/// Form of a key with its instances left blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Hash of number of components, kinds and their places.
    pub(super) hash: u64,
    /// Bit `n` is set where component `n` is a [`ComponentClass::Kind`].
    kinds: u16,
}

impl Shape {
    pub(super) fn class(&self, at: usize) -> ComponentClass {
        if self.kinds >> at & 1 == 1 { ComponentClass::Kind } else { ComponentClass::Instance }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    tag: u32,
    visits: u16,
    /// Linear counting (Whang et al., 1990): one bit for each value's hash, of 128 in two words, as wasm has none of 128.
    values: [u64; 2],
}

impl Position {
    fn see(&mut self, tag: u32, value: u64) {
        if self.tag != tag {
            if self.visits > 1 {
                self.visits -= 1;
                return;
            }
            *self = Self { tag, ..Self::default() };
        }
        self.values[(value >> 63) as usize] |= 1 << (value >> 57 & 63);
        self.visits += 1;
        if self.visits >= WINDOW {
            // Half of the values go with half of the visits, the other half the next time.
            self.visits /= 2;
            let kept = if self.count().is_multiple_of(2) { u64::MAX / 3 } else { u64::MAX / 3 * 2 };
            self.values = self.values.map(|values| values & kept);
        }
    }

    fn count(&self) -> u32 {
        self.values[0].count_ones() + self.values[1].count_ones()
    }

    fn class(&self, tag: u32, reading: Option<Reading>) -> ComponentClass {
        if let Some(Reading { scale, digits: (start, end), .. }) = reading
            && (scale != Scale::Number || end - start >= LONG_NUMBER)
        {
            return ComponentClass::Instance;
        }
        if self.tag != tag {
            return ComponentClass::Instance;
        }
        let values = self.count();
        let proven = values <= MAX_VALUES && u32::from(self.visits) >= REPEATS * values;
        let early = reading.is_none() && values <= FEW_WORDS;
        if proven || early { ComponentClass::Kind } else { ComponentClass::Instance }
    }
}

/// Classes of places that are known from elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct KnownClasses(FxHashMap<u64, ComponentClass>);

impl KnownClasses {
    pub(super) fn new(places: impl Iterator<Item = (u64, bool)>) -> Self {
        let class =
            |(place, is_kind)| (place & !1, if is_kind { ComponentClass::Kind } else { ComponentClass::Instance });
        Self(places.map(class).collect())
    }

    fn class(&self, place: u64) -> Option<ComponentClass> {
        if self.0.is_empty() { None } else { self.0.get(&(place & !1)).copied() }
    }
}

/// The classes of all positions; a position is known by the number of components and the kinds to its left.
#[derive(Debug, Clone)]
pub(super) struct Classes {
    positions: Box<[Position]>,
    /// Places whose class is known from elsewhere, which goes before what is learnt here: shapes are names that all who
    /// share a model have to agree on.
    given: Arc<KnownClasses>,
}

fn combine(hash: u64, value: u64) -> u64 {
    let mixed = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

impl Classes {
    pub(super) fn new() -> Self {
        Self { positions: vec![Position::default(); POSITIONS].into(), given: Arc::default() }
    }

    /// Takes over the classes of places; those given before are forgotten.
    pub(super) fn give(&mut self, places: Arc<KnownClasses>) {
        self.given = places;
    }

    /// The places on the way through a key, each with its class. O(components).
    pub(super) fn places(&self, parts: &Parts<'_>, mut see: impl FnMut(u64, bool)) {
        walk(parts, &mut |place, _, reading| {
            let class = self.class(place, reading);
            see(place & !1, class == ComponentClass::Kind);
            class
        });
    }

    fn class(&self, place: u64, reading: Option<Reading>) -> ComponentClass {
        let learnt = || self.positions[slot(place)].class(tag(place), reading);
        self.given.class(place).unwrap_or_else(learnt)
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.positions)
    }

    /// Counts a key and returns its shape. O(components).
    pub(super) fn observe(&mut self, parts: &Parts<'_>) -> Shape {
        walk(parts, &mut |place, value, reading| {
            self.positions[slot(place)].see(tag(place), value);
            self.class(place, reading)
        })
    }

    /// The shape of a key that nobody has asked for. O(components).
    pub(super) fn shape(&self, parts: &Parts<'_>) -> Shape {
        walk(parts, &mut |place, _, reading| self.class(place, reading))
    }
}

/// Slot of a place's statistics; `tag` tells it from others there.
fn slot(place: u64) -> usize {
    (place >> 32) as usize % POSITIONS
}

fn tag(place: u64) -> u32 {
    place as u32 | 1
}

type ClassOf<'a> = &'a mut dyn FnMut(u64, u64, Option<Reading>) -> ComponentClass;

fn walk(parts: &Parts<'_>, class_of: ClassOf<'_>) -> Shape {
    let mut left = combine(1, parts.len() as u64);
    let mut kinds = 0;
    for (n, component) in parts.iter().enumerate() {
        let value = xxh3_64(component);
        let place = combine(left, n as u64);
        let reading = read(component);
        left = match class_of(place, value, reading) {
            ComponentClass::Kind => {
                kinds |= 1 << n;
                combine(left, value)
            }
            ComponentClass::Instance => combine(left, reading.map_or(2, |reading| 3 + reading.scale as u64)),
        };
    }
    Shape { hash: left, kinds }
}

#[cfg(test)]
#[path = "classes_tests.rs"]
mod tests;
