//! What is worth telling of heartbeats that are late: that it begins, and that it is over.
//!
//! On a busy host they are late by fits and starts. So it is over only when none was late for
//! [`QUIET`], and that is also the least time between two words.
//!
//! ```text
//!   late:      x x   xxx  x                            x x
//!   told:      Late             InTime { 10 s, worst }  Late
//! ```

use std::time::{Duration, Instant};

/// In time for so long means that it is over.
const QUIET: Duration = Duration::from_secs(5);

/// A change that is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Change {
    Late {
        by: Duration,
    },
    InTime {
        /// From the first that was late to the last.
        lasted: Duration,
        worst: Duration,
    },
}

/// The lateness of one peer, or of this node.
#[derive(Default)]
pub(super) struct Lateness {
    now: Option<Spell>,
    /// When the last one was told to be over.
    over: Option<Instant>,
}

struct Spell {
    began: Instant,
    last: Instant,
    worst: Duration,
}

impl Lateness {
    /// One look: by how much it is late, if it is.
    pub(super) fn look(&mut self, now: Instant, late: Option<Duration>) -> Option<Change> {
        match (&mut self.now, late) {
            (Some(spell), Some(by)) => {
                (spell.last, spell.worst) = (now, spell.worst.max(by));
                None
            }
            (Some(Spell { began, last, worst }), None) if now - *last >= QUIET => {
                let change = Change::InTime { lasted: *last - *began, worst: *worst };
                (self.now, self.over) = (None, Some(now));
                Some(change)
            }
            (None, Some(by)) if self.over.is_none_or(|over| now - over >= QUIET) => {
                let began = now.checked_sub(by).unwrap_or(now);
                self.now = Some(Spell { began, last: now, worst: by });
                Some(Change::Late { by })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these times, in ms, and what is told of them.
    fn told(looks: impl IntoIterator<Item = (u64, u64)>) -> Vec<(u64, Change)> {
        let (start, mut lateness) = (Instant::now(), Lateness::default());
        let look = |(at, late)| {
            let late = Some(Duration::from_millis(late)).filter(|late| !late.is_zero());
            Some((at, lateness.look(start + Duration::from_millis(at), late)?))
        };
        looks.into_iter().filter_map(look).collect()
    }

    fn late(by: u64) -> Change {
        Change::Late { by: Duration::from_millis(by) }
    }

    fn in_time(lasted: u64, worst: u64) -> Change {
        let [lasted, worst] = [lasted, worst].map(Duration::from_millis);
        Change::InTime { lasted, worst }
    }

    #[test]
    fn lateness_is_told_when_it_begins_and_when_it_is_over() {
        assert_eq!(told((0..100).map(|n| (n * 400, 0))), []);
        let once = [(1000, 0), (1400, 300), (6399, 0), (6400, 0), (6800, 0)];
        assert_eq!(told(once), [(1400, late(300)), (6400, in_time(300, 300))]);
    }

    #[test]
    fn a_host_that_stays_busy_is_told_once_whatever_its_ups_and_downs() {
        // A minute in which every third heartbeat is late, each by more than the one before.
        let busy = (0..150).map(|n| (n * 400, if n % 3 == 0 { 400 + n } else { 0 }));
        let calm = (150..170).map(|n| (n * 400, 0));
        let lasted = 147 * 400 + 400;
        assert_eq!(told(busy.chain(calm)), [(0, late(400)), (64_000, in_time(lasted, 400 + 147))]);
    }

    #[test]
    fn what_is_late_again_at_once_is_told_some_seconds_later() {
        let again = [(0, 300), (5000, 0), (5400, 500), (9999, 500), (10_000, 700)];
        assert_eq!(told(again), [(0, late(300)), (5000, in_time(300, 300)), (10_000, late(700))]);
    }
}
