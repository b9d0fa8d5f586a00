//! The page lane to one peer: a socket that never blocks, with a bounded buffer each way.
//!
//! ```text
//!   socket --> [ frame | frame | fra ] --decode in place--> message, page bytes
//!   socket <-- [ fra | frame | frame ] <--encode in place-- message, page from the alias
//! ```
//!
//! What is to go out is encoded into the outgoing buffer and written as soon as the events at hand
//! are handled: one system call for all of them. What the socket doesn't take waits there. Neither
//! buffer grows past its limit: a peer that doesn't read is an error, not a leak.
//!
//! Spec: the page frame of `pangea_wire`.

use crate::error::LaneError;
use crate::ram::{PAGE_BYTES, PageBytes};
use pangea_topology::NodeId;
use pangea_wire::{PAGE_HEADER, PageMessage, PageVerb, Payload, decode_page, encode_page};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsRawFd, RawFd};

/// The most that one read takes from a peer: about 60 pages.
pub(crate) const INBOX_BYTES: usize = 256 << 10;

/// The most that may wait for a peer: about 4,000 pages, four for each vCPU of the largest cluster.
/// A peer has at most one request per vCPU outstanding, so only one that doesn't read gets here.
pub(crate) const OUTBOX_BYTES: usize = 16 << 20;

/// What came with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carried<'a> {
    Nothing,
    Zero,
    Page(&'a PageBytes),
}

/// One peer's lane.
pub(crate) struct Lane {
    pub(crate) node: NodeId,
    stream: TcpStream,
    inbox: Box<[u8]>,
    /// Received and not yet taken: `inbox[taken..filled]`.
    taken: usize,
    filled: usize,
    outbox: Vec<u8>,
    /// Of the outbox, what the socket took already.
    written: usize,
    /// Waiting for the socket to take more.
    pub(crate) blocked: bool,
}

impl Lane {
    /// Takes over a connected socket.
    pub(crate) fn new(node: NodeId, stream: TcpStream) -> io::Result<Lane> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Lane {
            node,
            stream,
            inbox: vec![0; INBOX_BYTES].into_boxed_slice(),
            taken: 0,
            filled: 0,
            outbox: Vec::with_capacity(INBOX_BYTES),
            written: 0,
            blocked: false,
        })
    }

    /// Reads what the socket has, up to the inbox's room; whether there was anything.
    pub(crate) fn fill(&mut self) -> Result<bool, LaneError> {
        // What is left is less than a frame, because every whole one has been taken.
        self.inbox.copy_within(self.taken..self.filled, 0);
        self.filled -= self.taken;
        self.taken = 0;
        loop {
            match self.stream.read(&mut self.inbox[self.filled..]) {
                Ok(0) => return Err(LaneError::Closed),
                Ok(n) => {
                    self.filled += n;
                    return Ok(true);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(LaneError::Closed),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The next whole message of the inbox, with its page in place.
    pub(crate) fn next(&mut self) -> Result<Option<(PageMessage, Carried<'_>)>, LaneError> {
        let rest = &self.inbox[self.taken..self.filled];
        let Some((header, rest)) = rest.split_first_chunk::<PAGE_HEADER>() else { return Ok(None) };
        let (message, payload) = decode_page(header)?;
        let carried = match payload {
            Payload::None => Carried::Nothing,
            Payload::Zero => Carried::Zero,
            Payload::Bytes => match rest.first_chunk::<PAGE_BYTES>() {
                Some(page) => Carried::Page(page),
                None => return Ok(None),
            },
        };
        self.taken += PAGE_HEADER + payload.len();
        Ok(Some((message, carried)))
    }

    /// Encodes a message without a page's bytes, to be flushed.
    pub(crate) fn push(&mut self, message: &PageMessage) -> Result<(), LaneError> {
        self.make_room()?;
        let payload = match message.verb {
            PageVerb::Page { .. } => Payload::Zero, // The token: a page, but none with bytes.
            _ => Payload::None,
        };
        self.outbox.extend_from_slice(&encode_page(message, payload));
        Ok(())
    }

    /// Encodes a message with its page, which `fill` copies in, to be flushed; whether the page was
    /// all zeros, and so isn't sent.
    pub(crate) fn push_page(
        &mut self,
        message: &PageMessage,
        fill: impl FnOnce(&mut PageBytes),
    ) -> Result<bool, LaneError> {
        self.make_room()?;
        let start = self.outbox.len();
        self.outbox.extend_from_slice(&encode_page(message, Payload::Bytes));
        let body = self.outbox.len();
        self.outbox.resize(body + PAGE_BYTES, 0);
        let Some(page) = self.outbox[body..].first_chunk_mut::<PAGE_BYTES>() else {
            unreachable!("the outbox was just extended by a page");
        };
        fill(page);
        let zero = *page == [0; PAGE_BYTES];
        if zero {
            self.outbox.truncate(start);
            self.outbox.extend_from_slice(&encode_page(message, Payload::Zero));
        }
        Ok(zero)
    }

    /// Anything to write?
    pub(crate) fn is_pending(&self) -> bool {
        self.written < self.outbox.len()
    }

    /// Writes what the socket takes, and notes whether it would take no more.
    pub(crate) fn flush(&mut self) -> Result<(), LaneError> {
        self.blocked = false;
        while self.is_pending() {
            match self.stream.write(&self.outbox[self.written..]) {
                Ok(0) => return Err(LaneError::Closed),
                Ok(n) => self.written += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Ok(());
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Err(LaneError::Closed),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(LaneError::Closed),
                Err(e) => return Err(e.into()),
            }
        }
        self.outbox.clear();
        self.written = 0;
        Ok(())
    }

    /// Room for one more frame, within the limit.
    fn make_room(&mut self) -> Result<(), LaneError> {
        let waiting = self.outbox.len() - self.written;
        if waiting + PAGE_HEADER + PAGE_BYTES > OUTBOX_BYTES {
            return Err(LaneError::Backlog { waiting, limit: OUTBOX_BYTES });
        }
        // What was written is given up only when it is most of the buffer: each byte moves rarely.
        if self.written > waiting && self.written >= INBOX_BYTES {
            self.outbox.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }
}

impl AsRawFd for Lane {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
