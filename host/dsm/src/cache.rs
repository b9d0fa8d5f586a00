//! The requester: what this node may do with each page, and what it has asked for.
//!
//! ```text
//!   Fault --> Get --> [Page | Grant] and n x Invalidated, in any order --> Install | Upgrade, Done
//! ```
//!
//! At most one transaction per page is open here. Only when its last part has come is the page
//! mapped, and only then `Done` lets the home go on: so nobody can take the page in between.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};

use pangea_topology::{NodeId, NodeSet, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Txn};

use crate::error::{Asked, Refusal};
use crate::hold::{HEAT_MAX, Hold, Loss};
use crate::homes::Homes;
use crate::table::Table;
use crate::turn::Gang;
use crate::{Effects, Guard, Nanos, Output};

/// What this node knows of a page as one of its users.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Local {
    /// What the guest here may do.
    pub(crate) access: Option<Access>,
    /// Until then others don't get it; in the past for most pages at most times.
    pub(crate) held_until: Nanos,
    /// How it was last lost, if it was, and how much that makes it worth keeping: see `hold.rs`.
    pub(crate) loss: Option<Loss>,
    pub(crate) heat: u8,
}

/// A transaction of this node's that isn't over.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Pending {
    pub(crate) txn: Txn,
    pub(crate) want: Access,
    /// When the fault came that it answers.
    since: Nanos,
    /// Does a CPU wait for it? Otherwise it comes along with its gang.
    pub(crate) faulted: bool,
    /// A write fault that came while a read was open, and when.
    then_write: Option<Nanos>,
    reply: Option<Reply>,
    /// Who has dropped its copy so far.
    invalidated: NodeSet,
}

/// The home's answer to a `Get`, directly or through a supplier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Reply {
    /// Who sent the page; none if the copy here is current.
    supplier: Option<NodeId>,
    /// How many `Invalidated` complete the transaction.
    invalidations: u32,
}

/// This node as a user of pages: requester here, holder in `holder.rs`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Cache {
    pub(crate) me: NodeId,
    pub(crate) nodes: u8,
    pub(crate) pages: Table<Local>,
    pub(crate) pending: BTreeMap<Pfn, Pending>,
    /// What others asked for during a hold, by its end: at most one per page.
    pub(crate) deferred: BTreeMap<(Nanos, Pfn), PageMessage>,
    pub(crate) hold: Hold,
    /// The pages that are needed together, and until when their turn lasts: see `turn.rs`.
    pub(crate) gang: Gang,
    pub(crate) turn_ends: Nanos,
    /// Until then a CPU may not have come back from its last fault.
    pub(crate) busy_until: Nanos,
    /// Kept for its memory.
    gathered: Vec<(Pfn, Access)>,
    /// The number of the last transaction that this node began.
    pub(crate) last_txn: u64,
}

impl Local {
    /// A page that nobody ever shared: writable at its home, nowhere else.
    fn initial(me: NodeId, home: Option<NodeId>) -> Local {
        let access = (home == Some(me)).then_some(Access::Write);
        Local { access, held_until: Nanos(0), loss: None, heat: 0 }
    }
}

impl Pending {
    /// Has the home begun it? Then no other transaction of the page can be running.
    pub(crate) fn begun(&self) -> bool {
        self.reply.is_some() || !self.invalidated.is_empty()
    }

    /// See `behaviour.rs`.
    pub(crate) fn hash_behaviour(&self, age: impl Fn(Nanos) -> Nanos, state: &mut impl Hasher) {
        let Pending { txn: _, want, since, faulted, then_write, reply, invalidated } = self;
        (want, age(*since), faulted, then_write.map(&age), reply, invalidated).hash(state);
    }

    fn complete(&self) -> bool {
        self.reply.is_some_and(|reply| {
            let all = reply.invalidations == self.invalidated.len();
            Guard::InvalidationsAwaited.holds(all, true)
        })
    }
}

impl Cache {
    pub(crate) fn new(me: NodeId, nodes: u8, end: Pfn) -> Cache {
        Cache {
            me,
            nodes,
            pages: Table::new(Pfn(end.0 + 1)), // And the token.
            pending: BTreeMap::new(),
            deferred: BTreeMap::new(),
            hold: Hold::new(),
            gang: Gang::default(),
            turn_ends: Nanos(0),
            busy_until: Nanos(0),
            gathered: Vec::new(),
            last_txn: 0,
        }
    }

