//! Numbers and dates in components, for those who plan ahead: the same reading and stepping as in templates.

use super::components::{Scale, push_moved, read};

/// A number or date in a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its place on its scale.
    pub(crate) value: i64,
    /// Milliseconds until the next place, for scales that follow the clock.
    pub(crate) unit_ms: Option<u64>,
}

/// The number or date in a component.
pub(crate) fn step_of(component: &str) -> Option<Step> {
    let reading = read(component.as_bytes())?;
    let unit_ms = match reading.scale {
        Scale::Number => None,
        // Months are too long, and not of one length, to be foreseen by their length.
        Scale::Month => return None,
        Scale::Day => Some(86_400_000),
        Scale::Hour => Some(3_600_000),
        Scale::Minute => Some(60_000),
    };
    Some(Step { value: reading.value, unit_ms })
}

/// The component with its number or date moved by `by`.
pub(crate) fn stepped(component: &str, by: i64) -> Option<String> {
    let reading = read(component.as_bytes())?;
    let mut out = Vec::new();
    let moved = push_moved(&mut out, component.as_bytes(), &reading, by, reading.padded);
    moved.then(|| String::from_utf8(out).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_steps_over_midnight_and_a_number_keeps_its_digits() {
        assert_eq!(stepped("2026-11-25T23", 1).as_deref(), Some("2026-11-26T00"));
        assert_eq!(stepped("part-0099", 1).as_deref(), Some("part-0100"));
        assert_eq!(stepped("word", 1), None);
        let hour = step_of("1970-01-01T05").expect("an hour");
        assert_eq!((hour.value, hour.unit_ms), (5, Some(3_600_000)));
        assert_eq!(step_of("b7").map(|step| (step.value, step.unit_ms)), Some((7, None)));
        assert_eq!(step_of("2026-11"), None);
    }
}
