//! Short forms of texts: two digits in one byte.

/// First of the hundred bytes that stand for two digits; ASCII uses none of them.
const PAIRS: u8 = 0x80;

/// The numbers below a hundred, two digits each.
pub(super) const DIGITS: [[u8; 2]; 100] = {
    let (mut pairs, mut n) = ([[0; 2]; 100], 0);
    while n < 100 {
        pairs[n] = [b'0' + n as u8 / 10, b'0' + n as u8 % 10];
        n += 1;
    }
    pairs
};

/// Writes the short form of an ASCII text into `out`. Returns `false`, with `out` in an undefined state, where
/// there is none that is shorter. O(bytes).
pub(super) fn pack(text: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match (first, tail) {
            (b'0'..=b'9', [second @ b'0'..=b'9', tail @ ..]) => {
                out.push(PAIRS + (first - b'0') * 10 + (second - b'0'));
                rest = tail;
            }
            (0..PAIRS, _) => out.push(*first),
            _ => return false,
        }
    }
    out.len() < text.len()
}

fn pair(byte: u8) -> [u8; 2] {
    DIGITS.get(usize::from(byte - PAIRS)).copied().unwrap_or_default()
}

/// Writes the text whose short form is `packed` into `out`.
pub(super) fn unpack(packed: &[u8], out: &mut Vec<u8>) {
    out.clear();
    for &byte in packed {
        if byte < PAIRS {
            out.push(byte);
        } else {
            out.extend_from_slice(&pair(byte));
        }
    }
}

/// Tells whether `packed` is the short form of `text`.
pub(super) fn is_packed(packed: &[u8], text: &[u8]) -> bool {
    let mut rest = text;
    for &byte in packed {
        let same = match rest {
            [a, b, tail @ ..] if byte >= PAIRS && [*a, *b] == pair(byte) => {
                rest = tail;
                true
            }
            [a, tail @ ..] if *a == byte && byte < PAIRS => {
                rest = tail;
                true
            }
            _ => false,
        };
        if !same {
            return false;
        }
    }
    rest.is_empty()
}

#[cfg(test)]
#[path = "packing_tests.rs"]
mod tests;
