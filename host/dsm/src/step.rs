//! The function itself: one input in, the driver's orders out.

use std::collections::VecDeque;

use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb};

use crate::cache::Cache;
use crate::directory::Directory;
use crate::{Counters, Homes, Input, Nanos, Output, Outstanding, PageState, ProtocolError};

/// The most nodes that a cluster has: one bit each in a set of sharers.
const MAX_NODES: u8 = 64;

/// One node's part of the cluster's coherent memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dsm {
    pub(crate) homes: Homes,
    pub(crate) cache: Cache,
    pub(crate) directory: Directory,
    counters: Counters,
    /// What this node says to itself; empty between steps.
    own: VecDeque<PageMessage>,
}

/// Where the parts of a step put what they decide.
pub(crate) struct Effects<'a> {
    me: NodeId,
    pub(crate) homes: &'a Homes,
    pub(crate) counters: &'a mut Counters,
    pub(crate) out: &'a mut Vec<Output>,
    own: &'a mut VecDeque<PageMessage>,
}

impl Effects<'_> {
    pub(crate) fn send(&mut self, to: NodeId, message: PageMessage) {
        if to == self.me {
            self.own.push_back(message);
        } else {
            self.out.push(Output::Send { to, message });
        }
    }
}

impl Dsm {
    /// Node `me` of `nodes`, at the start: each page is writable at its home and nowhere else.
    ///
    /// # Panics
    /// If there are more than 64 nodes, or `me` or a home isn't one of them.
    pub fn new(me: NodeId, nodes: u8, homes: Homes) -> Dsm {
        assert!(nodes <= MAX_NODES, "{nodes} nodes, at most {MAX_NODES}");
        assert!(me.0 < nodes, "{me} of {nodes} nodes");
        for (range, home) in homes.ranges() {
            assert!(home.0 < nodes, "{home}, home of {range:?}, of {nodes} nodes");
        }
        Dsm {
            cache: Cache::new(me, nodes, homes.end()),
            directory: Directory::new(me, Pfn(homes.end().0 + 1)), // And the token.
            counters: Counters::new(nodes),
            own: VecDeque::new(),
            homes,
        }
    }

    /// Takes one input and appends what the driver is to do. `now` never goes back.
    ///
    /// # Errors
    /// The input is impossible; then neither the state nor `out` has changed.
    pub fn step(
        &mut self,
        now: Nanos,
        input: Input,
        out: &mut Vec<Output>,
    ) -> Result<(), ProtocolError> {
        match input {
            Input::Fault { pfn, access } => {
                let home = self.homes.of(pfn).ok_or(ProtocolError::NotRam { pfn })?;
                let (cache, _, mut fx) = self.parts(out);
                cache.fault(now, pfn, home, access, &mut fx);
            }
            Input::Receive { from, message } => match self.admit(from, &message) {
                Ok(home) => self.take(now, home, from, message, out),
                Err(why) => {
                    let state = self.describe(message.pfn);
                    return Err(ProtocolError::Refused { from, message, why, state });
                }
            },
            Input::Tick => {
                let (cache, _, mut fx) = self.parts(out);
                cache.tick(now, &mut fx);
            }
            Input::Idle => {
                let (cache, _, mut fx) = self.parts(out);
                cache.idle(now, &mut fx);
            }
        }
        // Each of these is answered by fewer than it took to ask: the loop ends.
        while let Some(message) = self.own.pop_front() {
            let me = self.cache.me;
            match self.admit_any(me, &message) {
                Ok(home) => self.take(now, home, me, message, out),
                Err(why) => panic!(
                    "{me} broke the protocol with itself: {message:?}: {why}; {}",
                    self.describe(message.pfn)
                ),
            }
        }
        Ok(())
    }

    /// May the bytes of this `Page` message go into the page's backing? Exactly if the `step` that
    /// takes it will succeed: nobody here can see that memory until then.
    pub fn expects_page(&self, from: NodeId, message: &PageMessage) -> bool {
        self.has_bytes(message) && self.admit(from, message).is_ok()
    }

    /// Does a page's contents go with this message? Not with the token, which has none.
    pub fn has_bytes(&self, message: &PageMessage) -> bool {
        matches!(message.verb, PageVerb::Page { .. }) && message.pfn != self.homes.token()
    }

    /// When [`Input::Tick`] is needed next, if nothing else happens.
    pub fn next_deadline(&self) -> Option<Nanos> {
        self.cache.next_deadline()
    }

    /// What the guest here may do with the page; `None` also where it is no RAM.
    pub fn access(&self, pfn: Pfn) -> Option<Access> {
        self.homes.of(pfn)?;
        self.cache.local(&self.homes, pfn).access
    }

    /// How long a page that is installed now, and wasn't fought over, will be kept.
    pub fn hold(&self) -> Nanos {
        self.cache.hold.of(0)
    }

    /// The measured time from a fault here to its page's installation, once there was one.
    pub fn fetch_time(&self) -> Option<Nanos> {
        self.cache.hold.fetch()
    }

    /// Counts since the start.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// What isn't over yet; all zero means that nothing is on its way.
    pub fn outstanding(&self) -> Outstanding {
        let (running, queued) = self.directory.load();
        Outstanding {
            requests: self.cache.pending.len(),
            deferred: self.cache.deferred.len(),
            running,
            queued,
        }
    }

    /// How many 2 MiB chunks have table entries, as a user of pages and as a home.
    pub fn allocated_chunks(&self) -> (usize, usize) {
        (self.cache.pages.allocated(), self.directory.allocated())
    }

    /// All this node knows of a page, for errors and dumps.
    pub fn describe(&self, pfn: Pfn) -> PageState {
        let home = self.homes.keeper(pfn);
        let pending = self.cache.pending.get(&pfn);
        PageState {
            access: self.access(pfn),
            pending: pending.map(|pending| (pending.txn, pending.want)),
            deferred: self.cache.defers(&self.homes, pfn),
            directory: (home == Some(self.cache.me)).then(|| self.directory.describe(pfn)),
        }
    }

    fn take(
        &mut self,
        now: Nanos,
        home: NodeId,
        from: NodeId,
        message: PageMessage,
        out: &mut Vec<Output>,
    ) {
        let (cache, directory, mut fx) = self.parts(out);
        let PageMessage { pfn, txn, verb, .. } = message;
        match verb {
            PageVerb::Get { access } => directory.get(from, txn, pfn, access, &mut fx),
            PageVerb::Done => directory.done(pfn, &mut fx),
            PageVerb::Fetch { .. } | PageVerb::Invalidate => cache.request(now, message, &mut fx),
            PageVerb::Page { .. } | PageVerb::Grant { .. } | PageVerb::Invalidated => {
                cache.reply(now, home, from, &message, &mut fx);
            }
        }
    }

    fn parts<'a>(
        &'a mut self,
        out: &'a mut Vec<Output>,
    ) -> (&'a mut Cache, &'a mut Directory, Effects<'a>) {
        let Dsm { homes, cache, directory, counters, own } = self;
        let fx = Effects { me: cache.me, homes, counters, out, own };
        (cache, directory, fx)
    }
}
