//! The run: a queue of events in virtual time, and what each of them does.
//!
//! ```text
//!   Run(vCPU) --access--> ok, or Fault --> step --> outputs --> Deliver(link) --> step --> ...
//!                ^                                     |
//!                +------------ wake (Install, ..) -----+         Tick(node) at its deadline
//! ```
//!
//! Equal times are told apart by a serial number, so the order is always the same. `pager.rs` has
//! what a node does with an event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use pangea_dsm::{Dsm, Homes, Input, Nanos};
use pangea_topology::{NodeId, Pfn};
use pangea_wire::Access;

use crate::links::Links;
use crate::memory::Memory;
use crate::outcome::{Report, Violation};
use crate::rng::Rng;
use crate::trace::{self, Trace, What};
use crate::vcpu::{Habits, Vcpu};
use crate::{Config, WAIT_PER_NODE};

/// Something that will happen. The order among equals decides nothing: a serial number does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Event {
    /// A vCPU attempts its access.
    Run(usize),
    /// The pager reads a vCPU's fault.
    Fault { vcpu: usize, pfn: Pfn, access: Access },
    /// The next message of a link arrives.
    Deliver { from: NodeId, to: NodeId },
    /// A node's deadline, perhaps.
    Tick(NodeId),
    /// A node does nothing more.
    Crash(NodeId),
}

/// A node that crashed: what it sent arrives until then, and nothing after.
#[derive(Clone, Copy)]
struct Crashed {
    node: NodeId,
    heard_until: Nanos,
}

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) rng: Rng,
    pub(crate) now: Nanos,
    events: BinaryHeap<Reverse<(Nanos, u64, Event)>>,
    serial: u64,
    pub(crate) nodes: Vec<Dsm>,
    /// Until then a node's pager doesn't run.
    asleep: Vec<Nanos>,
    pub(crate) vcpus: Vec<Vcpu>,
    pub(crate) habits: Habits,
    pub(crate) memory: Memory,
    pub(crate) links: Links,
    pub(crate) trace: Trace,
    crashed: Option<Crashed>,
    /// All CPUs are through, and pages are only read once more.
    sweeping: bool,
    accesses: u64,
    faults: u64,
    longest_wait: Nanos,
    pub(crate) longest_hold: Nanos,
}

impl World {
    pub(crate) fn new(config: Config) -> World {
        let mut rng = Rng::new(config.seed);
        let Config { nodes, pages, vcpus, steps, .. } = config;
        // Homes as the map has them: each node's pages in a row, some nodes without any.
        let mut of_page: Vec<_> =
            (0..pages).map(|_| NodeId(rng.below(u64::from(nodes)) as u8)).collect();
        of_page.sort_unstable();
        let ranges = of_page.iter().enumerate();
        let ranges = ranges.map(|(page, &node)| (Pfn(page as u64)..Pfn(page as u64 + 1), node));
        let homes = Homes::new(ranges.collect());
        let all = u64::from(nodes) * u64::from(vcpus);
        let vcpu = |index: u64| Vcpu {
            node: NodeId((index / u64::from(vcpus)) as u8),
            number: (index % u64::from(vcpus)) as u32,
            left: steps / all + u64::from(index < steps % all),
            sweep: Vec::new(),
            at: None,
            since: None,
            waits: None,
        };
        let mut world = World {
            config,
            now: Nanos(0),
            events: BinaryHeap::new(),
            serial: 0,
            nodes: (0..nodes).map(|me| Dsm::new(NodeId(me), nodes, homes.clone())).collect(),
            asleep: vec![Nanos(0); usize::from(nodes)],
            vcpus: (0..all).map(vcpu).collect(),
            habits: Habits::of(pages, &mut rng),
            memory: Memory::new(nodes, &of_page, || rng.chance(1, 2)),
            links: Links::new(nodes, pages, &mut rng),
            trace: Trace::new(),
            crashed: None,
            sweeping: false,
            accesses: 0,
            faults: 0,
            longest_wait: Nanos(0),
            longest_hold: Nanos(0),
            rng,
        };
        for index in 0..world.vcpus.len() {
            let start = Nanos(world.rng.below(10_000));
            world.at(start, Event::Run(index));
        }
        if config.crash {
            let (node, when) =
                (world.rng.below(u64::from(nodes)), world.rng.magnitude(10_000, 1_000_000_000));
            world.at(Nanos(when), Event::Crash(NodeId(node as u8)));
        }
        world
    }

