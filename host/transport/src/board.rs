//! Where the threads of a start-up meet: which links are up, what was seen, and the first error.
//!
//! ```text
//!   dialers, hello threads --> slots, fatal --> the thread that called connect()
//! ```

use crate::control::lock;
use crate::handshake::Own;
use crate::measure::Measured;
use crate::socket::is_up;
use crate::{LinkError, LinkReport, Tier};
use pangea_topology::NodeId;
use pangea_wire::Lane;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

/// What start-up takes from outside; tests give another.
#[derive(Clone)]
pub(crate) struct Tuning {
    /// CLOCK_REALTIME, in ns.
    pub(crate) clock: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// How long a refusal may last before it is believed: it may come from a process that is just
    /// ending.
    pub(crate) patience: Duration,
    /// The version to speak.
    pub(crate) protocol: u16,
}

/// How long a refusal may last before it is believed.
const PATIENCE: Duration = Duration::from_secs(3);

impl Default for Tuning {
    fn default() -> Tuning {
        let clock = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
        };
        Tuning { clock: Arc::new(clock), patience: PATIENCE, protocol: pangea_wire::PROTOCOL }
    }
}

pub(crate) struct Board {
    pub(crate) own: Own,
    pub(crate) tuning: Tuning,
    state: Mutex<State>,
    changed: Condvar,
}

pub(crate) struct State {
    pub(crate) slots: Vec<Slot>,
    /// The first error that ends start-up.
    pub(crate) fatal: Option<LinkError>,
    /// Start-up is over, with or without success.
    over: bool,
}

/// One other node.
#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) page: Option<TcpStream>,
    pub(crate) control: Option<TcpStream>,
    /// The process at the other end.
    run: u64,
    /// Counts the links that were tried: what a thread says of an older one no longer matters.
    pub(crate) generation: u64,
    pub(crate) report: Option<LinkReport>,
    /// What was found instead, the last time.
    pub(crate) seen: Option<String>,
}

impl Slot {
    fn clear(&mut self) {
        self.generation += 1;
        (self.page, self.control, self.report) = (None, None, None);
    }

    fn any_up(&self) -> bool {
        self.page.iter().chain(&self.control).any(is_up)
    }
}

impl Board {
    pub(crate) fn new(own: Own, tuning: Tuning) -> Board {
        let slots = own.identity.nodes.iter().map(|_| Slot::default()).collect();
        let state = Mutex::new(State { slots, fatal: None, over: false });
        Board { own, tuning, state, changed: Condvar::new() }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state, and wakes whoever waits for it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changed.notify_all();
        changed
    }

    /// Waits for a change, for so long at most.
    pub(crate) fn wait(&self, time: Duration) {
        // Woken too early is no harm: every caller looks and waits again.
        let guard = self.lock();
        drop(self.changed.wait_timeout(guard, time));
    }

    /// Waits so long; false as soon as start-up is over.
    pub(crate) fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        while !self.is_over() {
            match until.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => self.wait(left),
                _ => return true,
            }
        }
        false
    }

    /// Waits while the node has both lanes; false as soon as start-up is over.
    pub(crate) fn wait_until_missing(&self, node: NodeId) -> bool {
        loop {
            let state = self.lock();
            if state.over {
                return false;
            }
            if state.slots.get(node.index()).is_none_or(|slot| slot.control.is_none()) {
                return true;
            }
            drop(self.changed.wait(state));
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        self.lock().over
    }

    pub(crate) fn end(&self) {
        self.change(|state| state.over = true);
    }

    /// Ends start-up if each of the other nodes has a link: from then on none is replaced.
    pub(crate) fn seal(&self) -> bool {
        let me = self.own.identity.me.index();
        self.change(|state| {
            let others = state.slots.iter().enumerate().filter(|(index, _)| *index != me);
            let all = others.into_iter().all(|(_, slot)| slot.report.is_some());
            state.over |= all;
            all
        })
    }

    /// Ends start-up with this error, unless another was first.
    pub(crate) fn fail(&self, error: LinkError) {
        self.change(|state| {
            state.fatal.get_or_insert(error);
        });
    }

    pub(crate) fn saw(&self, node: NodeId, what: String) {
        if let Some(slot) = self.lock().slots.get_mut(node.index()) {
            slot.seen = Some(what);
        }
    }

    /// A lower node dialed a lane. `None` if another process holds that node's place; else the
    /// link's generation, and whether both lanes are there now.
    pub(crate) fn admit(
        &self,
        node: NodeId,
        lane: Lane,
        run: u64,
        stream: TcpStream,
    ) -> Option<(u64, bool)> {
        self.change(|state| {
            let over = state.over;
            let slot = state.slots.get_mut(node.index())?;
            if over || (slot.run != run && slot.any_up()) {
                return None;
            }
            let place = match lane {
                Lane::Page => &slot.page,
                Lane::Control => &slot.control,
            };
            // A new process, or the same one that starts again: nothing old is of use.
            if slot.run != run || place.is_some() {
                slot.clear();
                slot.run = run;
            }
            match lane {
                Lane::Page => slot.page = Some(stream),
                Lane::Control => slot.control = Some(stream),
            }
            Some((slot.generation, slot.page.is_some() && slot.control.is_some()))
        })
    }

    /// Both lanes to a higher node are there. The link's generation.
    pub(crate) fn adopt(&self, node: NodeId, page: TcpStream, control: TcpStream) -> u64 {
        self.change(|state| {
            let over = state.over;
            let Some(slot) = state.slots.get_mut(node.index()).filter(|_| !over) else { return 0 };
            slot.clear();
            (slot.page, slot.control) = (Some(page), Some(control));
            slot.generation
        })
    }

    /// This link came to nothing.
    pub(crate) fn abandon(&self, node: NodeId, generation: u64) {
        self.change(|state| {
            if !state.over
                && let Some(slot) = state.slots.get_mut(node.index())
                && slot.generation == generation
            {
                slot.clear();
            }
        });
    }

    /// A second handle on a link's page lane, to measure it.
    pub(crate) fn page(&self, node: NodeId, generation: u64) -> io::Result<TcpStream> {
        let state = self.lock();
        let slot = state.slots.get(node.index()).filter(|slot| slot.generation == generation);
        slot.and_then(|slot| slot.page.as_ref()).ok_or(io::ErrorKind::NotConnected)?.try_clone()
    }

    /// A link was measured: it is up, unless the clocks forbid it.
    pub(crate) fn conclude(
        &self,
        node: NodeId,
        generation: u64,
        address: SocketAddr,
        measured: Measured,
    ) {
        let name = self.own.identity.name(node);
        let Measured { rtt_ns, rtt_min_ns, fetch_ns, skew_ns, skew_trip_ns } = measured;
        if !measured.clocks_agree() {
            let limit_ns = measured.skew_limit_ns();
            return self.fail(LinkError::ClockSkew { peer: name, skew_ns, limit_ns });
        }
        let report = LinkReport {
            node,
            name,
            address,
            rtt_ns,
            rtt_min_ns,
            fetch_ns,
            tier: Tier::of_fetch(fetch_ns),
            skew_ns,
            skew_uncertainty_ns: skew_trip_ns / 2,
        };
        self.change(|state| {
            if let Some(slot) = state.slots.get_mut(node.index())
                && slot.generation == generation
            {
                slot.report = Some(report);
            }
        });
    }
}
