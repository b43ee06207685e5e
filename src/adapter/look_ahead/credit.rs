//! [`Credit`]: whether a batch may go out for what was predicted alone.

use crate::Millis;

/// Credit for batches of predicted keys.
///
/// Users are billed by the request. Predicted keys ride on batches that go out anyway; a batch of their own is sent only
/// on credit, which earlier predictions earned: one request for each moment that was answered by what had been fetched
/// ahead, and asked for nothing else. So with prediction on there are never more requests than without.
#[derive(Debug, Default)]
pub(super) struct Credit {
    earned: u64,
    /// The present moment: all that is asked for within it goes out together.
    moment: Millis,
    used: bool,
    asked: bool,
}

impl Credit {
    /// Most credit kept: what was earned long ago is no reason for a burst.
    const MOST: u64 = 64;

    /// A request is made at `now`.
    pub(super) fn begin(&mut self, now: Millis) {
        if now == self.moment {
            return;
        }
        if self.used && !self.asked {
            self.earned = (self.earned + 1).min(Self::MOST);
        }
        (self.moment, self.used, self.asked) = (now, false, false);
    }

    /// It was answered by what had been fetched ahead.
    pub(super) fn used(&mut self, now: Millis) {
        self.begin(now);
        self.used = true;
    }

    /// It has to ask a gateway.
    pub(super) fn asked(&mut self) {
        self.asked = true;
    }

    /// Takes the credit for one batch. What the present moment earns counts: nothing else of it will be asked for.
    pub(super) fn withdraw(&mut self) -> bool {
        let earned = std::mem::take(&mut self.used) && !self.asked;
        if earned {
            return true;
        }
        let enough = self.earned > 0;
        self.earned -= u64::from(enough);
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credit_is_earned_by_moments_that_asked_for_nothing() {
        let mut credit = Credit::default();
        assert!(!credit.withdraw(), "none yet");
        credit.used(1);
        credit.used(1);
        credit.begin(2);
        assert!(credit.withdraw() && !credit.withdraw(), "one request for one moment");
        credit.used(3);
        credit.asked();
        credit.begin(4);
        assert!(!credit.withdraw(), "a gateway was asked all the same");
        credit.used(5);
        assert!(credit.withdraw(), "what the present moment earns counts");
        credit.begin(6);
        assert!(!credit.withdraw(), "but not twice");
        (10..200).for_each(|now| credit.used(now));
        credit.begin(200);
        assert_eq!((0..200).filter(|_| credit.withdraw()).count() as u64, Credit::MOST);
    }
}