    pub(crate) fn at(&mut self, time: Nanos, event: Event) {
        self.serial += 1;
        self.events.push(Reverse((time, self.serial, event)));
    }

    pub(crate) fn note(&mut self, node: NodeId, what: What) {
        self.trace.add(trace::Event { now: self.now, node, what });
    }

    /// Runs until nothing is left to happen, then looks at what that left.
    pub(crate) fn run(&mut self) -> Result<Report, Violation> {
        self.drain()?;
        if self.crashed.is_none() {
            self.sweep()?;
            self.memory.check_all()?;
        }
        Ok(Report {
            crashed: self.crashed.map(|crashed| crashed.node),
            config: self.config,
            accesses: self.accesses,
            writes: self.memory.writes(),
            faults: self.faults,
            messages: self.links.messages,
            pages_sent: self.links.pages,
            deferred: self.nodes.iter().map(|node| node.counters().deferred).sum(),
            installs: self.memory.installs,
            unused: self.memory.unused,
            most_in_flight: self.links.most_in_flight,
            longest_wait: self.longest_wait,
            longest_hold: self.longest_hold,
            virtual_time: self.now,
            events: self.trace.events(),
            trace_hash: self.trace.hash(),
        })
    }

    /// All nodes read all pages once more.
    fn sweep(&mut self) -> Result<(), Violation> {
        self.sweeping = true;
        for index in 0..self.vcpus.len() {
            if self.vcpus[index].number == 0 {
                self.vcpus[index].sweep = (0..self.config.pages).map(Pfn).collect();
                self.at(self.now, Event::Run(index));
            }
        }
        self.drain()
    }

    fn drain(&mut self) -> Result<(), Violation> {
        while let Some(Reverse((time, serial, event))) = self.events.pop() {
            self.now = time;
            if serial % 256 == 0 {
                self.check_progress()?;
            }
            self.happen(event)?;
        }
        if self.crashed.is_some() {
            // Others may wait for it for ever: their drivers stop the guest.
            return Ok(());
        }
        if let Some(vcpu) = self.vcpus.iter().find(|vcpu| vcpu.at.is_some())
            && let Some((pfn, _)) = vcpu.at
        {
            return Err(Violation::Deadlock { pfn, node: vcpu.node, vcpu: vcpu.number });
        }
        for (index, node) in self.nodes.iter().enumerate() {
            if node.outstanding() != Default::default() {
                let open = format!("{:?}", node.outstanding());
                return Err(Violation::Unfinished { node: NodeId(index as u8), open });
            }
        }
        Ok(())
    }

    fn check_progress(&self) -> Result<(), Violation> {
        if self.crashed.is_some() {
            return Ok(());
        }
        let limit = Nanos(WAIT_PER_NODE.0 * u64::from(self.config.nodes));
        for Vcpu { node, number, at, since, .. } in &self.vcpus {
            if let (Some((pfn, _)), Some(since)) = (*at, *since)
                && self.now.since(since) > limit
            {
                let (node, vcpu) = (*node, *number);
                return Err(Violation::NoProgress { pfn, node, vcpu, since, limit });
            }
        }
        Ok(())
    }

