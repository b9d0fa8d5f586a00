//! A node's life: links, agreement, the guest, the end.
//!
//! ```text
//!   every node           root node                          other nodes
//!   links up, pager on
//!                        <------------------------------- CpuidOffer
//!                        CpuidAgreed ------------------->
//!   vCPUs and ghosts made
//!                        <------------------------------- Ready
//!                        loads the guest, Clock -------->  clock set
//!                        <------------------------------- Ready
//!                        Start ------------------------->
//!   the guest runs
//!   Stop <-------------------- whoever first has a reason ------------------> Stop
//! ```

use crate::devices::{Chipset, Interrupts, Output, Request};
use crate::event::{Event, Events};
use crate::machine::{Counters, Devices, Hub, NodeMachine};
use crate::remote::Remote;
use crate::summary::{Ending, Summary, Traffic};
use crate::{SessionError, Stopper, loader};
use pangea_kvm::{Cpuid, Cpus, Epoch, Machine, Running, Vm, agree, offer};
use pangea_manifest::Bundle;
use pangea_pager::{GuestRam, Pager, PagerEvent};
use pangea_topology::{NodeId, Topology};
use pangea_transport::{
    Control, ControlHandler, Identity, LinkReport, NodeAddress, Options, Progress, SendError,
    connect,
};
use pangea_wire::{ControlMessage, CpuidEntry, StopKind};
use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

/// How long a node may take to make its vCPUs and memory, once linked.
const SET_UP: Duration = Duration::from_secs(120);
/// A page lane closes a moment before or after its node says why; so long we wait for the reason.
const REASON: Duration = Duration::from_millis(300);
/// How often the console thread looks at the clock's interrupts.
const TICK: Duration = Duration::from_millis(250);

/// The guest's serial console, on the root node.
pub struct Console {
    /// Where its output goes. May block; only the guest's own output waits for it.
    pub output: Output,
    /// What is typed.
    pub input: Receiver<Vec<u8>>,
}

/// What a node is to do.
pub struct Config<'a> {
    /// The bundle to boot.
    pub bundle: &'a Bundle,
    /// Which of its nodes this is.
    pub me: NodeId,
    /// The guest's console; only the root node's is used.
    pub console: Option<Console>,
    /// How long to wait for the other nodes.
    pub wait: Duration,
    /// Ports to listen on and to look for the others at.
    pub ports: RangeInclusive<u16>,
    /// Told while the links come up.
    pub progress: &'a dyn Fn(&Progress),
}

/// A node about to run.
pub struct Session {
    events: Events,
}

impl Default for Session {
    fn default() -> Session {
        Session::new()
    }
}

impl Session {
    /// Nothing happens before [`Session::run`].
    pub fn new() -> Session {
        Session { events: Events::new() }
    }

    /// Ends the session from another thread.
    pub fn stopper(&self) -> Stopper {
        self.events.stopper()
    }

    /// Joins the cluster, runs this node's part of the guest, and returns when the cluster ends.
    pub fn run(self, config: Config) -> Result<Summary, SessionError> {
        let Session { events } = self;
        let Config { bundle, me, console, wait, ports, progress } = config;
        let topology = bundle.topology();
        // The machine first: what this host can't do is known before others are waited for.
        let ram = GuestRam::new(topology.ram())?;
        let vm = match topology.nodes().get(me.index()).is_some_and(|n| !n.apic_ids.is_empty()) {
            true => Some(Arc::new(Vm::new(topology, ram.guest().clone())?)),
            false => None,
        };
        let identity = identity(bundle, me);
        let options = Options { wait, ports, progress, stop: &events.interrupted };
        let links = match connect(&identity, &options) {
            Ok(links) => links,
            Err(_) if events.interrupted.load(Ordering::Acquire) => {
                return Ok(Summary::before_start(Ending::Interrupted("interrupted".to_owned())));
            }
            Err(error) => return Err(error.into()),
        };
        let mut reports = Vec::new();
        let (mut control_lanes, mut page_lanes) = (Vec::new(), Vec::new());
        for peer in links.peers {
            reports.push(peer.report);
            control_lanes.push((peer.node, peer.name, peer.control));
            page_lanes.push((peer.node, peer.page));
        }
        let deadline = Duration::from_millis(bundle.cluster().failure.peer_deadline_ms);
        let hub = Arc::new(Hub::new(events.sender.clone()));
        let handler: Arc<dyn ControlHandler> = hub.clone();
        let control = Control::start(me, control_lanes, deadline, handler)
            .map_err(|source| SessionError::Control { source })?;
        let report = events.sender.clone();
        let told = Box::new(move |event: PagerEvent| {
            let _ = report.send(Event::Pager(event));
        });
        let pager = Pager::start(&ram, topology, me, page_lanes, told)?;

        let node = Node {
            bundle,
            topology,
            me,
            ram: &ram,
            vm,
            control,
            hub,
            events,
            counters: Arc::default(),
        };
        let mut parts = Parts::default();
        let Err(end) = node.live(console, &pager, &mut parts);
        Ok(node.finish(end, parts, pager, reports))
    }
}

