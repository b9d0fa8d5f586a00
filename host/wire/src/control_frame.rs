//! The byte form of a [`ControlMessage`]: a `u32` length, little-endian, then so many bytes of
//! postcard. A length over [`MAX_CONTROL_BODY`] is refused before anything is read or allocated.
//!
//! ```text
//! socket --> FrameReader::space() [...]  --> filled(n) --> next() --> ControlMessage, ... None
//! ```

use crate::{ControlMessage, WireError};

/// Bytes of the length before each message.
pub const FRAME_PREFIX: usize = 4;
/// Bytes of postcard in one frame, at most. The largest message, 256 CPUID entries, needs 9 KiB.
pub const MAX_CONTROL_BODY: usize = 64 * 1024;

/// What errors call this record.
const FRAME: &str = "control frame";

/// The whole frame of `message`: length and body. Fails if the message breaks its own limits.
pub fn encode_control(message: &ControlMessage) -> Result<Vec<u8>, WireError> {
    message.check()?;
    // Most messages are a few bytes: one small allocation, no second pass.
    let mut frame = Vec::with_capacity(64);
    frame.extend_from_slice(&[0; FRAME_PREFIX]);
    let mut frame = postcard::to_extend(message, frame)
        .map_err(|error| WireError::Message { len: 0, reason: error.to_string() })?;
    let body = frame.len() - FRAME_PREFIX;
    let prefix = u32::try_from(body).ok().filter(|_| body <= MAX_CONTROL_BODY);
    let Some(prefix) = prefix else { return Err(too_long(body)) };
    frame[..FRAME_PREFIX].copy_from_slice(&prefix.to_le_bytes());
    Ok(frame)
}

/// The length of the body that a frame's first four bytes announce.
pub fn control_body_len(prefix: [u8; FRAME_PREFIX]) -> Result<usize, WireError> {
    let len = u32::from_le_bytes(prefix) as usize;
    match len {
        0 => Err(WireError::Field {
            frame: FRAME,
            field: "length",
            value: 0,
            expected: "1 to 65536",
        }),
        1..=MAX_CONTROL_BODY => Ok(len),
        _ => Err(too_long(len)),
    }
}

/// The message in a frame's body: all of it, and within its limits.
pub fn decode_control(body: &[u8]) -> Result<ControlMessage, WireError> {
    let len = body.len();
    if len > MAX_CONTROL_BODY {
        return Err(too_long(len));
    }
    let (message, rest) = postcard::take_from_bytes::<ControlMessage>(body)
        .map_err(|error| WireError::Message { len, reason: error.to_string() })?;
    if !rest.is_empty() {
        return Err(WireError::Trailing { used: len - rest.len(), len });
    }
    message.check()?;
    Ok(message)
}

fn too_long(len: usize) -> WireError {
    WireError::TooLong {
        frame: FRAME,
        field: "length",
        len,
        limit: MAX_CONTROL_BODY,
        unit: "bytes",
    }
}

/// Cuts a stream of bytes into control messages. Holds at most one frame that isn't complete yet.
pub struct FrameReader {
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Default for FrameReader {
    fn default() -> Self {
        FrameReader::new()
    }
}

impl FrameReader {
    /// An empty reader.
    pub fn new() -> FrameReader {
        FrameReader {
            buffer: vec![0; FRAME_PREFIX + MAX_CONTROL_BODY].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// Where the next bytes from the stream go: never empty once [`FrameReader::next`] has said
    /// `None`. Tell [`FrameReader::filled`] how many came.
    pub fn space(&mut self) -> &mut [u8] {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were written to the start of [`FrameReader::space`].
    ///
    /// # Panics
    /// If that is more than the space there was.
    pub fn filled(&mut self, count: usize) {
        assert!(
            count <= self.buffer.len() - self.end,
            "{count} bytes in {}",
            self.buffer.len() - self.end
        );
        self.end += count;
    }

    /// The next complete message, or `None` until more bytes come. After an error the stream has
    /// lost its place: there is no way to go on.
    #[allow(clippy::should_implement_trait)] // An iterator that says None would be taken for ended.
    pub fn next(&mut self) -> Result<Option<ControlMessage>, WireError> {
        let pending = &self.buffer[self.start..self.end];
        let Some((prefix, rest)) = pending.split_first_chunk::<FRAME_PREFIX>() else {
            return Ok(None);
        };
        let len = control_body_len(*prefix)?;
        let Some(body) = rest.get(..len) else { return Ok(None) };
        let message = decode_control(body)?;
        self.start += FRAME_PREFIX + len;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        Ok(Some(message))
    }

    /// Bytes of a frame that isn't complete yet.
    pub fn pending(&self) -> usize {
        self.end - self.start
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
