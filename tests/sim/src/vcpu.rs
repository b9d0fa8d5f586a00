//! A guest CPU: it reads and writes pages at random, faults, waits, and tries again.

use pangea_dsm::Nanos;
use pangea_topology::{NodeId, Pfn};
use pangea_wire::Access;

use crate::rng::Rng;

/// What guests do in a run: the same for all of its CPUs.
pub(crate) struct Habits {
    pages: u64,
    /// The first pages are hot: so many of them.
    hot: u64,
    /// So many of a hundred accesses go to a hot page.
    to_hot: u64,
    /// So many of a hundred accesses write.
    writes: u64,
    /// So many of a hundred accesses follow the last one at once.
    bursts: u64,
    /// The longest time between two accesses otherwise.
    idle: u64,
}

/// One CPU.
pub(crate) struct Vcpu {
    pub(crate) node: NodeId,
    /// Its number within the node.
    pub(crate) number: u32,
    /// How many accesses it is still to begin.
    pub(crate) left: u64,
    /// Pages to read once more when all CPUs are through.
    pub(crate) sweep: Vec<Pfn>,
    /// What it is at.
    pub(crate) at: Option<(Pfn, Access)>,
    /// When that first faulted.
    pub(crate) since: Option<Nanos>,
    /// What it waits for in a fault: that, or a page on the walk to it.
    pub(crate) waits: Option<(Pfn, Access)>,
}

impl Habits {
    pub(crate) fn of(pages: u64, rng: &mut Rng) -> Habits {
        Habits {
            pages,
            hot: rng.between(1, 3).min(pages),
            to_hot: rng.below(100),
            writes: rng.between(5, 95),
            bursts: rng.below(80),
            idle: rng.magnitude(10_000, 1_000_000),
        }
    }

    fn pick(&self, rng: &mut Rng) -> (Pfn, Access) {
        let hot = rng.chance(self.to_hot, 100);
        let pfn = Pfn(rng.below(if hot { self.hot } else { self.pages }));
        let access = if rng.chance(self.writes, 100) { Access::Write } else { Access::Read };
        (pfn, access)
    }

    /// From one access to the next.
    pub(crate) fn think(&self, rng: &mut Rng) -> Nanos {
        let burst = rng.chance(self.bursts, 100);
        Nanos(if burst { rng.between(50, 2_000) } else { rng.between(2_000, self.idle) })
    }

    /// From a fault to the pager's reading it.
    pub(crate) fn report(&self, rng: &mut Rng) -> Nanos {
        Nanos(rng.magnitude(500, 50_000))
    }

    /// From the wake-up to the next attempt: rarely so long that a hold may be over.
    pub(crate) fn resume(&self, rng: &mut Rng) -> Nanos {
        Nanos(if rng.chance(1, 20) { rng.between(500, 400_000) } else { rng.between(500, 20_000) })
    }
}

impl Vcpu {
    /// What it does next, or none if it has done all.
    pub(crate) fn next(&mut self, habits: &Habits, rng: &mut Rng) -> Option<(Pfn, Access)> {
        if self.at.is_none() {
            self.at = if self.left > 0 {
                self.left -= 1;
                Some(habits.pick(rng))
            } else {
                self.sweep.pop().map(|pfn| (pfn, Access::Read))
            };
        }
        self.at
    }
}
