//! What decides a node's answers from a moment on: for whoever visits every state once.
//!
//! Two nodes that hash alike answer every input alike, whenever it comes. Counters are left out, and times
//! count from now: what is over is over, and what is long ago is just that.
//! Transactions count from their node's last one: only whether two are the same matters.

use std::hash::{Hash, Hasher};

use pangea_topology::{NodeId, Pfn};
use pangea_wire::{PageMessage, Txn};

use crate::hold::Loss;
use crate::{Dsm, HOLD_CEILING, Nanos};

/// Ages beyond this are alike: every "soon" and "long" of `hold.rs` is below it.
const LONG_AGO: Nanos = Nanos(64 * HOLD_CEILING.0);

impl Dsm {
    /// Hashes all that this node's answers depend on. `last` is each node's [`Dsm::last_transaction`].
    ///
    /// Nodes that served hundreds of faults answer alike for the next few hundred only: how many faults the
    /// measure of a fetch has seen is left out.
    pub fn hash_behaviour(&self, now: Nanos, last: &[Txn], state: &mut impl Hasher) {
        let left = |until: Nanos| until.since(now);
        let age = |since: Nanos| now.since(since).min(LONG_AGO);
        let ago = |node: NodeId, txn: Txn| last[node.index()].0.wrapping_sub(txn.0);
        let cache = &self.cache;
        let pages = self.homes.ranges().iter().flat_map(|(range, _)| range.start.0..range.end.0);
        for pfn in pages.map(Pfn).chain([self.homes.token()]) {
            self.directory.hash_behaviour(pfn, ago, state);
            let local = cache.local(&self.homes, pfn);
            let loss = local.loss.map(|Loss { at, crowded }| (age(at), crowded));
            (local.access, left(local.held_until), loss, local.heat).hash(state);
        }
        for (pfn, pending) in &cache.pending {
            (pfn, ago(cache.me, pending.txn)).hash(state);
            pending.hash_behaviour(age, state);
        }
        for ((due, _), message) in &cache.deferred {
            let PageMessage { pfn, txn, requester, verb } = *message;
            (left(*due), pfn, ago(requester, txn), requester, verb).hash(state);
        }
        (cache.hold.fetch(), &cache.gang).hash(state);
        (left(cache.turn_ends), left(cache.busy_until)).hash(state);
    }

    /// The number of the last transaction that this node began; 0 before the first.
    pub fn last_transaction(&self) -> Txn {
        Txn(self.cache.last_txn)
    }
}