/// Why a node's life is over.
enum End {
    Ours(Ending),
    /// Another node said so.
    Told(NodeId, StopKind, String),
}

impl<E: Into<SessionError>> From<E> for End {
    fn from(error: E) -> End {
        End::Ours(Ending::Failed(error.into()))
    }
}

/// What has to be taken down again.
#[derive(Default)]
struct Parts {
    machine: Option<Arc<NodeMachine>>,
    running: Option<Running>,
    threads: Vec<JoinHandle<()>>,
    stop_console: Arc<AtomicBool>,
    ran_since: Option<Instant>,
}

struct Node<'a> {
    bundle: &'a Bundle,
    topology: &'a Topology,
    me: NodeId,
    ram: &'a GuestRam,
    vm: Option<Arc<Vm>>,
    control: Control,
    hub: Arc<Hub>,
    events: Events,
    counters: Arc<Counters>,
}

impl Node<'_> {
    fn live(
        &self,
        console: Option<Console>,
        pager: &Pager,
        parts: &mut Parts,
    ) -> Result<Infallible, End> {
        let (visit, visits) = sync_channel(self.topology.vcpus() as usize + 1);
        let machine = Arc::new(NodeMachine {
            me: self.me,
            topology: self.topology.clone(),
            vm: self.vm.clone(),
            devices: self.devices(console, parts)?,
            control: self.control.clone(),
            events: self.events.sender.clone(),
            visits: visit,
            counters: self.counters.clone(),
            stopping: AtomicBool::new(false),
        });
        parts.machine = Some(machine.clone());
        self.hub.set_machine(machine.clone());
        if self.me == NodeId::ROOT {
            parts.threads.push(spawn("devices", {
                let machine = machine.clone();
                move || machine.serve(&visits)
            })?);
        }

        let cpuid = self.agree_on_cpuid()?;
        let cpus = match &self.vm {
            Some(vm) => Some(Cpus::new(vm, self.topology, self.me, &cpuid)?),
            None => None,
        };
        if self.me == NodeId::ROOT {
            self.start_root(cpus.as_ref())?;
        } else {
            self.start_other(cpus.as_ref())?;
        }
        if let Some(activity) = cpus.as_ref().and_then(Cpus::activity) {
            pager.watch(Box::new(move || activity.all_sleep()));
        }
        let machine: Arc<dyn Machine> = machine;
        parts.running = cpus.map(|cpus| cpus.start(machine)).transpose()?;
        parts.ran_since = Some(Instant::now());
        tracing::info!("the guest runs");
        loop {
            // Only its end is expected while the guest runs.
            if let Some((from, message)) = self.next(None)? {
                return Err(self.out_of_turn(from, &format!("{message:?}")));
            }
        }
    }

    fn devices(&self, console: Option<Console>, parts: &mut Parts) -> Result<Devices, End> {
        let vm = match (&self.vm, self.me) {
            (Some(vm), NodeId::ROOT) => vm.clone(),
            _ => return Ok(Devices::There(Remote::new(self.control.clone()))),
        };
        let (control, events) = (self.control.clone(), self.events.sender.clone());
        let rerouted = Box::new(move |entries| {
            control.broadcast(&ControlMessage::IoapicRoutes(entries));
        });
        let requests = Box::new(move |request| {
            let _ = events.send(Event::Power(request));
        });
        let (output, input) = match console {
            Some(Console { output, input }) => (output, Some(input)),
            None => (Box::new(std::io::sink()) as Output, None),
        };
        let interrupts = Arc::new(Interrupts::new(vm, rerouted));
        let chipset = Arc::new(Chipset::new(interrupts, output, requests));
        let (typed, stop) = (chipset.clone(), parts.stop_console.clone());
        parts.threads.push(spawn("console", move || type_and_tick(&typed, input, &stop))?);
        Ok(Devices::Here(chipset))
    }

    /// All nodes' CPUIDs come to the root node, the common one goes back.
    fn agree_on_cpuid(&self) -> Result<Cpuid, End> {
        let offered = self.vm.as_ref().map(|vm| offer(vm.supported_cpuid())).unwrap_or_default();
        if self.me != NodeId::ROOT {
            let message = ControlMessage::CpuidOffer {
                entries: offered,
                vendor: String::new(),
                model: String::new(),
            };
            self.send(NodeId::ROOT, &message);
            return self.expect("CpuidAgreed", |message| match message {
                ControlMessage::CpuidAgreed { entries } => {
                    Some(Cpuid::from_entries(entries.clone()))
                }
                _ => None,
            });
        }
        let mut offers: Vec<(NodeId, Vec<CpuidEntry>)> = vec![(NodeId::ROOT, offered)];
        self.gather("its CPUID", |message| match message {
            ControlMessage::CpuidOffer { entries, .. } => Some(entries.clone()),
            _ => None,
        })?
        .into_iter()
        // A node without vCPUs has nothing to agree on.
        .filter(|(_, entries)| !entries.is_empty())
        .for_each(|offer| offers.push(offer));
        offers[1..].sort_by_key(|(node, _)| *node);
        let agreed = agree(self.topology, &offers)?;
        let entries = agreed.entries().to_vec();
        self.control.broadcast(&ControlMessage::CpuidAgreed { entries });
        Ok(agreed)
    }

    fn start_root(&self, cpus: Option<&Cpus>) -> Result<(), End> {
        let (Some(cpus), Some(vm)) = (cpus, &self.vm) else {
            return Err(SessionError::RootWithoutCpus.into());
        };
        self.gather_ready("to set up its vCPUs")?;
        cpus.set_entry(loader::load(self.bundle, self.ram.guest())?)?;
        let epoch = Epoch::now(cpus.tsc_khz()?);
        self.control.broadcast(&ControlMessage::Clock {
            kvmclock_ns: 0,
            realtime_ns: epoch.realtime_ns,
            tsc: epoch.tsc,
            tsc_khz: epoch.tsc_khz,
        });
        set_clock(vm, cpus, &epoch)?;
        self.gather_ready("to set its clock")?;
        self.control.broadcast(&ControlMessage::Start);
        Ok(())
    }

    fn start_other(&self, cpus: Option<&Cpus>) -> Result<(), End> {
        self.send(NodeId::ROOT, &ControlMessage::Ready);
        let epoch = self.expect("Clock", |message| match message {
            &ControlMessage::Clock { realtime_ns, tsc, tsc_khz, .. } => {
                Some(Epoch { realtime_ns, tsc, tsc_khz })
            }
            _ => None,
        })?;
        if let (Some(vm), Some(cpus)) = (&self.vm, cpus) {
            set_clock(vm, cpus, &epoch)?;
        }
        self.send(NodeId::ROOT, &ControlMessage::Ready);
        self.expect("Start", |message| match message {
            ControlMessage::Start => Some(()),
            _ => None,
        })
    }

    fn gather_ready(&self, what: &'static str) -> Result<(), End> {
        let ready = |message: &ControlMessage| (*message == ControlMessage::Ready).then_some(());
        self.gather(what, ready).map(|_| ())
    }

    /// One message of a kind from every other node.
    fn gather<T>(
        &self,
        what: &'static str,
        take: impl Fn(&ControlMessage) -> Option<T>,
    ) -> Result<Vec<(NodeId, T)>, End> {
        let until = Instant::now() + SET_UP;
        let mut missing: Vec<NodeId> =
            self.topology.nodes().iter().map(|n| n.id).filter(|id| *id != self.me).collect();
        let mut got = Vec::new();
        while let Some(&first) = missing.first() {
            let late = || SessionError::Late { node: self.name(first), what, limit: SET_UP };
            let (from, message) = self.next_until(until, late)?;
            match take(&message) {
                Some(value) if missing.contains(&from) => {
                    missing.retain(|node| *node != from);
                    got.push((from, value));
                }
                Some(_) => return Err(self.out_of_turn(from, "the same message twice")),
                None => return Err(self.out_of_turn(from, &format!("{message:?}"))),
            }
        }
        Ok(got)
    }

    /// The next message of the root node.
    fn expect<T>(
        &self,
        what: &'static str,
        take: impl Fn(&ControlMessage) -> Option<T>,
    ) -> Result<T, End> {
        let until = Instant::now() + SET_UP;
        let root = || SessionError::Late { node: self.name(NodeId::ROOT), what, limit: SET_UP };
        let (from, message) = self.next_until(until, root)?;
        if from != NodeId::ROOT {
            return Err(self.out_of_turn(from, &format!("{message:?}")));
        }
        take(&message).ok_or_else(|| self.out_of_turn(from, &format!("{message:?}")))
    }

    fn out_of_turn(&self, from: NodeId, what: &str) -> End {
        SessionError::OutOfTurn { node: self.name(from), what: what.to_owned() }.into()
    }

    fn next_until(
        &self,
        until: Instant,
        late: impl Fn() -> SessionError,
    ) -> Result<(NodeId, ControlMessage), End> {
        self.next(Some(until))?.ok_or_else(|| late().into())
    }

    /// The next message of the session; None once `until` has passed. Whatever ends the session is
    /// its end.
    fn next(&self, until: Option<Instant>) -> Result<Option<(NodeId, ControlMessage)>, End> {
        let event = match until {
            None => self.events.receiver.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.events.receiver.recv_timeout(left)
            }
        };
        match event {
            Ok(Event::Message(from, ControlMessage::Stop { kind, text })) => {
                Err(End::Told(from, kind, text))
            }
            Ok(Event::Message(from, message)) => Ok(Some((from, message))),
            Ok(Event::Power(Request::PowerOff)) => Err(End::Ours(Ending::PowerOff)),
            Ok(Event::Power(Request::Reset)) => Err(End::Ours(Ending::Reset)),
            Ok(Event::Interrupted(why)) => Err(End::Ours(Ending::Interrupted(why.to_owned()))),
            Ok(Event::Lost(loss)) => Err(End::Ours(Ending::Lost(loss))),
            Ok(Event::Cpu(error)) => Err(error.into()),
            Ok(Event::Pager(event)) => Err(self.pager_ended(event, until)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            // We hold a sender ourselves.
            Err(RecvTimeoutError::Disconnected) => Ok(None),
        }
    }

    /// A page lane that closed is a symptom: the control lane, or the node's own `Stop`, has the
    /// reason in a moment.
    fn pager_ended(&self, event: PagerEvent, until: Option<Instant>) -> End {
        let PagerEvent::LaneClosed { .. } = event else {
            return SessionError::Pager(event.to_string()).into();
        };
        let patience = Instant::now() + REASON;
        let until = until.map_or(patience, |until| until.min(patience));
        loop {
            match self.next(Some(until)) {
                Err(End::Ours(Ending::Failed(SessionError::Pager(_)))) => {}
                Err(end) => return end,
                Ok(Some((from, message))) => {
                    tracing::debug!(node = %from, ?message, "while a lane is down");
                }
                Ok(None) => return SessionError::Pager(event.to_string()).into(),
            }
        }
    }

    fn send(&self, to: NodeId, message: &ControlMessage) {
        tell(self.control.send(to, message));
    }

    fn name(&self, node: NodeId) -> String {
        self.topology.nodes().get(node.index()).map_or_else(|| node.to_string(), |n| n.name.clone())
    }

    /// Tells the others, and takes everything down: what blocks a vCPU first, then the vCPUs.
    fn finish(self, end: End, parts: Parts, pager: Pager, links: Vec<LinkReport>) -> Summary {
        let ran = parts.ran_since.map(|since| since.elapsed());
        let ending = match end {
            End::Told(from, kind, text) => Ending::told(&self.name(from), kind, text),
            End::Ours(ending) => {
                let (kind, text) = ending.announcement();
                self.control.broadcast(&ControlMessage::Stop { kind, text });
                ending
            }
        };
        if let Some(machine) = &parts.machine {
            machine.stop();
        }
        let pages = pager.stop();
        if let Some(running) = parts.running {
            running.stop();
        }
        parts.stop_console.store(true, Ordering::Release);
        self.control.close();
        for thread in parts.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the node panicked");
            }
        }
        Summary { ending, ran, links, pages: Some(pages), traffic: Traffic::of(&self.counters) }
    }
}