    fn happen(&mut self, event: Event) -> Result<(), Violation> {
        let node = match event {
            Event::Run(vcpu) | Event::Fault { vcpu, .. } => self.vcpus[vcpu].node,
            Event::Deliver { to, .. } => to,
            Event::Tick(node) | Event::Crash(node) => node,
        };
        if let Some(Crashed { node: crashed, heard_until }) = self.crashed {
            let lost = |from| from == crashed && self.now > heard_until;
            match event {
                Event::Deliver { from, to } if to == crashed || lost(from) => {
                    self.links.receive(from, to);
                    return Ok(());
                }
                _ if node == crashed => return Ok(()),
                _ => {}
            }
        }
        let pager = match event {
            Event::Run(index) => return self.attempt(index),
            Event::Crash(node) => {
                self.note(node, What::Crashed);
                let heard_until = self.now.after(Nanos(self.rng.magnitude(1_000, 10_000_000)));
                self.crashed = Some(Crashed { node, heard_until });
                return Ok(());
            }
            _ => node,
        };
        // A pager is a thread: now and then it gets no CPU for a while.
        if self.rng.chance(1, 300) {
            self.asleep[pager.index()] =
                self.now.after(Nanos(self.rng.magnitude(10_000, 2_000_000)));
        }
        if self.now < self.asleep[pager.index()] {
            self.at(self.asleep[pager.index()], event);
            return Ok(());
        }
        match event {
            Event::Run(_) | Event::Crash(_) => Ok(()),
            Event::Fault { vcpu, pfn, access } => {
                // A wake-up may take the fault back before the pager has read it.
                let woken = self.vcpus[vcpu].waits != Some((pfn, access));
                if woken && self.rng.chance(1, 2) {
                    return Ok(());
                }
                self.faults += 1;
                self.note(pager, What::Fault { pfn, access });
                self.step(pager, Input::Fault { pfn, access })
            }
            Event::Deliver { from, to } => self.deliver(from, to),
            Event::Tick(node) => {
                self.note(node, What::Tick);
                // Now and then its CPUs seem to sleep: who looks may be wrong, and nothing may break by it.
                let idle = self.rng.chance(1, 8);
                self.step(node, if idle { Input::Idle } else { Input::Tick })
            }
        }
    }

    /// A vCPU tries what it is at, and goes on or faults.
    fn attempt(&mut self, index: usize) -> Result<(), Violation> {
        let vcpu = &mut self.vcpus[index];
        let Some((pfn, access)) = vcpu.next(&self.habits, &mut self.rng) else { return Ok(()) };
        let node = vcpu.node;
        let walk = (0..self.config.walk).map(|page| (Pfn(page), Access::Write));
        let needs = walk.chain([(pfn, access)]);
        let fault = needs.clone().find(|&(pfn, access)| !self.memory.allows(node, pfn, access));
        if let Some((pfn, access)) = fault {
            let vcpu = &mut self.vcpus[index];
            vcpu.since.get_or_insert(self.now);
            vcpu.waits = Some((pfn, access));
            let read = self.now.after(self.habits.report(&mut self.rng));
            self.at(read, Event::Fault { vcpu: index, pfn, access });
            return Ok(());
        }
        for (pfn, access) in needs {
            self.use_page(node, pfn, access)?;
            self.memory.used(node, pfn);
        }
        let vcpu = &mut self.vcpus[index];
        vcpu.at = None;
        if let Some(since) = vcpu.since.take() {
            self.longest_wait = self.longest_wait.max(self.now.since(since));
        }
        let next = self.now.after(self.habits.think(&mut self.rng));
        self.at(next, Event::Run(index));
        Ok(())
    }

    /// A CPU accesses a page, if its mapping allows it.
    fn use_page(&mut self, node: NodeId, pfn: Pfn, access: Access) -> Result<bool, Violation> {
        let Some(version) = self.memory.access(node, pfn, access)? else { return Ok(false) };
        self.accesses += 1;
        self.note(node, What::Accessed { pfn, access, version });
        Ok(true)
    }

    /// Some other CPU of the node may touch the page at just this moment.
    pub(crate) fn glance(&mut self, node: NodeId, pfn: Pfn) -> Result<(), Violation> {
        let is_page = pfn.0 < self.config.pages; // And not the token.
        if is_page && self.rng.chance(1, 2) {
            let write = !self.sweeping && self.rng.chance(1, 2);
            let access = if write { Access::Write } else { Access::Read };
            self.use_page(node, pfn, access)?;
        }
        Ok(())
    }
}
