//! Turns: nodes that need the same pages, several at once, have them one after the other.
//!
//! ```text
//!   node a   |==== turn ====|...... waits ......|==== turn ====|
//!   node b   |... waits ....|==== turn ====|.......
//!                           ^ the token, and with it all pages that b asked for
//! ```
//!
//! One instruction may need many pages at once. On AMD CPUs, and on Intel's with EPT accessed bits,
//! the CPU's walk through the guest's page tables counts as a **write** to each page of them (AMD APM
//! vol. 2 15.25.6); so a dozen of the kernel's page-table pages, which all nodes walk, go from node to
//! node like pages that are written. If each went by itself, a node would lose the first while it
//! waits for the last, and no CPU would get on. Hence two things:
//!
//! - The node's [`Gang`]: pages that it lost while it needed others too, and wanted back soon. A fault
//!   on one of them asks for all: one round trip rather than a dozen.
//! - The **token**, a page that no guest sees ([`crate::Homes::token`]), moved by the same protocol. The
//!   node that has it keeps the pages of its gang until its turn ends; then it gives up at once
//!   all that others wait for. Everyone asks for the token together with the gang, the token's home has one
//!   queue, and so turns have one order in the cluster and everybody's comes.
//!
//! A node without the token gives pages up as always, after their own short hold: who needs the
//! token for other pages delays nobody. Nothing is configured: a turn is a multiple of the measured fetch time.

use std::collections::BTreeMap;

use pangea_topology::Pfn;
use pangea_wire::Access;

/// A turn, in fetch times: passing it on costs a little more than one.
pub(crate) const TURN_FETCHES: u64 = 32;

/// The most pages that are asked for together: half a megabyte.
const GANG_MAX: usize = 128;

/// How often a page comes along mapped before it comes unmapped once, to see whether it is used.
const RIDES: u8 = 4;

/// Pages that this node needs together.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Gang {
    members: BTreeMap<Pfn, Member>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Member {
    access: Access,
    /// How often it came along since a CPU last faulted for it.
    rides: u8,
}

impl Gang {
    pub(crate) fn contains(&self, pfn: Pfn) -> bool {
        self.members.contains_key(&pfn)
    }

    /// The page is needed together with others, to this access.
    pub(crate) fn add(&mut self, pfn: Pfn, access: Access) {
        if self.members.len() >= GANG_MAX
            && !self.contains(pfn)
            && let Some((&unused, _)) = self.members.iter().max_by_key(|(_, member)| member.rides)
        {
            self.members.remove(&unused);
        }
        let member = self.members.entry(pfn).or_insert(Member { access, rides: 0 });
        *member = Member { access: access.max(member.access), rides: 0 };
    }

    /// A CPU faulted on the page; whether it is of the gang.
    pub(crate) fn faulted(&mut self, pfn: Pfn, access: Access) -> bool {
        let member = self.contains(pfn);
        if member {
            self.add(pfn, access);
        }
        member
    }

    /// The pages to ask for, of those that `missing` says aren't here. A page that came unmapped the last
    /// time and wasn't touched is dropped instead.
    pub(crate) fn gather(
        &mut self,
        missing: impl Fn(Pfn, Access) -> bool,
        asked: &mut Vec<(Pfn, Access)>,
    ) {
        self.members.retain(|&pfn, member| {
            if !missing(pfn, member.access) {
                return true;
            }
            member.rides += 1;
            let used = member.rides <= RIDES;
            if used {
                asked.push((pfn, member.access));
            }
            used
        });
    }

    /// Is this page, which came along, to stay unmapped until a CPU faults for it?
    pub(crate) fn on_trial(&self, pfn: Pfn) -> bool {
        self.members.get(&pfn).is_some_and(|member| member.rides == RIDES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: Access = Access::Write;

    fn gather(gang: &mut Gang) -> Vec<u64> {
        let mut asked = Vec::new();
        gang.gather(|_, _| true, &mut asked);
        asked.into_iter().map(|(pfn, _)| pfn.0).collect()
    }

    #[test]
    fn a_page_that_only_comes_along_is_tried_and_dropped() {
        let mut gang = Gang::default();
        gang.add(Pfn(1), WRITE);
        gang.add(Pfn(2), WRITE);
        for ride in 1..=RIDES {
            assert_eq!(gather(&mut gang), [1, 2]);
            assert_eq!(gang.on_trial(Pfn(2)), ride == RIDES);
        }
        assert!(gang.faulted(Pfn(1), WRITE) && !gang.on_trial(Pfn(1)));
        assert_eq!(gather(&mut gang), [1]);
        assert!(!gang.faulted(Pfn(2), WRITE));
    }

    #[test]
    fn what_is_here_costs_nothing() {
        let mut gang = Gang::default();
        gang.add(Pfn(1), WRITE);
        for _ in 0..100 {
            gang.gather(|_, _| false, &mut Vec::new());
        }
        assert!(gang.contains(Pfn(1)));
    }

    #[test]
    fn the_one_longest_unused_makes_room() {
        let mut gang = Gang::default();
        for pfn in 0..GANG_MAX as u64 {
            gang.add(Pfn(pfn), WRITE);
        }
        gang.gather(|pfn, _| pfn == Pfn(7), &mut Vec::new());
        gang.add(Pfn(1000), WRITE);
        assert!(!gang.contains(Pfn(7)) && gang.contains(Pfn(8)) && gang.contains(Pfn(1000)));
    }

    #[test]
    fn a_page_that_was_ever_written_is_asked_for_to_write() {
        let mut gang = Gang::default();
        gang.add(Pfn(1), WRITE);
        gang.add(Pfn(1), Access::Read);
        let mut asked = Vec::new();
        gang.gather(|_, _| true, &mut asked);
        assert_eq!(asked, [(Pfn(1), WRITE)]);
    }
}
