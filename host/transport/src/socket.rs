//! Reads and writes of whole records that end at a deadline, and looks without reading.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Fills `buffer` from the stream by `until`, however slowly the bytes trickle in.
pub(crate) fn read_by(stream: &TcpStream, mut buffer: &mut [u8], until: Instant) -> io::Result<()> {
    while !buffer.is_empty() {
        stream.set_read_timeout(Some(left(until)?))?;
        let mut reader = stream;
        match reader.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(count) => buffer = buffer.get_mut(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Writes all of `bytes` by `until`.
pub(crate) fn write_by(stream: &TcpStream, mut bytes: &[u8], until: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left(until)?))?;
        let mut writer = stream;
        match writer.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn left(until: Instant) -> io::Result<Duration> {
    match until.checked_duration_since(Instant::now()) {
        Some(left) if !left.is_zero() => Ok(left),
        _ => Err(ErrorKind::TimedOut.into()),
    }
}

/// Waits until one of the streams has something to read or has ended, or until then.
pub(crate) fn wait_for_any<'a>(streams: impl IntoIterator<Item = &'a TcpStream>, until: Instant) {
    let watched = streams.into_iter().map(|stream| PollFd::new(stream, PollFlags::IN));
    let mut watched: Vec<_> = watched.collect();
    let left = until.saturating_duration_since(Instant::now());
    // Woken too early is no harm: every caller looks at its streams and at the time.
    let _ = poll(&mut watched, Some(&Timespec::try_from(left).unwrap_or_default()));
}

/// What a connection has for us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Glance {
    /// It is up, and nothing has come.
    Quiet,
    /// So many bytes have come; they are in the buffer, and still in the socket.
    Bytes(usize),
    /// The other end has closed it, or it has failed.
    Ended,
}

/// Looks at what has come, without reading it and without waiting.
pub(crate) fn glance(stream: &TcpStream, buffer: &mut [u8]) -> Glance {
    match rustix::net::recv(stream, buffer, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => Glance::Ended,
        Ok((count, _)) => Glance::Bytes(count),
        Err(Errno::AGAIN | Errno::INTR) => Glance::Quiet,
        Err(_) => Glance::Ended,
    }
}

/// Is the connection still up?
pub(crate) fn is_up(stream: &TcpStream) -> bool {
    glance(stream, &mut [0; 1]) != Glance::Ended
}
