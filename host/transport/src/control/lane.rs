//! One control lane's socket, what waits to be written to it, and what is known of the peer.
//!
//! The sender's own thread writes, without waiting: a hop to another thread would cost more than
//! the write. What the socket doesn't take goes to the outbox, and then so does everything after it
//! until the writer thread has emptied it, which keeps the order.

use super::{LaneCounters, lock};
use crate::{LossCause, SendError};
use pangea_topology::NodeId;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Bytes that may wait for a peer that doesn't read: about 20,000 interrupts. A peer so far behind
/// is lost; dropping one message instead would be an interrupt lost in silence.
pub(super) const MAX_OUTBOX: usize = 1024 * 1024;

pub(super) struct Lane {
    node: NodeId,
    name: String,
    stream: TcpStream,
    outbox: Mutex<Outbox>,
    changed: Condvar,
    /// When the lane began, and when its peer was last heard, in ns after that.
    began: Instant,
    heard_ns: AtomicU64,
    /// A `Stop` passed in either direction.
    stopping: AtomicBool,
    /// Why we cut the lane ourselves.
    cut_for: Mutex<Option<LossCause>>,
    sent_messages: AtomicU64,
    sent_bytes: AtomicU64,
    queued_messages: AtomicU64,
    received_messages: AtomicU64,
    received_bytes: AtomicU64,
}

struct Outbox {
    /// Whole frames, but for the first, whose beginning may already be written.
    waiting: Vec<u8>,
    /// Bytes that the writer thread has taken out and not yet written.
    taken: usize,
    open: bool,
}

/// How a lane's sending half ends.
#[derive(Clone, Copy)]
pub(super) enum Closing {
    /// When all that waits is written, or at this time.
    Flushed { until: Instant },
    /// At once.
    Now,
}

impl Lane {
    pub(super) fn new(
        node: NodeId,
        name: String,
        stream: TcpStream,
        now: Instant,
    ) -> io::Result<Lane> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        stream.set_nodelay(true)?;
        Ok(Lane {
            node,
            name,
            stream,
            outbox: Mutex::new(Outbox { waiting: Vec::new(), taken: 0, open: true }),
            changed: Condvar::new(),
            began: now,
            heard_ns: AtomicU64::new(0),
            stopping: AtomicBool::new(false),
            cut_for: Mutex::new(None),
            sent_messages: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            queued_messages: AtomicU64::new(0),
            received_messages: AtomicU64::new(0),
            received_bytes: AtomicU64::new(0),
        })
    }

    pub(super) fn node(&self) -> NodeId {
        self.node
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends one frame, or queues it. `Lost` if the lane has ended, or ends by this.
    pub(super) fn send(&self, frame: &[u8]) -> Result<(), SendError> {
        let mut outbox = lock(&self.outbox);
        if !outbox.open {
            return Err(self.lost());
        }
        let idle = outbox.waiting.is_empty() && outbox.taken == 0;
        let written = if idle { self.write_some(frame) } else { Ok(0) };
        let rest = match written {
            Ok(count) => frame.get(count..).unwrap_or_default(),
            Err(error) => {
                tracing::debug!(peer = self.name, %error, "control lane can't be written");
                drop(outbox);
                self.fail(LossCause::Reset);
                return Err(self.lost());
            }
        };
        if !rest.is_empty() {
            let queued = outbox.waiting.len() + outbox.taken + rest.len();
            if queued > MAX_OUTBOX {
                drop(outbox);
                self.fail(LossCause::Stuck { queued });
                return Err(self.lost());
            }
            outbox.waiting.extend_from_slice(rest);
            self.queued_messages.fetch_add(1, Ordering::Relaxed);
            self.changed.notify_all();
        }
        self.sent_messages.fetch_add(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(frame.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// As much of `frame` as the socket takes now.
    fn write_some(&self, frame: &[u8]) -> rustix::io::Result<usize> {
        loop {
            match rustix::net::send(&self.stream, frame, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(0),
                done => return done,
            }
        }
    }

    /// The writer thread: writes what waits, until the lane ends.
    pub(super) fn drain(&self) {
        let mut outbox = lock(&self.outbox);
        loop {
            if outbox.waiting.is_empty() {
                if !outbox.open {
                    return;
                }
                outbox = self.changed.wait(outbox).unwrap_or_else(|poisoned| poisoned.into_inner());
                continue;
            }
            let bytes = std::mem::take(&mut outbox.waiting);
            outbox.taken = bytes.len();
            drop(outbox);
            let done = (&self.stream).write_all(&bytes);
            outbox = lock(&self.outbox);
            outbox.taken = 0;
            self.changed.notify_all();
            if let Err(error) = done {
                tracing::debug!(peer = self.name, %error, "control lane can't be written");
                drop(outbox);
                self.fail(LossCause::Reset);
                return;
            }
        }
    }

    /// Takes no more messages, and ends the sending half.
    pub(super) fn finish(&self, closing: Closing) {
        let mut outbox = lock(&self.outbox);
        outbox.open = false;
        self.changed.notify_all();
        if let Closing::Flushed { until } = closing {
            while !outbox.waiting.is_empty() || outbox.taken > 0 {
                let Some(left) = until.checked_duration_since(Instant::now()) else { break };
                outbox = self
                    .changed
                    .wait_timeout(outbox, left)
                    .map_or_else(|poisoned| poisoned.into_inner().0, |(outbox, _)| outbox);
            }
        }
        outbox.waiting.clear();
        // An error here means that the connection has ended already.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Ends both halves at once: the reader wakes up and sees the end.
    pub(super) fn cut(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.finish(Closing::Now);
    }

    /// Ends the lane for a reason of ours, which the reader will tell.
    pub(super) fn fail(&self, cause: LossCause) {
        lock(&self.cut_for).get_or_insert(cause);
        self.cut();
    }

    /// The reason of ours, where there is one.
    pub(super) fn cut_for(&self) -> Option<LossCause> {
        lock(&self.cut_for).clone()
    }

    fn lost(&self) -> SendError {
        SendError::Lost { node: self.node, name: self.name.clone() }
    }

    pub(super) fn is_open(&self) -> bool {
        lock(&self.outbox).open
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(super) fn set_stopping(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    /// `bytes` came from the peer.
    pub(super) fn heard(&self, bytes: usize) {
        let now = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.heard_ns.store(now, Ordering::Relaxed);
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_message(&self) {
        self.received_messages.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the peer said anything yet?
    pub(super) fn was_heard(&self) -> bool {
        self.received_bytes.load(Ordering::Relaxed) > 0
    }

    /// When the peer was last heard, in ns after the lane began; 0 if never.
    pub(super) fn heard_ns(&self) -> u64 {
        self.heard_ns.load(Ordering::Relaxed)
    }

    pub(super) fn silent_for(&self) -> Duration {
        self.began.elapsed().saturating_sub(Duration::from_nanos(self.heard_ns()))
    }

    /// Has the peer sent something, or closed, that the reader hasn't come to yet?
    pub(super) fn has_unread(&self) -> bool {
        let mut byte = [0; 1];
        let peeked =
            rustix::net::recv(&self.stream, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        !matches!(peeked, Err(Errno::AGAIN | Errno::INTR))
    }

    pub(super) fn counters(&self) -> LaneCounters {
        LaneCounters {
            node: self.node,
            name: self.name.clone(),
            sent_messages: self.sent_messages.load(Ordering::Relaxed),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            queued_messages: self.queued_messages.load(Ordering::Relaxed),
            received_messages: self.received_messages.load(Ordering::Relaxed),
            received_bytes: self.received_bytes.load(Ordering::Relaxed),
        }
    }
}