/// A lane that doesn't take a message is about to be reported as lost, with the reason.
fn tell(sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::debug!(%error, "message not sent");
    }
}

fn identity(bundle: &Bundle, me: NodeId) -> Identity {
    let cluster = bundle.cluster();
    let nodes = cluster
        .nodes
        .iter()
        .map(|node| NodeAddress { name: node.name.clone(), address: node.address.clone() })
        .collect();
    Identity { cluster: cluster.name.clone(), bundle: bundle.id(), me, nodes }
}

fn set_clock(vm: &Vm, cpus: &Cpus, epoch: &Epoch) -> Result<(), End> {
    cpus.set_tsc(epoch.tsc_offset(cpus.tsc_khz()?))?;
    vm.set_clock(epoch)?;
    Ok(())
}

/// Hands what is typed to the serial port, and lets the clock tick.
fn type_and_tick(chipset: &Chipset, mut input: Option<Receiver<Vec<u8>>>, stop: &AtomicBool) {
    let stopped = || stop.load(Ordering::Acquire);
    while !stopped() {
        match &input {
            Some(typed) => match typed.recv_timeout(TICK) {
                Ok(bytes) => chipset.type_in(&bytes, &stopped),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => input = None,
            },
            None => std::thread::sleep(TICK),
        }
        chipset.tick();
    }
}

fn spawn(
    name: &'static str,
    body: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, SessionError> {
    Builder::new()
        .name(name.to_owned())
        .spawn(body)
        .map_err(|source| SessionError::Thread { name, source })
}
