//! Why a test failed: a line of text, made where it is known.

use core::fmt::{self, Display, Write};

/// Bytes of text that are kept.
const MAX: usize = 200;

pub(crate) struct Failure {
    text: [u8; MAX],
    len: usize,
}

/// What a test found: nothing to add, or why it failed.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    pub(crate) fn new(what: fmt::Arguments<'_>) -> Failure {
        let mut failure = Failure { text: [0; MAX], len: 0 };
        // Text that doesn't fit is cut off.
        let _ = failure.write_fmt(what);
        failure
    }
}

impl Write for Failure {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            *self.text.get_mut(self.len).ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(str::from_utf8(&self.text[..self.len]).unwrap_or("(not text)"))
    }
}

/// A [`Failure`] from a format string.
macro_rules! failure {
    ($($arg:tt)*) => { $crate::failure::Failure::new(format_args!($($arg)*)) };
}

/// Ends the function with a failure unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($arg:tt)*) => {
        if !$condition {
            return Err($crate::failure::failure!($($arg)*));
        }
    };
}

pub(crate) use {ensure, failure};
