//! The pager's thread: it owns the protocol's state, the userfaultfd and every page lane.
//!
//! ```text
//!   uffd ----- Fault ---->  +-----+ ---- Send ------------> lanes (page from the alias)
//!   lanes ---- Receive -->  | Dsm | ---- Install, Upgrade,
//!   timer ---- Tick ----->  +-----+      Downgrade, Revoke, Wake --> Backing
//! ```
//!
//! One thing at a time, outputs in their order: a page is taken from the guest before its bytes are
//! read and sent, and mapped before the home is told so. What goes out is written when the events
//! at hand are handled. Nothing here blocks but [`Poller::wait`], and nothing allocates once the
//! buffers have grown.

use crate::backing::Backing;
use crate::error::{LaneError, PagerEvent, UffdError};
use crate::lane::{Carried, Lane};
use crate::pager::Asleep;
use crate::poller::{Poller, Ready};
use crate::ram::{PAGE_BYTES, PageBytes};
use crate::stats::{Counters, FaultKind};
use crate::uffd::{Fault, Uffd};
use crate::waiting::Waiting;
use pangea_dsm::{Dsm, Homes, Input, Nanos, Output, ProtocolError};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::{Access, PageMessage, PageVerb};
use std::io;
use std::os::fd::AsRawFd;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use userfaultfd::EventBuffer;
use vmm_sys_util::eventfd::EventFd;

/// Faults taken per read of the userfaultfd.
const FAULTS: usize = 16;

/// While another node waits for a page that is kept for this node's vCPUs, how often to look whether
/// these have fallen asleep.
const LOOK_AGAIN: Nanos = Nanos(200_000);

/// An all-zero page, which travels as a header alone.
static ZERO: PageBytes = [0; PAGE_BYTES];

/// What the thread can't go on after.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Uffd(#[from] UffdError),
    #[error("the pager's thread cannot wait for events: {0}")]
    Poll(#[from] io::Error),
    #[error("the protocol refused what this node itself did: {0}")]
    Own(ProtocolError),
    #[error("the protocol wants to send to {node}, to which there never was a lane")]
    NoLane { node: NodeId },
}

/// What the engine is made of.
pub(crate) struct Parts {
    pub(crate) asleep: Arc<OnceLock<Asleep>>,
    pub(crate) dsm: Dsm,
    pub(crate) homes: Homes,
    pub(crate) backing: Backing,
    pub(crate) uffd: Arc<Uffd>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) stop: EventFd,
    pub(crate) counters: Arc<Counters>,
}

/// A peer's place in the list of lanes.
enum Slot {
    /// This node itself, or a node that isn't in the cluster.
    Absent,
    Open(Lane),
    /// It was open, and its end has been reported.
    Closed,
}

