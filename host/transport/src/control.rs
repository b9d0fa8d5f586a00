//! The control lanes at work: messages in order both ways, heartbeats, and a lost peer told once.
//!
//! ```text
//!   any thread --send--> [socket]                 written at once where the socket takes it;
//!                  \---> [outbox] --writer--> [socket]      what it doesn't take waits, bounded
//!   [socket] --reader--> Heartbeat: kept here;  others: handler.receive()
//!   watch: every deadline/8 a Heartbeat to each peer, and a look at who has been silent
//! ```
//!
//! The way out: whoever ends the cluster broadcasts a `Stop`; each node that got it calls
//! [`Control::close`], which passes the `Stop` on to those it didn't come from before it closes. So
//! every lane carries a `Stop` before its end, and an end without one is a loss.

mod lane;
mod lateness;
mod reader;
mod watch;

use crate::{PeerLost, SendError};
use lane::{Closing, Lane};
use pangea_topology::NodeId;
use pangea_wire::{ControlMessage, WireError, encode_control};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

/// How long [`Control::close`] waits for the last messages to be taken by the peers' kernels.
const CLOSE_FLUSH: Duration = Duration::from_millis(500);
/// How long it then waits for the peers to close their ends. Closing with bytes unread resets the
/// connection, which can take away a `Stop` that the peer hasn't read yet.
const CLOSE_LINGER: Duration = Duration::from_secs(1);

/// Where messages and losses go. Called on the lanes' own threads: a slow answer delays the peer's
/// next message, and nothing else.
pub trait ControlHandler: Send + Sync {
    /// A message came. `Stop` may come from several peers.
    fn receive(&self, from: NodeId, message: ControlMessage);
    /// A peer is gone without a `Stop`. Called once for it, and nothing comes from it afterwards.
    fn lost(&self, loss: PeerLost);
}

/// The control lanes of this node. Clones are handles to the same lanes; when the last one is
/// dropped, they end.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
    _owner: Arc<Owner>,
}

/// What went over one lane.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneCounters {
    /// The peer.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Messages to it, heartbeats included.
    pub sent_messages: u64,
    /// Bytes to it.
    pub sent_bytes: u64,
    /// How many of the messages had to wait for the socket.
    pub queued_messages: u64,
    /// Messages from it, heartbeats included.
    pub received_messages: u64,
    /// Bytes from it.
    pub received_bytes: u64,
}

pub(crate) struct Shared {
    me: NodeId,
    deadline: Duration,
    lanes: Vec<Lane>,
    handler: Arc<dyn ControlHandler>,
    /// Set once, by `close` or by the last handle's drop.
    closing: AtomicBool,
    /// The first `Stop` that passed in either direction, to be passed on.
    stop: Mutex<Option<ControlMessage>>,
    /// Readers that haven't ended; `ended` tells each end, and the start of closing.
    readers: AtomicUsize,
    ended: Condvar,
    ended_lock: Mutex<()>,
}

/// Ends the lanes when the last handle is gone; the threads hold only `Shared`.
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        if !self.0.closing.swap(true, Ordering::SeqCst) {
            self.0.tell();
            self.0.lanes.iter().for_each(Lane::cut);
        }
    }
}

impl Control {
    /// Takes the control lanes over: from now on a peer that is silent for `deadline` is lost.
    pub fn start(
        me: NodeId,
        peers: Vec<(NodeId, String, TcpStream)>,
        deadline: Duration,
        handler: Arc<dyn ControlHandler>,
    ) -> io::Result<Control> {
        let now = Instant::now();
        let lanes = peers
            .into_iter()
            .map(|(node, name, stream)| Lane::new(node, name, stream, now))
            .collect::<io::Result<Vec<_>>>()?;
        let shared = Arc::new(Shared {
            me,
            deadline,
            readers: AtomicUsize::new(0),
            lanes,
            handler,
            closing: AtomicBool::new(false),
            stop: Mutex::new(None),
            ended: Condvar::new(),
            ended_lock: Mutex::new(()),
        });
        // From here on a failed spawn drops `control`, which ends the threads already started.
        let control = Control { shared: shared.clone(), _owner: Arc::new(Owner(shared.clone())) };
        for (index, lane) in shared.lanes.iter().enumerate() {
            let name = lane.name();
            let (reading, writing) = (shared.clone(), shared.clone());
            shared.readers.fetch_add(1, Ordering::SeqCst);
            thread::Builder::new()
                .name(format!("ctl-rx-{name}"))
                .spawn(move || reader::run(&reading, index))?;
            thread::Builder::new().name(format!("ctl-tx-{name}")).spawn(move || {
                if let Some(lane) = writing.lanes.get(index) {
                    lane.drain();
                }
            })?;
        }
        if !shared.lanes.is_empty() {
            thread::Builder::new().name("ctl-watch".into()).spawn(move || watch::run(&shared))?;
        }
        Ok(control)
    }

