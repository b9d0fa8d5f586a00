//! Faults that wait for another node: since when, so that their latency can be told.

use crate::stats::FaultKind;
use pangea_topology::Pfn;
use std::collections::HashMap;
use std::time::Instant;

/// The most pages that are timed at once: four for each vCPU of the largest cluster. A fault past
/// it is served like any other, only not timed.
const MAX_TIMED: usize = 4_096;

/// Pages that somebody here waits for.
pub(crate) struct Waiting {
    since: HashMap<Pfn, (FaultKind, Instant)>,
}

impl Waiting {
    pub(crate) fn new() -> Waiting {
        // Room for all at once: the table must not grow while a vCPU waits.
        Waiting { since: HashMap::with_capacity(MAX_TIMED) }
    }

    /// A fault begins to wait at `now`.
    pub(crate) fn begin(&mut self, pfn: Pfn, kind: FaultKind, now: Instant) {
        if self.since.len() < MAX_TIMED {
            self.since.insert(pfn, (kind, now));
        }
    }

    /// Does a fault wait for the page?
    pub(crate) fn contains(&self, pfn: Pfn) -> bool {
        self.since.contains_key(&pfn)
    }

    /// The page is here: what was waited for, and since when.
    pub(crate) fn end(&mut self, pfn: Pfn) -> Option<(FaultKind, Instant)> {
        self.since.remove(&pfn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_and_what_is_past_it_is_only_not_timed() {
        let (mut waiting, now) = (Waiting::new(), Instant::now());
        for pfn in 0..=MAX_TIMED as u64 {
            waiting.begin(Pfn(pfn), FaultKind::Read, now);
        }
        let last = Pfn(MAX_TIMED as u64);
        assert!(waiting.contains(Pfn(0)) && !waiting.contains(last));
        assert_eq!(waiting.end(last), None);
        assert_eq!(waiting.end(Pfn(0)), Some((FaultKind::Read, now)));
        waiting.begin(last, FaultKind::Upgrade, now);
        assert_eq!(waiting.end(last), Some((FaultKind::Upgrade, now)));
    }
}
