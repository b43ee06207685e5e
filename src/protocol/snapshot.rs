//! `GET /v1/model`: what all clients learned together, pruned to what a new one can use.
//!
//! Every table is written column by column, sorted, as differences: that is what a general compressor makes least of.

/// Largest snapshot in bytes, before compression.
pub const MAX_SNAPSHOT_BYTES: usize = 1 << 20;

/// Successors of one context: numbers of keys or of templates, each with its share of the visits in [`QuantizedShare`] steps.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Successors {
    /// Visits that the shares stand for, as a power of two: 0 to [`Successors::MAX_VISITS`].
    pub visits: u8,
    /// At most [`Successors::MAX`], the likeliest first.
    pub next: Vec<(u32, QuantizedShare)>,
}

impl Successors {
    /// Sixteen visits: a prior that local evidence overrides soon.
    pub const MAX_VISITS: u8 = 4;
    /// Most successors of one context.
    pub const MAX: usize = 7;
}

/// A probability in 5 bits, finer where it is small: the square of a 32nd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuantizedShare(u8);

impl QuantizedShare {
    /// Steps.
    pub const STEPS: u8 = 32;

    /// The nearest one of a probability, never 0.
    pub fn of(probability: f32) -> Self {
        let step = (1..Self::STEPS).find(|&step| Self(step).between() > probability);
        Self(step.unwrap_or(Self::STEPS))
    }

    /// Number of the step, 1 to [`QuantizedShare::STEPS`].
    pub fn step(self) -> u8 {
        self.0
    }

    /// The share of a step from 1 to [`QuantizedShare::STEPS`].
    pub fn from_step(step: u8) -> Option<Self> {
        (1..=Self::STEPS).contains(&step).then_some(Self(step))
    }

    /// In 1,024ths.
    pub fn permil(self) -> u32 {
        u32::from(self.0) * u32::from(self.0)
    }

    /// The probability halfway to the next step.
    fn between(self) -> f32 {
        let square = |step: u8| f32::from(step) * f32::from(step);
        (square(self.0) + square(self.0 + 1)) / 2_048.0
    }
}

/// Successors of a key, or of a key and the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRule {
    /// The key before the last one; `None` where it does not matter.
    pub before: Option<u32>,
    /// The last key.
    pub last: u32,
    /// The successors.
    pub then: Successors,
}

/// Which of a client's contexts a template follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TemplateContext {
    /// The shape of the last key.
    Shape,
    /// The template that led to the last key, by number, and the shape of that.
    Step(u32),
    /// The shape of the last key but one.
    Far,
}

/// Templates that followed a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateRule {
    /// The context.
    pub context: TemplateContext,
    /// Hash of the shape, as the analyzer names it.
    pub shape: u64,
    /// Templates by number.
    pub then: Successors,
}

/// Class of the components at one place of a key, which may name a kind; see the analyzer's component classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceClass {
    /// Hash of the place.
    pub place: u64,
    /// They do.
    pub is_kind: bool,
}

/// A model for new clients. Numbers of keys and templates are indices into `keys` and `templates`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ModelSnapshot {
    /// When it was made, in milliseconds of its maker's clock; a newer one has a greater number.
    pub made: u64,
    /// Bytes of a hash that names a key in what clients report back.
    pub name_bytes: u8,
    /// Canonical texts in byte order, each once.
    pub keys: Vec<String>,
    /// Requests for each key lately, as a power of two from 0 to [`ModelSnapshot::MAX_POPULARITY`]; empty if
    /// that is not known.
    pub popularity: Vec<u8>,
    /// Sorted by context, each once.
    pub rules: Vec<KeyRule>,
    /// Templates in the analyzer's own form, in byte order.
    pub templates: Vec<Vec<u8>>,
    /// Sorted by context, each once.
    pub template_rules: Vec<TemplateRule>,
    /// Sorted by place.
    pub places: Vec<PlaceClass>,
    /// The threshold that clients with this model settle at, in 256ths.
    pub threshold: u8,
    /// Calibration of the Confidence Map, in its own form; empty if nothing.
    pub calibration: Vec<u8>,
}

impl ModelSnapshot {
    /// Most keys.
    pub const MAX_KEYS: usize = 1 << 16;
    /// Most rules of a kind.
    pub const MAX_RULES: usize = 1 << 16;
    /// Most templates.
    pub const MAX_TEMPLATES: usize = 1 << 12;
    /// Most bytes of a template: a longer one is mostly constants, which is a key, not a pattern.
    pub const MAX_TEMPLATE_BYTES: usize = 128;
    /// Most bytes of all keys, or of all templates: what is shared on the wire is written out again.
    pub const MAX_TEXT_BYTES: usize = 2 * MAX_SNAPSHOT_BYTES;
    /// Largest power of two of `popularity`: more visits than that are as good as certain to be known.
    pub const MAX_POPULARITY: u8 = 15;
    /// Most classes of places.
    pub const MAX_PLACES: usize = 512;
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[path = "snapshot_tests.rs"]
mod tests;
