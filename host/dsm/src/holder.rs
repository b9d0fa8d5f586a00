//! The holder: what this node does when a home asks for a copy that it has.
//!
//! ```text
//!   Fetch read  --> [hold over] --> Downgrade (if writable), send Page
//!   Fetch write --> [hold over] --> Revoke,                  send Page
//!   Invalidate  --> [hold over] --> Revoke,                  send Invalidated
//! ```
//!
//! A copy that its CPU has hardly seen is held: the request waits, at most one per page, since the
//! home runs one transaction per page at a time. Reading a page that is only shared here takes
//! nothing away and never waits.

use pangea_topology::Pfn;
use pangea_wire::{Access, PageMessage, PageVerb};

use crate::cache::{Cache, Local};
use crate::error::Refusal;
use crate::hold::Loss;
use crate::homes::Homes;
use crate::{Effects, Guard, Nanos, Output};

impl Cache {
    /// Does a request for this page wait here for its hold's end?
    pub(crate) fn defers(&self, homes: &Homes, pfn: Pfn) -> bool {
        let due = self.local(homes, pfn).held_until;
        self.deferred.contains_key(&(due, pfn))
    }

    /// When the first of the deferred requests is due.
    pub(crate) fn next_deadline(&self) -> Option<Nanos> {
        self.deferred.keys().next().map(|&(due, _)| due)
    }

    /// May `Fetch` or `Invalidate` come now? Its sender's role has been checked.
    pub(crate) fn check_request(
        &self,
        homes: &Homes,
        message: &PageMessage,
    ) -> Result<(), Refusal> {
        let begun = self.pending.get(&message.pfn).is_some_and(|pending| pending.begun());
        if begun || self.defers(homes, message.pfn) {
            return Err(Refusal::StillOpen);
        }
        match (message.verb, self.local(homes, message.pfn).access) {
            (_, None) => Err(Refusal::NoCopy),
            (PageVerb::Invalidate, Some(Access::Write)) => Err(Refusal::OnlyCopy),
            _ => Ok(()),
        }
    }

    /// Takes a checked `Fetch` or `Invalidate`, now or when the page's hold is over.
    pub(crate) fn request(&mut self, now: Nanos, message: PageMessage, fx: &mut Effects<'_>) {
        let local = self.local(fx.homes, message.pfn);
        let takes = match message.verb {
            PageVerb::Fetch { access: Access::Read, .. } => local.access == Some(Access::Write),
            _ => true,
        };
        let due = self.kept_until(fx.homes, message.pfn, now);
        if Guard::Held.holds(takes && now < due, false) {
            fx.counters.deferred += 1;
            self.defer(due, message, fx);
        } else {
            self.surrender(now, &message, fx);
        }
    }

    /// Serves every deferred request that is due.
    pub(crate) fn tick(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        while let Some(first) = self.deferred.first_entry() {
            if first.key().0 > now {
                break;
            }
            let message = first.remove();
            let due = self.kept_until(fx.homes, message.pfn, now);
            match now < due {
                true => self.defer(due, message, fx),
                false => self.surrender(now, &message, fx),
            }
        }
    }

    /// Until when others don't get the page.
    fn kept_until(&self, homes: &Homes, pfn: Pfn, now: Nanos) -> Nanos {
        let held = self.local(homes, pfn).held_until;
        let of_the_turn = self.gang.contains(pfn) || pfn == homes.token();
        if of_the_turn && self.has_turn(homes, now) { held.max(self.turn_ends) } else { held }
    }

    fn defer(&mut self, due: Nanos, message: PageMessage, fx: &mut Effects<'_>) {
        let local = self.local(fx.homes, message.pfn);
        self.set(fx.homes, message.pfn, Local { held_until: due, ..local });
        let waiting = self.deferred.insert((due, message.pfn), message);
        assert!(waiting.is_none(), "two requests wait for the hold of {}", message.pfn);
    }

    /// Ends the turn and serves every deferred request: nobody here needs what they ask for. Unless a CPU
    /// waits for a page, or only just got it: then it looks asleep (KVM's asynchronous page faults halt
    /// it), and needs its other pages more than ever.
    pub(crate) fn idle(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        if now < self.busy_until || self.pending.values().any(|pending| pending.faulted) {
            return;
        }
        self.turn_ends = self.turn_ends.min(now);
        while let Some((_, message)) = self.deferred.pop_first() {
            self.surrender(now, &message, fx);
        }
    }

    /// Gives up what the request takes, then answers its requester.
    fn surrender(&mut self, now: Nanos, message: &PageMessage, fx: &mut Effects<'_>) {
        let PageMessage { pfn, txn, requester, verb } = *message;
        let local = self.local(fx.homes, pfn);
        let (keep, answer) = match verb {
            PageVerb::Fetch { access, invalidations } => {
                let keep = (access == Access::Read).then_some(Access::Read);
                (keep, PageVerb::Page { access, invalidations })
            }
            _ => (None, PageVerb::Invalidated),
        };
        match (local.access, keep) {
            _ if pfn == fx.homes.token() => {}
            (Some(Access::Write), Some(Access::Read)) => {
                fx.counters.downgrades += 1;
                if Guard::ProtectedFirst.holds(true, false) {
                    fx.out.push(Output::Downgrade { pfn });
                }
            }
            (Some(_), None) => {
                fx.counters.revokes += 1;
                if Guard::RevokedFirst.holds(true, false) {
                    fx.out.push(Output::Revoke { pfn });
                }
            }
            (Some(Access::Read), Some(Access::Read)) => {}
            (before, keep) => unreachable!("{pfn} is {before:?} here and can't become {keep:?}"),
        }
        let crowded =
            !self.pending.is_empty() || self.has_turn(fx.homes, now) || self.gang.contains(pfn); // At the end of a turn all of them go.
        let loss = match keep {
            _ if pfn == fx.homes.token() => None,
            keep if keep < local.access => Some(Loss { at: now, crowded }),
            _ => local.loss,
        };
        self.set(fx.homes, pfn, Local { access: keep, loss, ..local });
        let peer = fx.counters.peer(requester);
        match answer {
            _ if pfn == fx.homes.token() => {}
            PageVerb::Page { access: Access::Read, .. } => peer.sent_reads += 1,
            PageVerb::Page { .. } => peer.sent_writes += 1,
            _ => peer.invalidated += 1,
        }
        fx.send(requester, PageMessage { pfn, txn, requester, verb: answer });
    }
}
