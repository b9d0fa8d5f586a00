//! The terminal as the console of a guest in the lab: keys pass through, Ctrl-A commands are ours.
//!
//! Raw from the first read, which is when the lab host is up: until then Ctrl-C is Ctrl-C. Output is
//! left as it is, so that log lines keep their line ends. Restored on every way out: by [`Terminal`]'s
//! end and before a second signal ends the process. (Natively the root node has the terminal itself.)

use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use pangea_boot::lab::ConsoleIo;
use rustix::termios::{LocalModes, OptionalActions, OutputModes, Termios, tcgetattr, tcsetattr};

const HELP: &str = "\nCtrl-A X ends the cluster, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H shows this\n";
/// Ctrl-A.
const PREFIX: u8 = 0x01;

/// The terminal's settings before we changed them.
static SAVED: Mutex<Option<Termios>> = Mutex::new(None);

/// Gives the terminal back when dropped.
#[derive(Debug)]
pub(crate) struct Terminal(());

impl Terminal {
    /// The terminal, if somebody sits there.
    pub(crate) fn look() -> Option<Self> {
        (stdin().is_terminal() && stdout().is_terminal()).then_some(Self(()))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

/// Standard input and output as a console; Ctrl-A X sets `stop`. Input that isn't a terminal is
/// passed as it is; then output comes in whole lines, which log lines don't break.
pub(crate) fn console(terminal: Option<&Terminal>, stop: Arc<AtomicBool>) -> ConsoleIo {
    match terminal {
        Some(_) => ConsoleIo {
            input: Some(Box::new(Keys { stop, prefixed: false, raw: false })),
            output: Some(Box::new(stdout())),
        },
        None => ConsoleIo {
            input: Some(Box::new(stdin())),
            output: Some(Box::new(WholeLines(Vec::new()))),
        },
    }
}

/// Standard output, a line at a time.
struct WholeLines(Vec<u8>);

impl Write for WholeLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.extend_from_slice(bytes);
        if let Some(end) = self.0.iter().rposition(|&byte| byte == b'\n') {
            let rest = self.0.split_off(end + 1);
            stdout().write_all(&std::mem::replace(&mut self.0, rest))?;
        }
        Ok(bytes.len())
    }

    /// What there is of a line waits for its end.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for WholeLines {
    fn drop(&mut self) {
        // Output that nobody reads any more is let go.
        let _ = stdout().write_all(&self.0).and_then(|()| stdout().flush());
    }
}

/// A console that only writes.
pub(crate) fn output(to: Box<dyn Write + Send>) -> ConsoleIo {
    ConsoleIo { input: None, output: Some(to) }
}

/// Undoes what was done to the terminal, if anything was.
pub(crate) fn restore() {
    // A thread that panicked with the lock left settings that are still right.
    let saved = SAVED.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(saved) = saved {
        // A terminal that is gone needs no settings.
        let _ = tcsetattr(stdin(), OptionalActions::Flush, &saved);
    }
}

fn make_raw() -> std::io::Result<()> {
    let before = tcgetattr(stdin())?;
    let mut raw = before.clone();
    raw.make_raw();
    raw.output_modes = before.output_modes | OutputModes::OPOST;
    // Keys that would be signals are the guest's.
    raw.local_modes.remove(LocalModes::ISIG);
    *SAVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(before);
    Ok(tcsetattr(stdin(), OptionalActions::Now, &raw)?)
}

/// What is typed, without the Ctrl-A commands.
struct Keys {
    stop: Arc<AtomicBool>,
    prefixed: bool,
    raw: bool,
}

impl Read for Keys {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !std::mem::replace(&mut self.raw, true) {
            make_raw()?;
        }
        loop {
            let length = stdin().read(buffer)?;
            let typed = buffer.get(..length).unwrap_or_default().to_vec();
            if typed.is_empty() {
                return Ok(0);
            }
            let keys = self.keys(&typed);
            // Ctrl-A twice may have begun in an earlier read, with its first key held back.
            if let Some(place) = buffer.get_mut(..keys.len()).filter(|_| !keys.is_empty()) {
                place.copy_from_slice(&keys);
                return Ok(keys.len());
            }
        }
    }
}

impl Keys {
    fn keys(&mut self, typed: &[u8]) -> Vec<u8> {
        let mut keys = Vec::with_capacity(typed.len());
        for &key in typed {
            match (std::mem::take(&mut self.prefixed), key) {
                (false, PREFIX) => self.prefixed = true,
                (true, b'x' | b'X') => self.stop.store(true, Ordering::Relaxed),
                (true, b'h' | b'H' | b'?') => eprint!("{HELP}"),
                (_, key) => keys.push(key),
            }
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(reads: &[&str]) -> (String, bool) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut keys = Keys { stop: stop.clone(), prefixed: false, raw: true };
        let passed: Vec<u8> = reads.iter().flat_map(|read| keys.keys(read.as_bytes())).collect();
        (String::from_utf8_lossy(&passed).into_owned(), stop.load(Ordering::Relaxed))
    }

    #[test]
    fn commands_are_found_wherever_reads_cut_them() {
        let table = [
            (&["ls\r"][..], "ls\r", false),
            (&["ls\x01x"], "ls", true),
            (&["\x01", "X"], "", true),
            (&["\x01h", "y"], "y", false),
            (&["\x03"], "\x03", false),
        ];
        for (reads, passed, stop) in table {
            assert_eq!(typed(reads), (passed.to_owned(), stop), "{reads:?}");
        }
    }
}
