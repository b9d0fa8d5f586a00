//! What decides a node's answers from a moment on: for whoever visits every state once.
//!
//! Two nodes that hash alike answer every input alike, whenever it comes. Counters are left out, and times
//! count from now: what is over is over, and what is long ago is just that.

use std::hash::{Hash, Hasher};

use pangea_topology::Pfn;

use crate::hold::Loss;
use crate::{Dsm, HOLD_CEILING, Nanos};

/// Ages beyond this are alike: every "soon" and "long" of `hold.rs` is below it.
const LONG_AGO: Nanos = Nanos(64 * HOLD_CEILING.0);

impl Dsm {
    /// Hashes all that this node's answers depend on.
    pub fn hash_behaviour(&self, now: Nanos, state: &mut impl Hasher) {
        let left = |until: Nanos| until.since(now);
        let age = |since: Nanos| now.since(since).min(LONG_AGO);
        let cache = &self.cache;
        let pages = self.homes.ranges().iter().flat_map(|(range, _)| range.start.0..range.end.0);
        for pfn in pages.map(Pfn).chain([self.homes.token()]) {
            self.directory.hash_behaviour(pfn, state);
            let local = cache.local(&self.homes, pfn);
            let loss = local.loss.map(|Loss { at, crowded }| (age(at), crowded));
            (local.access, left(local.held_until), loss, local.heat).hash(state);
        }
        for (pfn, pending) in &cache.pending {
            pfn.hash(state);
            pending.hash_behaviour(age, state);
        }
        for ((due, _), message) in &cache.deferred {
            (left(*due), message).hash(state);
        }
        (&cache.hold, &cache.gang, cache.last_txn()).hash(state);
        (left(cache.turn_ends), left(cache.busy_until)).hash(state);
    }
}
