//! What the pager's thread sleeps on: faults, lanes, a timer, and the word to stop.
//!
//! The protocol's deadlines are tens of microseconds away, below epoll's millisecond: they are a
//! timerfd's. Level-triggered throughout: what isn't taken now is reported again.

use pangea_topology::NodeId;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::timerfd::TimerFd;

/// Events taken per wait.
const BATCH: usize = 16;

/// What there is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ready {
    /// Faults can be read.
    Faults,
    /// A deadline may have passed.
    Timer,
    /// The thread is to end.
    Stop,
    /// A lane has bytes, takes bytes again, or broke.
    Lane(NodeId),
}

/// The set, and the batch last reported.
pub(crate) struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    /// When the timer goes off, as the caller counts; so that it is set only when that changes.
    armed: Option<u64>,
    batch: [EpollEvent; BATCH],
    ready: usize,
}

// What epoll gives back; lanes are their node's index plus LANE.
const FAULTS: u64 = 0;
const TIMER: u64 = 1;
const STOP: u64 = 2;
const LANE: u64 = 16;

impl Poller {
    pub(crate) fn new(faults: RawFd, stop: &EventFd) -> io::Result<Poller> {
        let (epoll, timer) = (Epoll::new()?, TimerFd::new()?);
        for (fd, token) in [(faults, FAULTS), (timer.as_raw_fd(), TIMER), (stop.as_raw_fd(), STOP)]
        {
            epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(EventSet::IN, token))?;
        }
        Ok(Poller { epoll, timer, armed: None, batch: [EpollEvent::default(); BATCH], ready: 0 })
    }

    /// Reports when the lane can be read.
    pub(crate) fn add(&self, lane: RawFd, node: NodeId) -> io::Result<()> {
        let token = LANE + u64::from(node.0);
        self.epoll.ctl(ControlOperation::Add, lane, EpollEvent::new(EventSet::IN, token))
    }

    /// Reports as well when the lane can be written, or no longer.
    pub(crate) fn set_writable(&self, lane: RawFd, node: NodeId, on: bool) -> io::Result<()> {
        let events = if on { EventSet::IN | EventSet::OUT } else { EventSet::IN };
        let token = LANE + u64::from(node.0);
        self.epoll.ctl(ControlOperation::Modify, lane, EpollEvent::new(events, token))
    }

    /// No more reports about the lane.
    pub(crate) fn remove(&self, lane: RawFd) -> io::Result<()> {
        self.epoll.ctl(ControlOperation::Delete, lane, EpollEvent::default())
    }

    /// Sets the timer to go off `after` from now, which the caller calls `at`; or never.
    pub(crate) fn arm(&mut self, deadline: Option<(u64, Duration)>) -> io::Result<()> {
        let at = deadline.map(|(at, _)| at);
        if at == self.armed {
            return Ok(());
        }
        match deadline {
            // A timer of zero would be no timer.
            Some((_, after)) => self.timer.reset(after.max(Duration::from_nanos(1)), None)?,
            None => self.timer.clear()?,
        }
        self.armed = at;
        Ok(())
    }

    /// Sleeps until there is something to do; how much, to be asked for by [`ready`](Self::ready).
    pub(crate) fn wait(&mut self) -> io::Result<usize> {
        self.ready = loop {
            match self.epoll.wait(-1, &mut self.batch) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        Ok(self.ready)
    }

    /// One of the last wait's reports.
    pub(crate) fn ready(&mut self, index: usize) -> io::Result<Option<Ready>> {
        let Some(event) = self.batch[..self.ready].get(index) else { return Ok(None) };
        Ok(match event.data() {
            FAULTS => Some(Ready::Faults),
            STOP => Some(Ready::Stop),
            TIMER => {
                self.timer.wait()?;
                self.armed = None;
                Some(Ready::Timer)
            }
            lane => lane.checked_sub(LANE).map(|i| Ready::Lane(NodeId(i as u8))),
        })
    }
}
