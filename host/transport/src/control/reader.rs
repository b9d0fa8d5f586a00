//! A lane's reader: bytes to messages to the handler, and the lane's end, told once.

use super::Shared;
use super::lane::Lane;
use crate::{LossCause, PeerLost};
use pangea_wire::{ControlMessage, FrameReader};
use std::io::{ErrorKind, Read};
use std::sync::atomic::Ordering;

/// Reads lane `index` to its end. The only place that calls [`crate::ControlHandler::lost`].
pub(super) fn run(shared: &Shared, index: usize) {
    let Some(lane) = shared.lanes.get(index) else { return };
    let _ended = Ended(shared, lane);
    let seen = read(shared, lane);
    let silent_for = lane.silent_for();
    // What made us cut the lane comes before what the cut looks like from here.
    let cause = lane.cut_for().unwrap_or(seen);
    lane.cut();
    if lane.is_stopping() || shared.closing.load(Ordering::SeqCst) {
        tracing::debug!(peer = lane.name(), "control lane closed");
        return;
    }
    let loss = PeerLost { node: lane.node(), name: lane.name().to_owned(), silent_for, cause };
    tracing::error!(peer = lane.name(), "{loss}");
    shared.handler.lost(loss);
}

/// Counts this reader out. When the handler panics, it ends the lane too: a peer that nobody reads
/// must learn that it is alone.
struct Ended<'a>(&'a Shared, &'a Lane);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(peer = self.1.name(), "the handler of control messages panicked");
            self.1.cut();
        }
        self.0.readers.fetch_sub(1, Ordering::SeqCst);
        self.0.tell();
    }
}

/// Passes messages on until the lane ends; says how it did.
fn read(shared: &Shared, lane: &Lane) -> LossCause {
    let mut frames = FrameReader::new();
    loop {
        let mut stream = lane.stream();
        match stream.read(frames.space()) {
            Ok(0) if frames.pending() > 0 => return LossCause::Reset,
            Ok(0) => return LossCause::Closed,
            Ok(count) => {
                frames.filled(count);
                lane.heard(count);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::debug!(peer = lane.name(), %error, "control lane can't be read");
                return LossCause::Reset;
            }
        }
        loop {
            let message = match frames.next() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return LossCause::Garbled(error.to_string()),
            };
            lane.count_message();
            match message {
                ControlMessage::Heartbeat { .. } => {}
                ControlMessage::Linked => {
                    return LossCause::Garbled("`Linked` after start-up".into());
                }
                message => {
                    shared.note_stop(lane, &message);
                    if !shared.closing.load(Ordering::SeqCst) {
                        shared.handler.receive(lane.node(), message);
                    }
                }
            }
        }
    }
}
