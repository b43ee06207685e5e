//! The binary form of a model.

use super::snapshot::{
    KeyRule, MAX_SNAPSHOT_BYTES, ModelSnapshot, PlaceClass, QuantizedShare, Successors, TemplateContext, TemplateRule,
};
use crate::codec::{DecodeError, Reader, Writer, unzigzag, zigzag};
use crate::key::{CompositeKey, MAX_KEY_BYTES};

const MAGIC: [u8; 4] = *b"FMLM";
const VERSION: u8 = 2;

/// Length of the common beginning.
fn shared(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

impl ModelSnapshot {
    /// The binary form.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_header(MAGIC, VERSION);
        w.varint(self.made);
        w.u8(self.name_bytes);
        let texts: Vec<&[u8]> = self.keys.iter().map(String::as_bytes).collect();
        put_texts(&mut w, &texts);
        w.bytes(&self.popularity);
        let templates: Vec<&[u8]> = self.templates.iter().map(Vec::as_slice).collect();
        put_texts(&mut w, &templates);
        let rules = &self.rules;
        w.varint(rules.len() as u64);
        let mut last = 0;
        for rule in rules {
            w.varint(u64::from(rule.last - last));
            last = rule.last;
        }
        for rule in rules {
            let before = rule.before.map(|before| 1 + zigzag(i64::from(before) - i64::from(rule.last)));
            w.varint(before.unwrap_or(0));
        }
        put_successors(&mut w, rules.iter().map(|rule| (&rule.then, rule.last)));
        put_template_rules(&mut w, &self.template_rules);
        w.list(self.places.iter(), |w, place| w.u64_le(place.place & !1 | u64::from(place.is_kind)));
        w.u8(self.threshold);
        w.bytes(&self.calibration);
        w.finish()
    }

    /// Reads the binary form. Nothing is sorted or referred to that is not there. O(bytes).
    ///
    /// # Errors
    /// [`DecodeError`] where the bytes are not those of a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(DecodeError::TooMany("bytes"));
        }
        let mut r = Reader::with_header(bytes, MAGIC, VERSION)?;
        let made = r.at_most(crate::codec::MAX_SAFE_INTEGER, "made")?;
        let name_bytes = r.u8()?;
        if !(1..=8).contains(&name_bytes) {
            return Err(DecodeError::BadValue("name_bytes"));
        }
        let texts = texts(&mut r, Self::MAX_KEYS, MAX_KEY_BYTES, "keys")?;
        let keys = texts.into_iter().map(|text| {
            let text = String::from_utf8(text).map_err(|_| DecodeError::BadValue("key"))?;
            if CompositeKey::from_canonical(&text).is_some() { Ok(text) } else { Err(DecodeError::BadValue("key")) }
        });
        let keys: Vec<String> = keys.collect::<Result<_, _>>()?;
        let popularity = popularity(&mut r, keys.len())?;
        let templates = self::texts(&mut r, Self::MAX_TEMPLATES, Self::MAX_TEMPLATE_BYTES, "templates")?;
        let rules = rules(&mut r, keys.len())?;
        let template_rules = template_rules(&mut r, templates.len())?;
        let places = r.list(Self::MAX_PLACES, "places", |r| {
            let place = r.u64_le()?;
            Ok(PlaceClass { place: place & !1, is_kind: place & 1 == 1 })
        })?;
        let threshold = r.u8()?;
        let calibration = r.bytes()?.to_vec();
        r.finish()?;
        Ok(Self {
            made,
            name_bytes,
            keys,
            popularity,
            rules,
            templates,
            template_rules,
            places,
            threshold,
            calibration,
        })
    }
}

fn put_template_rules(w: &mut Writer, rules: &[TemplateRule]) {
    w.list(rules.iter(), |w, rule| {
        w.varint(match rule.context {
            TemplateContext::Shape => 0,
            TemplateContext::Far => 1,
            TemplateContext::Step(by) => 2 + u64::from(by),
        });
        w.u64_le(rule.shape);
    });
    put_successors(w, rules.iter().map(|rule| (&rule.then, 0)));
}

fn put_texts(w: &mut Writer, texts: &[&[u8]]) {
    w.varint(texts.len() as u64);
    let mut before: &[u8] = &[];
    let mut rests = Vec::with_capacity(texts.len());
    for text in texts {
        let same = shared(before, text);
        w.varint(same as u64);
        rests.push(&text[same..]);
        before = text;
    }
    for rest in &rests {
        w.varint(rest.len() as u64);
    }
    for rest in rests {
        w.raw(rest);
    }
}

fn put_successors<'a>(w: &mut Writer, all: impl Iterator<Item = (&'a Successors, u32)> + Clone) {
    for (then, _) in all.clone() {
        w.u8(then.visits << 3 | then.next.len() as u8);
    }
    for (then, base) in all.clone() {
        for (next, _) in &then.next {
            w.varint(zigzag(i64::from(*next) - i64::from(base)));
        }
    }
    for (then, _) in all {
        for (_, share) in &then.next {
            w.u8(share.step());
        }
    }
}

