//! The handle: starts the pager's thread, reads its counters, stops it.

use crate::backing::Backing;
use crate::engine::{Engine, Failure, Parts};
use crate::error::{PagerError, PagerEvent};
use crate::features::SharedInstall;
use crate::lane::Lane;
use crate::ram::GuestRam;
use crate::stats::{Counters, Stats};
use crate::traps::MAX_RUNS;
use crate::uffd::Uffd;
use pangea_dsm::{Dsm, Homes};
use pangea_topology::{NodeId, Pfn, Topology};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use vmm_sys_util::eventfd::{EFD_CLOEXEC, EFD_NONBLOCK, EventFd};

/// Do all of this node's vCPUs sleep at this moment?
pub type Asleep = Box<dyn Fn() -> bool + Send + Sync>;

/// A running pager. Dropping it stops it.
///
/// While it runs, an access to guest memory that isn't here waits until it is. When it fails, such
/// accesses wait on: better a guest that stands still than one that reads what isn't so.
pub struct Pager {
    asleep: Arc<OnceLock<Asleep>>,
    counters: Arc<Counters>,
    stop: EventFd,
    thread: Option<JoinHandle<()>>,
    /// Held here too, so that the end of the thread, however it comes, wakes nobody.
    _uffd: Arc<Uffd>,
}

impl Pager {
    /// Traps the memory of the other nodes and starts to serve. `ram` is of `topology`'s ranges,
    /// `peers` has the connected page lane of every other node, past its greeting. `events` is
    /// called on the pager's thread and must not block.
    pub fn start(
        ram: &GuestRam,
        topology: &Topology,
        me: NodeId,
        peers: Vec<(NodeId, TcpStream)>,
        events: Box<dyn Fn(PagerEvent) + Send>,
    ) -> Result<Pager, PagerError> {
        Pager::start_with(SharedInstall::probe()?, ram, topology, me, peers, events)
    }

    /// The same with a given way to install Shared pages, so that the older one can be tested where
    /// the kernel has the newer.
    pub fn start_with(
        shared: SharedInstall,
        ram: &GuestRam,
        topology: &Topology,
        me: NodeId,
        peers: Vec<(NodeId, TcpStream)>,
        events: Box<dyn Fn(PagerEvent) + Send>,
    ) -> Result<Pager, PagerError> {
        let lanes = lanes(topology, me, peers)?;
        let ranges = topology.ram();
        let homes = ranges.iter().map(|r| (Pfn(r.pages().start)..Pfn(r.pages().end), r.node));
        let homes = Homes::new(homes.collect());
        let nodes = topology.nodes().len();
        let uffd = Arc::new(Uffd::open(ram)?);
        let backing = Backing::new(ram, uffd.clone(), ranges, me, shared, MAX_RUNS)?;
        let counters = Arc::new(Counters::new(me, nodes));
        let system = |what| move |cause| PagerError::System { what, cause };
        let stop = EventFd::new(EFD_NONBLOCK | EFD_CLOEXEC).map_err(system("eventfd"))?;
        let asleep = Arc::new(OnceLock::new());
        let parts = Parts {
            asleep: asleep.clone(),
            dsm: Dsm::new(me, nodes as u8, homes.clone()),
            homes,
            backing,
            uffd: uffd.clone(),
            lanes,
            stop: stop.try_clone().map_err(system("dup of an eventfd"))?,
            counters: counters.clone(),
        };
        let thread = thread::Builder::new().name("pager".into());
        let thread = thread.spawn(move || serve(parts, events)).map_err(system("thread"))?;
        tracing::info!(node = %me, ?shared, "pager started");
        Ok(Pager { asleep, counters, stop, thread: Some(thread), _uffd: uffd })
    }

    /// From now on pages aren't kept for vCPUs that `asleep` says all sleep. It is called on the pager's
    /// thread, often, while others wait for pages. Only the first call counts.
    pub fn watch(&self, asleep: Asleep) {
        let _ = self.asleep.set(asleep);
    }

    /// The counters now. Cheap, from any thread.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// Ends the thread and closes the userfaultfd: whoever waits for a page goes on with whatever
    /// this node has in its place. So first see to it that no vCPU enters the guest again
    /// (`immediate_exit` and a signal), then stop the pager, then join the vCPUs' threads.
    pub fn stop(mut self) -> Stats {
        self.end();
        self.stats()
    }

    fn end(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if let Err(cause) = self.stop.write(1) {
            // Can't be: an eventfd's counter is full only after 2^64 writes.
            tracing::error!(%cause, "cannot tell the pager's thread to stop");
            return;
        }
        // It catches its own panics and has reported them.
        let _ = thread.join();
    }
}

impl Drop for Pager {
    fn drop(&mut self) {
        self.end();
    }
}

/// One lane for each other node, none twice.
fn lanes(
    topology: &Topology,
    me: NodeId,
    peers: Vec<(NodeId, TcpStream)>,
) -> Result<Vec<Lane>, PagerError> {
    let nodes = topology.nodes().len();
    let mut found = vec![false; nodes];
    for (node, _) in &peers {
        match found.get_mut(node.index()) {
            Some(found) if *node != me && !*found => *found = true,
            _ => return Err(PagerError::Peer { node: *node, me, nodes }),
        }
    }
    let others = |i: &usize| NodeId(*i as u8) != me;
    if let Some(i) = (0..nodes).filter(others).find(|i| !found[*i]) {
        return Err(PagerError::NoLane { node: NodeId(i as u8) });
    }
    let lane = |(node, stream)| {
        Lane::new(node, stream).map_err(|cause| PagerError::Socket { node, cause })
    };
    peers.into_iter().map(lane).collect()
}

/// The thread: whatever ends it but a stop is reported.
fn serve(parts: Parts, events: Box<dyn Fn(PagerEvent) + Send>) {
    let served = catch_unwind(AssertUnwindSafe(|| {
        Engine::new(parts, &*events).map_err(Failure::from)?.run()
    }));
    let cause = match served {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("an invariant broke: {}", text.unwrap_or("no message"))
        }
    };
    tracing::error!(cause, "pager failed");
    events(PagerEvent::Failed { cause });
}

#[cfg(test)]
#[path = "pager_tests.rs"]
mod tests;
