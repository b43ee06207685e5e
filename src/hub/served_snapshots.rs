//! [`ServedSnapshots`]: the latest model as callers get it.

use std::rc::Rc;

use fxhash::FxBuildHasher;
use lru::LruCache;

use crate::codec::{DecodeError, Reader, Writer};
use crate::key::KeyPrefix;
use crate::model::{CLASSES, DEFAULT_BYTES, Earlier, class_of, distinct, restricted};
use crate::partition::xxh3;
use crate::protocol::{ModelSnapshot, model_delta};

const MAGIC: [u8; 4] = *b"FMHM";
const VERSION: u8 = 1;

/// Encoding of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `br`
    Brotli,
    /// `gzip`
    Gzip,
    /// Not at all.
    Identity,
}

impl Encoding {
    /// By its name in `content-encoding`; what is not known is none.
    pub fn named(name: &str) -> Self {
        match name {
            "br" => Self::Brotli,
            "gzip" => Self::Gzip,
            _ => Self::Identity,
        }
    }

    /// Its name in `content-encoding`; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Gzip => "gzip",
            Self::Identity => "",
        }
    }
}

/// Body of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The model, encoded.
    pub bytes: Vec<u8>,
    /// The entity tag: another one for other bytes.
    pub tag: String,
}

/// Of what prefixes, of which class, in which encoding, and as a difference from the model that was made when.
type Wanted = (Option<Vec<KeyPrefix>>, usize, Encoding, Option<u64>);

/// A snapshot in the sizes of [`CLASSES`], or the first of them where the last has everything in it; and what of it has
/// been asked for, each made once.
#[derive(Debug)]
pub(super) struct ServedSnapshots {
    made: u64,
    /// One at least, ascending.
    sizes: Rc<[Vec<u8>]>,
    /// This one too: whoever has it is told so in a few bytes.
    earlier: Earlier<Rc<[Vec<u8>]>>,
    bodies: LruCache<Wanted, Body, FxBuildHasher>,
}

impl ServedSnapshots {
    /// Most bodies that are kept; 256 KiB compressed or 1 MiB each.
    pub(super) const MAX_BODIES: usize = 24;

    /// `None` where there is no snapshot, or one that nobody could read.
    pub(super) fn of(snapshots: &[ModelSnapshot]) -> Option<Self> {
        Self::from_sizes(snapshots.iter().map(ModelSnapshot::encode).collect()).ok()
    }

    fn from_sizes(sizes: Vec<Vec<u8>>) -> Result<Self, DecodeError> {
        let mut made = None;
        for size in &sizes {
            made = Some(ModelSnapshot::decode(size)?.made);
        }
        let made = made.ok_or(DecodeError::BadValue("sizes"))?;
        let mut served = Self {
            made,
            sizes: sizes.into(),
            earlier: Earlier::default(),
            bodies: LruCache::unbounded_with_hasher(FxBuildHasher::default()),
        };
        served.earlier.keep(made, served.sizes.clone());
        Ok(served)
    }

    /// Takes over what was served before this one.
    pub(super) fn after(mut self, earlier: Option<Self>) -> Self {
        if let Some(Self { mut earlier, .. }) = earlier {
            earlier.keep(self.made, self.sizes.clone());
            self.earlier = earlier;
        }
        self
    }

    /// From here on nothing leads from a model of before.
    pub(super) fn forget_earlier(&mut self) {
        self.earlier = Earlier::default();
    }

    pub(super) fn earlier(&self) -> usize {
        self.earlier.len()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.list(self.sizes.iter(), |w, size| w.bytes(size));
        w.finish()
    }

    /// Reads what [`ServedSnapshots::encode`] wrote, and every snapshot in it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let sizes = r.list(CLASSES.len(), "sizes", |r| Ok(r.bytes()?.to_vec()))?;
        r.finish()?;
        Self::from_sizes(sizes)
    }

    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Bytes of the largest size.
    pub(super) fn bytes(&self) -> usize {
        self.sizes.last().map_or(0, Vec::len)
    }

    pub(super) fn bodies(&self) -> usize {
        self.bodies.len()
    }

    /// The size that a judge goes on with.
    pub(super) fn judged(&self) -> Option<ModelSnapshot> {
        let class = class_of(DEFAULT_BYTES as usize).min(self.sizes.len() - 1);
        ModelSnapshot::decode(&self.sizes[class]).ok()
    }

    pub(super) fn body(
        &mut self,
        prefixes: Option<&[KeyPrefix]>,
        class: usize,
        encoding: Encoding,
        from: Option<u64>,
        compress: &dyn Fn(&[u8], Encoding) -> Vec<u8>,
    ) -> Body {
        let older = from.and_then(|made| Some((made, self.earlier.get(made)?.clone())));
        let wanted = (prefixes.map(distinct), class, encoding, older.as_ref().map(|(made, _)| *made));
        if let Some(body) = self.bodies.get(&wanted) {
            return body.clone();
        }
        let raw = |sizes: &[Vec<u8>]| match &wanted.0 {
            None => sizes[class.min(sizes.len() - 1)].clone(),
            Some(prefixes) => {
                let fits = |raw: &Vec<u8>| compress(raw, Encoding::Brotli).len() <= CLASSES[class];
                restricted(sizes.iter().map(Vec::as_slice), prefixes, ModelSnapshot::encode, fits).unwrap_or_default()
            }
        };
        let encode = |raw: Vec<u8>| if encoding == Encoding::Identity { raw } else { compress(&raw, encoding) };
        let whole = raw(&self.sizes);
        let delta = older.map(|(_, older)| encode(model_delta(&raw(&older), &whole)));
        let whole = encode(whole);
        let bytes = delta.filter(|delta| delta.len() < whole.len()).unwrap_or(whole);
        let body = Body { tag: format!("\"{:016x}\"", xxh3(0, &bytes)), bytes };
        while self.bodies.len() >= Self::MAX_BODIES && self.bodies.pop_lru().is_some() {}
        self.bodies.put(wanted, body.clone());
        body
    }
}
