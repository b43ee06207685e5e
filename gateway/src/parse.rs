//! Values on the command line.

use foremap::key::KeyPrefix;

pub(crate) fn prefix(text: &str) -> Result<KeyPrefix, String> {
    KeyPrefix::parse(text).map_err(|error| error.reason().to_owned())
}

pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    let time = humantime::parse_duration(text).ok().map(|time| time.as_secs()).filter(|&seconds| seconds > 0);
    time.ok_or_else(|| "a time is a number and s, m, h or d, such as 15m".to_owned())
}

pub(crate) fn at_least_one(text: &str) -> Result<usize, String> {
    // More than any machine has, and far from overflow.
    let number = text.parse().ok().filter(|number| (1..=1 << 30).contains(number));
    number.ok_or_else(|| "it is a whole number from 1 on".to_owned())
}
