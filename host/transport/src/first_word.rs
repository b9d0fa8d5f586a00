//! The first thing that a linked node says on its control lane, seen without taking it.
//!
//! It stays in the socket, so that a link can be handed on with every byte that came for its next
//! owner; only `Linked` is taken, by whoever waits for it.

use crate::socket::{Glance, glance};
use pangea_wire::{
    ControlMessage, FRAME_PREFIX, MAX_TEXT, WireError, control_body_len, decode_control,
};
use std::net::TcpStream;

/// The largest frame that start-up knows: a `Stop` with its text and some bytes around it.
const FIRST_FRAME: usize = MAX_TEXT + 64;

/// What the first frame on a control lane is.
pub(crate) enum First {
    None,
    Linked { bytes: usize },
    Other(Result<ControlMessage, WireError>),
    Ended,
}

/// The first frame on a control lane, left in the socket.
pub(crate) fn first(control: &TcpStream) -> First {
    let mut buffer = [0; FIRST_FRAME];
    let bytes = match glance(control, &mut buffer) {
        Glance::Quiet => return First::None,
        Glance::Ended => return First::Ended,
        Glance::Bytes(count) => buffer.get(..count).unwrap_or_default(),
    };
    let Some((prefix, rest)) = bytes.split_first_chunk::<FRAME_PREFIX>() else {
        return First::None;
    };
    let len = match control_body_len(*prefix) {
        Ok(len) if len > FIRST_FRAME - FRAME_PREFIX => {
            let (limit, unit) = (FIRST_FRAME - FRAME_PREFIX, "bytes");
            let (frame, field) = ("start-up message", "length");
            return First::Other(Err(WireError::TooLong { frame, field, len, limit, unit }));
        }
        Ok(len) => len,
        Err(error) => return First::Other(Err(error)),
    };
    match rest.get(..len).map(decode_control) {
        None => First::None,
        Some(Ok(ControlMessage::Linked)) => First::Linked { bytes: FRAME_PREFIX + len },
        Some(other) => First::Other(other),
    }
}

/// What a node said instead of `Linked`.
pub(crate) fn last_word(message: Result<ControlMessage, WireError>) -> String {
    match message {
        Ok(ControlMessage::Stop { text, .. }) => text,
        Ok(other) => format!("it sent {other:?} before all links were up"),
        Err(error) => error.to_string(),
    }
}
