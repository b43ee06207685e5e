//! Structural templates: how the next key is made from the last one.
//!
//! A template names for each component of the next key where it comes from: a component of the last key
//! (copy), a step on a scale from the one at the same place (numbers, dates), or a fixed word (constant).
//! Learnt from `user/77/profile -> user/77/avatar`, it turns `user/42/profile` into `user/42/avatar`, whether or
//! not anybody ever asked for that.

use super::classes::{ComponentClass, Shape};
use super::components::{Parts, Reading, push_moved, read};
use crate::key::{CompositeKey, MAX_COMPONENTS, MAX_KEY_BYTES};

const COPY: u8 = 1;
const MOVE: u8 = 2;
const MOVE_PADDED: u8 = 3;
const CONSTANT: u8 = 4;

/// Largest step: beyond it, two numbers are unrelated more often than not. From 1,024 to 65,536 replays level within
/// 1.2 points; 64 lost 20 on block numbers.
const MAX_STEP: u64 = 1 << 12;

/// Writes the template that leads from `last` to `next` into `out`; `shape` is that of `next`. Returns `false`,
/// with `out` in an undefined state, where none does. Of several origins of a component the first of
/// these is taken, so that one relation has one template: same place, constant kind, other place, step. O(components).
pub(super) fn derive(last: &Parts<'_>, next: &Parts<'_>, shape: &Shape, out: &mut Vec<u8>) -> bool {
    out.clear();
    for (at, component) in next.iter().enumerate() {
        let same = last.get(at);
        if same == Some(component) {
            out.extend([COPY, at as u8]);
        } else if shape.class(at) == ComponentClass::Kind {
            let Ok(len) = u8::try_from(component.len()) else { return false };
            out.extend([CONSTANT, len]);
            out.extend_from_slice(component);
        } else if let Some(from) = last.iter().position(|other| other == component && component.len() > 1) {
            out.extend([COPY, from as u8]);
        } else if !same.is_some_and(|same| derive_step(same, component, out)) {
            return false;
        }
    }
    true
}

fn derive_step(last: &[u8], next: &[u8], out: &mut Vec<u8>) -> bool {
    let (Some(from), Some(to)) = (read(last), read(next)) else { return false };
    let ((start, end), (next_start, next_end)) = (from.digits, to.digits);
    let step = to.value - from.value;
    let alike = from.scale == to.scale && last[..start] == next[..next_start] && last[end..] == next[next_end..];
    if !alike || step == 0 || step.unsigned_abs() > MAX_STEP {
        return false;
    }
    let padded = from.padded || to.padded;
    if padded && next_end - next_start != end - start {
        return false;
    }
    out.push(if padded { MOVE_PADDED } else { MOVE });
    out.extend_from_slice(&(step as i32).to_le_bytes());
    true
}

/// A component of the last key as it was read, so that several templates which move it read it once.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LastRead(Option<(usize, Option<Reading>)>);

impl LastRead {
    fn of(&mut self, at: usize, component: &[u8]) -> Option<Reading> {
        match self.0 {
            Some((known, reading)) if known == at => reading,
            _ => {
                let reading = read(component);
                self.0 = Some((at, reading));
                reading
            }
        }
    }
}

/// Appends the key that `template` makes from `last`, of which `read` is kept. Returns `false`, with nothing appended, where it makes none.
/// O(components).
pub(super) fn apply(template: &[u8], last: &Parts<'_>, read: &mut LastRead, out: &mut Vec<u8>) -> bool {
    let start = out.len();
    let made = apply_all(template, last, read, out).is_some() && out.len() - start <= MAX_KEY_BYTES;
    if !made {
        out.truncate(start);
    }
    made
}

/// Tells whether a template that somebody else derived makes nothing but keys in canonical text, as those derived here do.
/// O(bytes).
pub(super) fn is_sound(mut template: &[u8]) -> bool {
    let mut components = 0;
    while let [op, rest @ ..] = template {
        components += 1;
        let end = match (*op, rest) {
            (COPY, [from, ..]) if usize::from(*from) < MAX_COMPONENTS => 1,
            (MOVE | MOVE_PADDED, [_, _, _, _, ..]) => 4,
            (CONSTANT, [len, rest @ ..]) => {
                let word = rest.get(..usize::from(*len)).and_then(|word| std::str::from_utf8(word).ok());
                let Some(word) = word.filter(|word| !word.contains('/')) else { return false };
                if CompositeKey::from_canonical(word).is_none() {
                    return false;
                }
                1 + word.len()
            }
            _ => return false,
        };
        template = &rest[end..];
    }
    (1..=MAX_COMPONENTS).contains(&components)
}

fn apply_all(mut template: &[u8], last: &Parts<'_>, read: &mut LastRead, out: &mut Vec<u8>) -> Option<()> {
    let mut at = 0;
    while let [op, rest @ ..] = template {
        if at > 0 {
            out.push(b'/');
        }
        match *op {
            COPY => {
                let (from, rest) = rest.split_first()?;
                out.extend_from_slice(last.get(usize::from(*from))?);
                template = rest;
            }
            CONSTANT => {
                let (len, rest) = rest.split_first()?;
                let (component, rest) = rest.split_at_checked(usize::from(*len))?;
                out.extend_from_slice(component);
                template = rest;
            }
            _ => {
                let (step, rest) = rest.split_first_chunk::<4>()?;
                let step = i64::from(i32::from_le_bytes(*step));
                let component = last.get(at)?;
                if !push_moved(out, component, &read.of(at, component)?, step, *op == MOVE_PADDED) {
                    return None;
                }
                template = rest;
            }
        }
        at += 1;
    }
    (at > 0).then_some(())
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
