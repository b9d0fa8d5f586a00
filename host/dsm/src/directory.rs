//! The home: who has each page, and whose turn it is.
//!
//! ```text
//!            Get                                   Done
//!   settled -----> running(requester, outcome) -----------> settled = outcome
//!                     |  further Gets queue                    | next in the queue runs
//! ```
//!
//! The entry changes only when the requester says `Done`, which it does after mapping the page: so
//! whenever a transaction starts, every node has exactly what the entry says it has.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};

use pangea_topology::{NodeId, NodeSet, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb, Txn};

use crate::error::{DirectoryState, Refusal};
use crate::table::Table;
use crate::{Effects, Guard};

/// Who has a page while no transaction runs for it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Entry {
    /// One node has it, writable.
    Exclusive(NodeId),
    /// These have it, read-only; `supplier`, one of them, sends it to the next.
    Shared { sharers: NodeSet, supplier: NodeId },
}

/// A `Get`, running or waiting.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Request {
    node: NodeId,
    txn: Txn,
    access: Access,
}

/// A transaction that runs, and those that wait behind it: at most one per node.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Running {
    request: Request,
    outcome: Entry,
    queue: VecDeque<Request>,
}

/// The entries of the pages whose home this node is.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Directory {
    me: NodeId,
    entries: Table<Entry>,
    running: BTreeMap<Pfn, Running>,
}

impl Entry {
    fn holders(self) -> NodeSet {
        match self {
            Entry::Exclusive(owner) => NodeSet::only(owner),
            Entry::Shared { sharers, .. } => sharers,
        }
    }

    /// Has the node at least this access?
    fn allows(self, node: NodeId, access: Access) -> bool {
        match (self, access) {
            (Entry::Shared { .. }, Access::Write) => false,
            (entry, _) => entry.holders().contains(node),
        }
    }
}

impl Directory {
    pub(crate) fn new(me: NodeId, end: Pfn) -> Directory {
        Directory { me, entries: Table::new(end), running: BTreeMap::new() }
    }

    /// The entry as of the last finished transaction: never shared means the home has it alone.
    fn entry(&self, pfn: Pfn) -> Entry {
        self.entries.get(pfn).unwrap_or(Entry::Exclusive(self.me))
    }

    /// May this `Get` come now?
    pub(crate) fn check_get(&self, node: NodeId, pfn: Pfn, access: Access) -> Result<(), Refusal> {
        let running = self.running.get(&pfn);
        if let Some(running) = running {
            let mut open = std::iter::once(&running.request).chain(&running.queue);
            if let Some(open) = open.find(|request| request.node == node) {
                return Err(Refusal::AlreadyAsked { open: open.txn });
            }
        }
        // Nobody gains a copy by waiting: what the node will have at its turn, it has by now.
        let entry = running.map_or_else(|| self.entry(pfn), |running| running.outcome);
        if entry.allows(node, access) { Err(Refusal::AlreadyHeld) } else { Ok(()) }
    }

    /// Is this the transaction that runs for the page?
    pub(crate) fn runs(&self, pfn: Pfn, node: NodeId, txn: Txn) -> bool {
        self.running
            .get(&pfn)
            .is_some_and(|running| (running.request.node, running.request.txn) == (node, txn))
    }

    /// Takes a checked `Get`: runs it, or queues it.
    pub(crate) fn get(
        &mut self,
        node: NodeId,
        txn: Txn,
        pfn: Pfn,
        access: Access,
        fx: &mut Effects<'_>,
    ) {
        let request = Request { node, txn, access };
        match self.running.get_mut(&pfn) {
            Some(running) if Guard::OneAtATime.holds(true, false) => {
                running.queue.push_back(request);
                let length = running.queue.len() as u64;
                fx.counters.queued += 1;
                fx.counters.longest_queue = fx.counters.longest_queue.max(length);
            }
            _ => self.start(pfn, request, VecDeque::new(), fx),
        }
    }

    /// Takes a checked `Done`: settles the outcome and runs the next in the queue.
    pub(crate) fn done(&mut self, pfn: Pfn, fx: &mut Effects<'_>) {
        let Some(mut running) = self.running.remove(&pfn) else {
            unreachable!("Done for {pfn} passed its check though nothing runs")
        };
        let me = self.me;
        self.entries.set(pfn, running.outcome, |_| Entry::Exclusive(me));
        if let Some(next) = running.queue.pop_front() {
            self.start(pfn, next, running.queue, fx);
        }
    }

    /// Sends what the request needs, to all at once.
    fn start(
        &mut self,
        pfn: Pfn,
        request: Request,
        queue: VecDeque<Request>,
        fx: &mut Effects<'_>,
    ) {
        let Request { node, txn, access } = request;
        let entry = self.entry(pfn);
        assert!(!entry.allows(node, access), "{node} asks for {pfn}, which it has: {entry:?}");
        fx.counters.transactions += 1;
        let mut say = |to, verb| fx.send(to, PageMessage { pfn, txn, requester: node, verb });
        let supplier = match entry {
            Entry::Exclusive(owner) => owner,
            Entry::Shared { supplier, .. } => supplier,
        };
        let outcome = match access {
            Access::Read => {
                say(supplier, PageVerb::Fetch { access, invalidations: 0 });
                let sharers = entry.holders().with(node);
                let supplier = if sharers.contains(self.me) { self.me } else { supplier };
                Entry::Shared { sharers, supplier }
            }
            Access::Write => {
                let current = Guard::GrantIfCurrent.holds(entry.holders().contains(node), true);
                let others = entry.holders().without(if current { node } else { supplier });
                let all = Guard::SharersInvalidated.holds(true, false);
                let others = if all { others } else { NodeSet::EMPTY };
                for sharer in others.iter() {
                    say(sharer, PageVerb::Invalidate);
                }
                let invalidations = others.len() as u8; // At most 63.
                if current {
                    say(node, PageVerb::Grant { invalidations });
                } else {
                    say(supplier, PageVerb::Fetch { access, invalidations });
                }
                Entry::Exclusive(node)
            }
        };
        self.running.insert(pfn, Running { request, outcome, queue });
    }

    /// What decides how a page's requests are answered: see `behaviour.rs`.
    pub(crate) fn hash_behaviour(
        &self,
        pfn: Pfn,
        ago: impl Fn(NodeId, Txn) -> u64,
        state: &mut impl Hasher,
    ) {
        self.entry(pfn).hash(state);
        let Some(Running { request, outcome, queue }) = self.running.get(&pfn) else { return };
        outcome.hash(state);
        for Request { node, txn, access } in std::iter::once(request).chain(queue) {
            (node, ago(*node, *txn), access).hash(state);
        }
        // So that what follows isn't taken for a part of the queue.
        queue.len().hash(state);
    }

    /// For errors and dumps.
    pub(crate) fn describe(&self, pfn: Pfn) -> DirectoryState {
        let entry = self.entry(pfn);
        let running = self.running.get(&pfn);
        DirectoryState {
            holders: entry.holders(),
            exclusive: matches!(entry, Entry::Exclusive(_)),
            running: running.map(|running| (running.request.node, running.request.txn)),
            queued: running.map_or(0, |running| running.queue.len()),
        }
    }

    /// How many transactions run, and how many wait.
    pub(crate) fn load(&self) -> (usize, usize) {
        (self.running.len(), self.running.values().map(|running| running.queue.len()).sum())
    }

    /// How many chunks of the table hold memory.
    pub(crate) fn allocated(&self) -> usize {
        self.entries.allocated()
    }
}