/// One byte for each key, or none at all.
fn popularity(r: &mut Reader<'_>, keys: usize) -> Result<Vec<u8>, DecodeError> {
    let popularity = r.bytes()?;
    let is_whole = popularity.is_empty() || popularity.len() == keys;
    if is_whole && popularity.iter().all(|&log2| log2 <= ModelSnapshot::MAX_POPULARITY) {
        Ok(popularity.to_vec())
    } else {
        Err(DecodeError::BadValue("popularity"))
    }
}

fn texts(r: &mut Reader<'_>, max: usize, longest: usize, field: &'static str) -> Result<Vec<Vec<u8>>, DecodeError> {
    let same = r.list(max, field, |r| r.at_most(longest as u64, field))?;
    let mut lens = Vec::with_capacity(same.len());
    for _ in &same {
        lens.push(r.at_most(longest as u64, field)?);
    }
    let mut texts: Vec<Vec<u8>> = Vec::with_capacity(same.len());
    let mut room = ModelSnapshot::MAX_TEXT_BYTES;
    for (same, len) in same.into_iter().zip(lens) {
        let before = texts.last().map_or(&[][..], Vec::as_slice);
        let start = before.get(..same as usize).ok_or(DecodeError::BadValue(field))?;
        let mut text = start.to_vec();
        text.extend_from_slice(r.raw(len as usize)?);
        room = room.checked_sub(text.len()).ok_or(DecodeError::TooMany(field))?;
        if text.len() > longest || (!texts.is_empty() && text.as_slice() <= before) {
            return Err(DecodeError::BadValue(field));
        }
        texts.push(text);
    }
    Ok(texts)
}

fn rules(r: &mut Reader<'_>, keys: usize) -> Result<Vec<KeyRule>, DecodeError> {
    let mut last = 0;
    let lasts = r.list(ModelSnapshot::MAX_RULES, "rules", |r| {
        last += r.at_most(keys as u64, "last")?;
        if last < keys as u64 { Ok(last as u32) } else { Err(DecodeError::BadValue("last")) }
    })?;
    let mut rules: Vec<KeyRule> = Vec::with_capacity(lasts.len());
    for last in lasts {
        let before = match r.varint()? {
            0 => None,
            coded => Some(number(unzigzag(coded - 1), last, keys)?),
        };
        if rules.last().is_some_and(|rule| (rule.last, rule.before) >= (last, before)) {
            return Err(DecodeError::BadValue("before"));
        }
        rules.push(KeyRule { before, last, then: Successors::default() });
    }
    let bases: Vec<u32> = rules.iter().map(|rule| rule.last).collect();
    for (rule, then) in rules.iter_mut().zip(successors(r, &bases, keys)?) {
        rule.then = then;
    }
    Ok(rules)
}

fn template_rules(r: &mut Reader<'_>, templates: usize) -> Result<Vec<TemplateRule>, DecodeError> {
    let mut rules = r.list(ModelSnapshot::MAX_RULES, "template_rules", |r| {
        let context = match r.varint()? {
            0 => TemplateContext::Shape,
            1 => TemplateContext::Far,
            by if by - 2 < templates as u64 => TemplateContext::Step((by - 2) as u32),
            _ => return Err(DecodeError::BadValue("step")),
        };
        Ok(TemplateRule { context, shape: r.u64_le()?, then: Successors::default() })
    })?;
    if !rules.is_sorted_by(|a, b| (a.context, a.shape) < (b.context, b.shape)) {
        return Err(DecodeError::BadValue("template_rules"));
    }
    let bases = vec![0; rules.len()];
    for (rule, then) in rules.iter_mut().zip(successors(r, &bases, templates)?) {
        rule.then = then;
    }
    Ok(rules)
}

fn number(difference: i64, base: u32, count: usize) -> Result<u32, DecodeError> {
    let number = difference.checked_add(i64::from(base)).and_then(|number| usize::try_from(number).ok());
    match number {
        Some(number) if number < count => Ok(number as u32),
        _ => Err(DecodeError::BadValue("number")),
    }
}

fn successors(r: &mut Reader<'_>, bases: &[u32], count: usize) -> Result<Vec<Successors>, DecodeError> {
    let mut all = Vec::with_capacity(bases.len());
    let mut heads = Vec::with_capacity(bases.len());
    for _ in bases {
        let head = r.u8()?;
        let (visits, len) = (head >> 3, usize::from(head & 7));
        if visits > Successors::MAX_VISITS || len == 0 {
            return Err(DecodeError::BadValue("successors"));
        }
        heads.push((visits, len));
    }
    for (&base, (visits, len)) in bases.iter().zip(heads) {
        let mut next = Vec::with_capacity(len);
        for _ in 0..len {
            next.push((number(unzigzag(r.varint()?), base, count)?, QuantizedShare::of(0.0)));
        }
        all.push(Successors { visits, next });
    }
    for (_, share) in all.iter_mut().flat_map(|then| &mut then.next) {
        *share = QuantizedShare::from_step(r.u8()?).ok_or(DecodeError::BadValue("share"))?;
    }
    Ok(all)
}
