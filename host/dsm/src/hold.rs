//! How long a page that was just installed stays, so that the CPU that faulted can use it.
//!
//! ```text
//!   Fault ------- fetch -------> Install |<-- hold -->| others may take it
//!                                 hold = fetch / 2 * 2^heat of the page
//! ```
//!
//! Without a hold, two nodes that write one page can pass it on before either CPU has executed an
//! instruction. Each page has a *heat*, and each degree of it doubles the page's hold, up to
//! [`HEAT_MAX`]: warmer when it was lost and is wanted back at once, for its CPU may not have used it at
//! all; cooler when it is wanted again after long. Two CPUs may also talk through a page, and
//! then a long hold would only slow them down: pages that are needed in sets have turns
//! instead (`turn.rs`).
//!
//! Nothing is configured: the fetch time is measured, as the least of the last faults' service times,
//! so that what a fault waits for others' holds doesn't feed back into ours. Units: nanoseconds.

use crate::Nanos;
use crate::turn::TURN_FETCHES;

/// The least hold: what a vCPU needs from the wake-up to its retried access on a slow host
/// (about 50 us under nested virtualisation).
pub const HOLD_FLOOR: Nanos = Nanos(50_000);

/// The longest hold: a fault elsewhere never waits longer than this for one node.
pub const HOLD_CEILING: Nanos = Nanos(200_000_000);

/// The heat of a page that is wanted back at once, again and again.
pub const HEAT_MAX: u8 = 2;

/// Faults in one half of the window over which the fetch time is the least service time.
const WINDOW: u32 = 512;

/// "Long", in holds of the page.
const LONG: u64 = 16;

/// "Soon", in turns.
const SOON: u64 = 8;

/// The node's current measure of a fetch.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Hold {
    /// Least service time of the half window that is over, and of the one that runs.
    before: Option<Nanos>,
    least: Option<Nanos>,
    faults: u32,
}

/// When a page left this node, and whether it was needed together with others: another was awaited
/// then, or it was this node's turn.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Loss {
    pub(crate) at: Nanos,
    pub(crate) crowded: bool,
}

impl Hold {
    /// Before any measurement: the floor.
    pub(crate) fn new() -> Hold {
        Hold { before: None, least: None, faults: 0 }
    }

    /// A fault of this node was served: from the fault to the page's installation it took so long.
    pub(crate) fn served(&mut self, took: Nanos) {
        self.least = Some(self.least.map_or(took, |least| least.min(took)));
        self.faults += 1;
        if self.faults == WINDOW {
            (self.before, self.least, self.faults) = (self.least, None, 0);
        }
    }

    /// How long a page of this heat, installed now, is kept.
    pub(crate) fn of(&self, heat: u8) -> Nanos {
        let fetch = self.fetch().unwrap_or(Nanos(0)).0;
        let hold = (fetch / 2).saturating_mul(1 << heat.min(HEAT_MAX));
        Nanos(hold).clamp(HOLD_FLOOR, HOLD_CEILING)
    }

    /// How long a turn lasts.
    pub(crate) fn turn(&self) -> Nanos {
        let fetch = self.fetch().unwrap_or(HOLD_FLOOR).0;
        Nanos(fetch.saturating_mul(TURN_FETCHES)).clamp(HOLD_FLOOR, HOLD_CEILING)
    }

    /// The heat of a page that is wanted at `now` after it was lost.
    pub(crate) fn warmed(&self, heat: u8, loss: Loss, now: Nanos) -> u8 {
        let (away, hold) = (now.since(loss.at), self.of(heat));
        let fetch = self.fetch().unwrap_or(HOLD_FLOOR);
        if away > Nanos(hold.0.saturating_mul(LONG)) {
            heat.saturating_sub(1)
        } else if away <= fetch {
            (heat + 1).min(HEAT_MAX)
        } else {
            heat
        }
    }

    /// Does a page that is wanted at `now` after it was lost belong to those needed together?
    pub(crate) fn belongs(&self, loss: Loss, now: Nanos) -> bool {
        loss.crowded && now.since(loss.at) <= Nanos(self.turn().0.saturating_mul(SOON))
    }

    /// The measured fetch time, once there is one.
    pub(crate) fn fetch(&self) -> Option<Nanos> {
        [self.before, self.least].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: u64 = 1000;

    fn measured(fetch: u64) -> Hold {
        let mut hold = Hold::new();
        hold.served(Nanos(fetch));
        hold
    }

    #[test]
    fn half_the_least_fetch_and_double_for_each_degree() {
        let mut hold = Hold::new();
        assert_eq!(hold.of(0), HOLD_FLOOR, "before any fault");
        hold.served(Nanos(400 * US));
        hold.served(Nanos(9_000 * US));
        let holds: Vec<_> = [0, 1, 2].map(|heat| hold.of(heat).0 / US).into();
        assert_eq!(holds, [200, 400, 800], "a fault that waited for others doesn't count");
    }

    #[test]
    fn a_turn_is_many_fetches_and_never_longer_than_the_ceiling() {
        assert_eq!(measured(100 * US).turn(), Nanos(TURN_FETCHES * 100 * US));
        assert_eq!(measured(100_000 * US).turn(), HOLD_CEILING);
    }

    #[test]
    fn an_old_measure_is_forgotten() {
        let mut hold = measured(200 * US);
        for _ in 0..2 * WINDOW {
            hold.served(Nanos(600 * US));
        }
        assert_eq!(hold.of(0), Nanos(300 * US));
    }

    const LOSS: Loss = Loss { at: Nanos(0), crowded: true };

    #[test]
    fn a_page_that_is_wanted_back_at_once_warms() {
        let hold = measured(100 * US);
        let heat = (0..20).fold(0, |heat, _| hold.warmed(heat, LOSS, Nanos(20 * US)));
        assert_eq!(heat, HEAT_MAX);
    }

    #[test]
    fn a_page_that_was_long_away_cools() {
        let hold = measured(100 * US);
        assert_eq!(hold.warmed(2, LOSS, Nanos(100_000 * US)), 1);
        assert_eq!(hold.warmed(0, LOSS, Nanos(100_000 * US)), 0);
    }

    #[test]
    fn pages_lost_in_a_crowd_and_wanted_back_soon_belong_together() {
        let hold = measured(100 * US);
        assert!(hold.belongs(LOSS, Nanos(5_000 * US)));
        assert!(!hold.belongs(LOSS, Nanos(100_000 * US)));
        assert!(!hold.belongs(Loss { crowded: false, ..LOSS }, Nanos(5_000 * US)));
    }
}