    pub(crate) fn local(&self, homes: &Homes, pfn: Pfn) -> Local {
        self.pages.get(pfn).unwrap_or_else(|| Local::initial(self.me, homes.keeper(pfn)))
    }

    pub(crate) fn set(&mut self, homes: &Homes, pfn: Pfn, local: Local) {
        let me = self.me;
        self.pages.set(pfn, local, |pfn| Local::initial(me, homes.keeper(pfn)));
    }

    /// The guest here touched a page of `home` that it may not, or might not have been able to.
    pub(crate) fn fault(
        &mut self,
        now: Nanos,
        pfn: Pfn,
        home: NodeId,
        access: Access,
        fx: &mut Effects<'_>,
    ) {
        fx.counters.fault(access);
        let local = self.local(fx.homes, pfn);
        if Guard::StaleFaultsAnswered.holds(local.access >= Some(access), false) {
            fx.counters.stale_faults += 1;
            self.gang.faulted(pfn, access);
            self.busy_until = now.after(self.hold.of(HEAT_MAX));
            fx.out.push(Output::Wake { pfn });
            return;
        }
        match self.pending.get_mut(&pfn) {
            None => {
                if let Some(loss) = local.loss {
                    let heat = self.hold.warmed(local.heat, loss, now);
                    self.set(fx.homes, pfn, Local { heat, loss: None, ..local });
                    if self.hold.belongs(loss, now) {
                        self.gang.add(pfn, access);
                    }
                }
                let together = self.gang.faulted(pfn, access);
                self.ask(now, pfn, home, access, true, fx);
                if together {
                    self.gather(now, fx);
                }
            }
            Some(pending) => {
                fx.counters.joined_faults += 1;
                pending.faulted = true;
                if access > pending.want && pending.then_write.is_none() {
                    pending.then_write = Some(now);
                }
                self.gang.faulted(pfn, access);
            }
        }
    }

    /// Asks for the token and for every page of the gang that isn't here or on its way.
    fn gather(&mut self, now: Nanos, fx: &mut Effects<'_>) {
        let token = fx.homes.token();
        let mut asked = std::mem::take(&mut self.gathered);
        let mut gang = std::mem::take(&mut self.gang);
        let missing = |pfn: Pfn, access| {
            self.local(fx.homes, pfn).access < Some(access) && !self.pending.contains_key(&pfn)
        };
        if missing(token, Access::Write) {
            asked.push((token, Access::Write));
        }
        gang.gather(missing, &mut asked);
        self.gang = gang;
        fx.counters.gathered += asked.len() as u64;
        for (pfn, access) in asked.drain(..) {
            let Some(home) = fx.homes.keeper(pfn) else {
                unreachable!("{pfn} is in the gang, and no node's RAM")
            };
            self.ask(now, pfn, home, access, false, fx);
        }
        self.gathered = asked;
    }

    /// Is it this node's turn, with the pages of its gang?
    pub(crate) fn has_turn(&self, homes: &Homes, now: Nanos) -> bool {
        now < self.turn_ends && self.local(homes, homes.token()).access.is_some()
    }

    /// Opens a transaction for a fault that came at `since`, or for a page that comes along.
    fn ask(
        &mut self,
        since: Nanos,
        pfn: Pfn,
        home: NodeId,
        want: Access,
        faulted: bool,
        fx: &mut Effects<'_>,
    ) {
        self.last_txn += 1;
        let txn = Txn(self.last_txn);
        let pending = Pending {
            txn,
            want,
            since,
            faulted,
            then_write: None,
            reply: None,
            invalidated: NodeSet::EMPTY,
        };
        let open = self.pending.insert(pfn, pending);
        assert!(open.is_none(), "{pfn} was asked for twice by {}", self.me);
        let verb = PageVerb::Get { access: want };
        fx.send(home, PageMessage { pfn, txn, requester: self.me, verb });
    }

