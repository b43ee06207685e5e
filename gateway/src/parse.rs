//! Values on the command line.

use foremap::key::KeyPrefix;

pub(crate) fn prefix(text: &str) -> Result<KeyPrefix, String> {
    KeyPrefix::parse(text).map_err(|error| error.reason().to_owned())
}

pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let units = [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)];
    let parse = |(unit, seconds): (char, u64)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(seconds);
    let found = units.into_iter().find_map(parse).filter(|&seconds| seconds > 0);
    found.ok_or_else(|| "a time is a number and s, m, h or d, such as 15m".to_owned())
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    // More than any machine has, and far from overflow.
    let number = text.parse().ok().filter(|number| (1..=1 << 30).contains(number));
    number.ok_or_else(|| "it is a whole number from 1 on".to_owned())
}