pub(crate) struct Engine<'a> {
    asleep: Arc<OnceLock<Asleep>>,
    dsm: Dsm,
    homes: Homes,
    backing: Backing,
    uffd: Arc<Uffd>,
    slots: Vec<Slot>,
    poller: Poller,
    counters: Arc<Counters>,
    events: &'a (dyn Fn(PagerEvent) + Send),
    waiting: Waiting,
    buffer: EventBuffer,
    faults: Vec<Fault>,
    outputs: Vec<Output>,
    start: Instant,
    /// Kept so that what the poller watches stays open.
    _stop: EventFd,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(
        parts: Parts,
        events: &'a (dyn Fn(PagerEvent) + Send),
    ) -> io::Result<Engine<'a>> {
        let poller = Poller::new(parts.uffd.as_raw_fd(), &parts.stop)?;
        let mut slots: Vec<Slot> = Vec::new();
        for lane in parts.lanes {
            poller.add(lane.as_raw_fd(), lane.node)?;
            let index = lane.node.index();
            if slots.len() <= index {
                slots.resize_with(index + 1, || Slot::Absent);
            }
            slots[index] = Slot::Open(lane);
        }
        Ok(Engine {
            asleep: parts.asleep,
            dsm: parts.dsm,
            homes: parts.homes,
            backing: parts.backing,
            uffd: parts.uffd,
            slots,
            poller,
            counters: parts.counters,
            events,
            waiting: Waiting::new(),
            buffer: EventBuffer::new(FAULTS),
            faults: Vec::with_capacity(FAULTS),
            outputs: Vec::with_capacity(64),
            start: Instant::now(),
            _stop: parts.stop,
        })
    }

    /// Serves until told to stop.
    pub(crate) fn run(&mut self) -> Result<(), Failure> {
        loop {
            self.tick()?;
            for index in 0..self.poller.wait()? {
                match self.poller.ready(index)? {
                    Some(Ready::Stop) => return Ok(()),
                    Some(Ready::Faults) => self.faults()?,
                    Some(Ready::Lane(node)) => self.lane(node)?,
                    Some(Ready::Timer) | None => {}
                }
                self.flush()?;
            }
            let counters = self.dsm.counters();
            self.counters.turns.set(counters.turns);
            self.counters.gathered.set(counters.gathered);
        }
    }

    fn now(&self) -> Nanos {
        Nanos(self.start.elapsed().as_nanos() as u64)
    }

    /// Gives the protocol the time if it is due, and sets the timer for when it next is.
    fn tick(&mut self) -> Result<(), Failure> {
        let mut now = self.now();
        let due =
            self.dsm.next_deadline().map(|at| if at <= now { Input::Tick } else { Input::Idle });
        if let Some(input) = due
            && (input == Input::Tick || self.all_sleep())
        {
            self.dsm.step(now, input, &mut self.outputs).map_err(Failure::Own)?;
            self.execute(None)?;
            self.flush()?;
            now = self.now();
        }
        // Somebody waits: look again soon whether this node's vCPUs have fallen asleep.
        let next = self.dsm.next_deadline().map(|at| match self.asleep.get() {
            Some(_) => at.min(now.after(LOOK_AGAIN)),
            None => at,
        });
        let next = next.map(|at| (at.0, Duration::from_nanos(at.0.saturating_sub(now.0))));
        Ok(self.poller.arm(next)?)
    }

    fn all_sleep(&self) -> bool {
        self.asleep.get().is_some_and(|asleep| asleep())
    }

    /// Reads a batch of faults and puts each to the protocol.
    fn faults(&mut self) -> Result<(), Failure> {
        let Engine { uffd, buffer, faults, .. } = self;
        faults.clear();
        uffd.read(buffer, |fault| faults.push(fault))?;
        let read = Instant::now();
        for index in 0..self.faults.len() {
            let fault = self.faults[index];
            let input = Input::Fault { pfn: fault.pfn, access: fault.access };
            self.dsm.step(self.now(), input, &mut self.outputs).map_err(Failure::Own)?;
            self.count(fault, read);
            self.execute(Some(fault))?;
        }
        Ok(())
    }

    /// Was the fault answered at once, joined to another, or must it wait for a node?
    fn count(&mut self, fault: Fault, read: Instant) {
        let pfn = fault.pfn;
        let answered = self.outputs.iter().any(|output| match *output {
            Output::Wake { pfn: page }
            | Output::Upgrade { pfn: page }
            | Output::Install { pfn: page, .. } => page == pfn,
            _ => false,
        });
        if answered {
            self.counters.local.add();
        } else if self.waiting.contains(pfn) {
            self.counters.joined.add();
        } else {
            let kind = match (fault.protected, fault.access) {
                (true, _) => FaultKind::Upgrade,
                (false, Access::Write) => FaultKind::Write,
                (false, Access::Read) => FaultKind::Read,
            };
            if let Some(home) = self.homes.of(pfn) {
                self.counters.remote_fault(kind, home);
            }
            self.waiting.begin(pfn, kind, read);
        }
    }

    /// Reads a peer's lane once and puts each of its messages to the protocol.
    fn lane(&mut self, node: NodeId) -> Result<(), Failure> {
        let Some(Slot::Open(lane)) = self.slots.get_mut(node.index()) else { return Ok(()) };
        let filled = lane.fill();
        // What came before the end still counts: take it first.
        while let Progress::More = self.message(node)? {}
        match filled {
            Ok(_) => Ok(()),
            Err(cause) => self.close(node, cause),
        }
    }

    /// Takes one message from a lane's inbox.
    fn message(&mut self, node: NodeId) -> Result<Progress, Failure> {
        let Some(Slot::Open(lane)) = self.slots.get_mut(node.index()) else {
            return Ok(Progress::Enough);
        };
        let (message, carried) = match lane.next() {
            Ok(Some(next)) => next,
            Ok(None) => return Ok(Progress::Enough),
            Err(cause) => {
                self.close(node, cause)?;
                return Ok(Progress::Enough);
            }
        };
        // Bytes go where the guest could see them only if the protocol waits for just these.
        if let (Some(bytes), true) = (bytes(carried), self.dsm.expects_page(node, &message)) {
            self.backing.receive(message.pfn, bytes)?;
        }
        received(&self.counters, node, &message, carried);
        let now = Nanos(self.start.elapsed().as_nanos() as u64);
        let input = Input::Receive { from: node, message };
        match self.dsm.step(now, input, &mut self.outputs) {
            Ok(()) => self.execute(None)?,
            Err(cause) => {
                self.outputs.clear();
                self.drop_lane(node)?;
                (self.events)(PagerEvent::Protocol { node, message, cause });
            }
        }
        Ok(Progress::More)
    }

    /// Does what the protocol said, in its order. `fault` is what it was said to, if that was one.
    fn execute(&mut self, fault: Option<Fault>) -> Result<(), Failure> {
        let mut outputs = std::mem::take(&mut self.outputs);
        let done = outputs.drain(..).try_for_each(|output| self.one(output, fault));
        self.outputs = outputs;
        done
    }

    fn one(&mut self, output: Output, fault: Option<Fault>) -> Result<(), Failure> {
        match output {
            Output::Send { to, message } => return self.send(to, &message),
            Output::Install { pfn, access } => {
                self.backing.install(pfn, access)?;
                self.resolved(pfn);
            }
            Output::Take { .. } => {} // Its bytes are in the alias; nobody waits for it.
            Output::Upgrade { pfn } => {
                self.backing.upgrade(pfn)?;
                self.resolved(pfn);
            }
            Output::Downgrade { pfn } => {
                self.counters.downgrades.add();
                self.backing.downgrade(pfn)?;
            }
            Output::Revoke { pfn } => {
                self.counters.revokes.add();
                self.backing.revoke(pfn)?;
            }
            Output::Wake { pfn } => match fault.filter(|fault| fault.pfn == pfn) {
                Some(fault) => {
                    let access = self.dsm.access(pfn).unwrap_or(fault.access);
                    self.backing.remap(fault, access)?;
                }
                None => self.backing.wake(pfn)?,
            },
        }
        Ok(())
    }

    fn resolved(&mut self, pfn: Pfn) {
        if let Some((kind, since)) = self.waiting.end(pfn) {
            self.counters.resolved(kind, since.elapsed().as_nanos() as u64);
        }
    }

    /// Encodes a message into the peer's outbox, with the page if it is to carry one.
    fn send(&mut self, to: NodeId, message: &PageMessage) -> Result<(), Failure> {
        let lane = match self.slots.get_mut(to.index()) {
            Some(Slot::Open(lane)) => lane,
            Some(Slot::Closed) => return Ok(()), // Its end was reported; the guest is to stop.
            Some(Slot::Absent) | None => return Err(Failure::NoLane { node: to }),
        };
        let peer = self.counters.peer(to);
        let pushed = if self.dsm.has_bytes(message) {
            let mut snapshot = Ok(());
            let backing = &self.backing;
            let zero =
                lane.push_page(message, |page| snapshot = backing.snapshot(message.pfn, page));
            snapshot?;
            zero.map(|zero| {
                let Some(peer) = peer else { return };
                peer.pages_out.add();
                if zero {
                    peer.zero_out.add();
                }
            })
        } else {
            if let (PageVerb::Invalidate, Some(peer)) = (message.verb, peer) {
                peer.invalidations_out.add();
            }
            lane.push(message)
        };
        match pushed {
            Ok(()) => Ok(()),
            Err(cause) => self.close(to, cause),
        }
    }

    /// Writes out what the lanes hold, and has the poller report those that take no more for now.
    fn flush(&mut self) -> Result<(), Failure> {
        for index in 0..self.slots.len() {
            let Slot::Open(lane) = &mut self.slots[index] else { continue };
            if !lane.is_pending() {
                continue;
            }
            let was_blocked = lane.blocked;
            match lane.flush() {
                Ok(()) if lane.blocked == was_blocked => {}
                Ok(()) => self.poller.set_writable(lane.as_raw_fd(), lane.node, lane.blocked)?,
                Err(cause) => {
                    let node = lane.node;
                    self.close(node, cause)?;
                }
            }
        }
        Ok(())
    }

    /// Stops serving a peer, and says why.
    fn close(&mut self, node: NodeId, cause: LaneError) -> Result<(), Failure> {
        if self.drop_lane(node)? {
            (self.events)(PagerEvent::LaneClosed { node, cause });
        }
        Ok(())
    }

    /// Stops serving a peer; whether it still was.
    fn drop_lane(&mut self, node: NodeId) -> Result<bool, Failure> {
        let Some(slot) = self.slots.get_mut(node.index()) else { return Ok(false) };
        let Slot::Open(lane) = &*slot else { return Ok(false) };
        self.poller.remove(lane.as_raw_fd())?;
        *slot = Slot::Closed;
        Ok(true)
    }
}

enum Progress {
    More,
    Enough,
}

fn bytes(carried: Carried<'_>) -> Option<&PageBytes> {
    match carried {
        Carried::Nothing => None,
        Carried::Zero => Some(&ZERO),
        Carried::Page(bytes) => Some(bytes),
    }
}

fn received(counters: &Counters, node: NodeId, message: &PageMessage, carried: Carried<'_>) {
    let Some(peer) = counters.peer(node) else { return };
    match (message.verb, carried) {
        (PageVerb::Page { .. }, Carried::Zero) => {
            peer.pages_in.add();
            peer.zero_in.add();
        }
        (PageVerb::Page { .. }, _) => peer.pages_in.add(),
        (PageVerb::Invalidate, _) => peer.invalidations_in.add(),
        _ => {}
    }
}