    /// Sends a message: after all that this thread sent to that node before. Never waits for the
    /// peer. An error means that it won't arrive.
    pub fn send(&self, to: NodeId, message: &ControlMessage) -> Result<(), SendError> {
        let lane = self.shared.lane(to).ok_or(SendError::NoSuchPeer(to))?;
        let frame = frame(message)?;
        if self.shared.closing.load(Ordering::SeqCst) {
            return Err(SendError::Closed);
        }
        self.shared.note_stop(lane, message);
        lane.send(&frame)
    }

    /// Sends a message to all peers. A lost one doesn't keep it from the others, and its loss has
    /// been told; a message that breaks its own limits is our mistake, and logged.
    pub fn broadcast(&self, message: &ControlMessage) {
        let frame = match frame(message) {
            Ok(frame) => frame,
            Err(error) => return tracing::error!(%error, "a message can't be broadcast"),
        };
        if self.shared.closing.load(Ordering::SeqCst) {
            return;
        }
        for lane in &self.shared.lanes {
            self.shared.note_stop(lane, message);
            let _ = lane.send(&frame);
        }
    }

    /// Ends the lanes: passes a `Stop` on, lets what is queued leave, and waits a moment for the
    /// peers to do the same. No loss is told from here on. Not to be called from the handler, whose
    /// thread it would wait for.
    pub fn close(&self) {
        let shared = &self.shared;
        if shared.closing.swap(true, Ordering::SeqCst) {
            return;
        }
        shared.tell();
        let stop = lock(&shared.stop).clone();
        let frame = stop.and_then(|stop| frame(&stop).ok());
        for lane in shared.lanes.iter().filter(|lane| !lane.is_stopping()) {
            if let Some(frame) = &frame {
                let _ = lane.send(frame);
            }
        }
        let flushed = Instant::now() + CLOSE_FLUSH;
        shared.lanes.iter().for_each(|lane| lane.finish(Closing::Flushed { until: flushed }));
        let lingered = Instant::now() + CLOSE_LINGER;
        let mut guard = lock(&shared.ended_lock);
        while shared.readers.load(Ordering::SeqCst) > 0 {
            let Some(left) = lingered.checked_duration_since(Instant::now()) else { break };
            guard = shared
                .ended
                .wait_timeout(guard, left)
                .map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard);
        }
        drop(guard);
        shared.lanes.iter().for_each(Lane::cut);
    }

    /// How long ago a peer was last heard; since the start, if never. Zero for this node itself,
    /// the maximum for a node that is no peer.
    pub fn last_heard(&self, node: NodeId) -> Duration {
        if node == self.shared.me {
            return Duration::ZERO;
        }
        self.shared.lane(node).map_or(Duration::MAX, Lane::silent_for)
    }

    /// What went over each lane so far.
    pub fn counters(&self) -> Vec<LaneCounters> {
        self.shared.lanes.iter().map(Lane::counters).collect()
    }
}

impl Shared {
    fn lane(&self, node: NodeId) -> Option<&Lane> {
        self.lanes.iter().find(|lane| lane.node() == node)
    }

    /// A `Stop` passes on `lane`: its end won't be a loss any more.
    fn note_stop(&self, lane: &Lane, message: &ControlMessage) {
        if matches!(message, ControlMessage::Stop { .. }) {
            lane.set_stopping();
            lock(&self.stop).get_or_insert_with(|| message.clone());
        }
    }

    /// Wakes whoever waits for readers to end or for closing to begin.
    fn tell(&self) {
        let _guard = lock(&self.ended_lock);
        self.ended.notify_all();
    }
}

/// The bytes of a message. A `Stop` must get through: its text is cut where it is too long.
fn frame(message: &ControlMessage) -> Result<Vec<u8>, WireError> {
    match message {
        ControlMessage::Stop { kind, text } => encode_control(&ControlMessage::stop(*kind, text)),
        message => encode_control(message),
    }
}

/// A lock whose holder panicked is still a lock: what it guards here is never half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