    /// May `Page`, `Grant` or `Invalidated` come now? Its sender's role has been checked.
    pub(crate) fn check_reply(
        &self,
        homes: &Homes,
        from: NodeId,
        message: &PageMessage,
    ) -> Result<(), Refusal> {
        let pending = self.pending.get(&message.pfn).filter(|p| p.txn == message.txn);
        let pending = pending.ok_or(Refusal::NoSuchTransaction)?;
        let access = self.local(homes, message.pfn).access;
        let offered = match message.verb {
            PageVerb::Page { access, .. } => access,
            _ => Access::Write,
        };
        if offered != pending.want {
            return Err(Refusal::WrongAccess { wanted: Asked(pending.want) });
        }
        if pending.invalidated.contains(from) && !matches!(message.verb, PageVerb::Grant { .. }) {
            return Err(Refusal::Repeated);
        }
        if self.defers(homes, message.pfn) {
            // Another's transaction waits for this very node, so this one's turn can't have come.
            return Err(Refusal::StillOpen);
        }
        match (message.verb, pending.reply) {
            (PageVerb::Page { .. } | PageVerb::Grant { .. }, Some(_)) => Err(Refusal::Repeated),
            (PageVerb::Page { .. }, None) if access.is_some() => Err(Refusal::CopyIsCurrent),
            (PageVerb::Grant { .. }, None) if access.is_none() => Err(Refusal::NoCopy),
            (PageVerb::Page { invalidations, .. } | PageVerb::Grant { invalidations }, None) => {
                at_most(pending.invalidated.len(), u32::from(invalidations))
            }
            (_, Some(reply)) if reply.supplier == Some(from) => Err(Refusal::Repeated),
            (_, Some(reply)) => at_most(pending.invalidated.len() + 1, reply.invalidations),
            (_, None) => at_most(pending.invalidated.len() + 1, u32::from(self.nodes) - 1),
        }
    }

    /// Takes a checked `Page`, `Grant` or `Invalidated`; with the last of them, the page is ours.
    pub(crate) fn reply(
        &mut self,
        now: Nanos,
        home: NodeId,
        from: NodeId,
        message: &PageMessage,
        fx: &mut Effects<'_>,
    ) {
        let pfn = message.pfn;
        let Some(pending) = self.pending.get_mut(&pfn) else {
            unreachable!("{message:?} passed its check without an open transaction")
        };
        match message.verb {
            PageVerb::Page { access, invalidations } => {
                pending.reply =
                    Some(Reply { supplier: Some(from), invalidations: invalidations.into() });
                match access {
                    _ if pfn == fx.homes.token() => fx.counters.turns += 1,
                    Access::Read => fx.counters.peer(from).reads += 1,
                    Access::Write => fx.counters.peer(from).writes += 1,
                }
            }
            PageVerb::Grant { invalidations } => {
                pending.reply = Some(Reply { supplier: None, invalidations: invalidations.into() });
                fx.counters.peer(from).upgrades += 1;
            }
            _ => pending.invalidated = pending.invalidated.with(from),
        }
        if pending.complete() {
            self.finish(now, home, pfn, fx);
        }
    }

    /// Maps the page, tells the home, and goes on to the write that waited behind a read.
    fn finish(&mut self, now: Nanos, home: NodeId, pfn: Pfn, fx: &mut Effects<'_>) {
        let Some(pending) = self.pending.remove(&pfn) else {
            unreachable!("{pfn} was finished without an open transaction")
        };
        let local = self.local(fx.homes, pfn);
        let before = local.access;
        assert!(before < Some(pending.want), "{pfn} was fetched though it is {before:?} here");
        let held_until = if pfn == fx.homes.token() {
            self.turn_ends = now.after(self.hold.turn());
            self.turn_ends
        } else {
            let on_trial = !pending.faulted && self.gang.on_trial(pfn);
            fx.out.push(match before {
                None if on_trial => Output::Take { pfn },
                None => Output::Install { pfn, access: pending.want },
                Some(_) => Output::Upgrade { pfn },
            });
            self.hold.served(now.since(pending.since));
            if pending.faulted {
                self.busy_until = now.after(self.hold.of(HEAT_MAX));
            } else if self.has_turn(fx.homes, now) {
                // The turn counts from when the gang is complete.
                self.turn_ends = now.after(self.hold.turn());
            }
            now.after(self.hold.of(local.heat))
        };
        self.set(fx.homes, pfn, Local { access: Some(pending.want), held_until, ..local });
        let (txn, requester) = (pending.txn, self.me);
        fx.send(home, PageMessage { pfn, txn, requester, verb: PageVerb::Done });
        if let Some(since) = pending.then_write {
            fx.counters.followed_reads += 1;
            self.ask(since, pfn, home, Access::Write, true, fx);
        }
    }
}

fn at_most(count: u32, limit: u32) -> Result<(), Refusal> {
    if count > limit { Err(Refusal::TooManyInvalidations { count, limit }) } else { Ok(()) }
}
