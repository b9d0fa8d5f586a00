//! The terminal as the guest's serial console.

use crate::escape::{Escape, Key};
use anyhow::Context;
use pangea_vmm::{Console, Stopper};
use std::fs::File;
use std::io::{IsTerminal, Read, Write, stdin, stdout};
use std::os::fd::AsFd;
use std::sync::mpsc::sync_channel;
use vmm_sys_util::terminal::Terminal;

/// Reads of what is typed that may wait for the guest to take them.
const WAITING: usize = 64;
const HELP: &str =
    "\r\nCtrl-A X ends the cluster, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A H shows this\r\n";

/// Gives the terminal back when dropped.
pub(crate) struct TerminalGuard;

/// Connects standard input and output. A terminal is set to pass keys through, and Ctrl-A is looked
/// at; a pipe or a file is passed as it is.
pub(crate) fn open(stopper: Stopper) -> anyhow::Result<(TerminalGuard, Console)> {
    let interactive = stdin().is_terminal();
    if interactive {
        stdin().lock().set_raw_mode().context("cannot set the terminal to raw mode")?;
        tracing::info!("this terminal is the guest's console; Ctrl-A X quits, Ctrl-A H helps");
    }
    let guard = TerminalGuard;
    // Read through a descriptor of its own: a read that waits would keep `stdin()` locked, and the
    // terminal could not be restored.
    let owned = stdin().as_fd().try_clone_to_owned().context("cannot use standard input")?;
    let mut typed = File::from(owned);
    let (send, input) = sync_channel::<Vec<u8>>(WAITING);
    let read = move || {
        let mut escape = Escape::default();
        let mut buffer = [0; 256];
        // Ends with the process: a read of a terminal can't be interrupted.
        loop {
            let read = match typed.read(&mut buffer) {
                Ok(0) | Err(_) => return,
                Ok(read) => &buffer[..read],
            };
            let keys = match interactive {
                true => escape.feed(read),
                false => vec![Key::Bytes(read.to_vec())],
            };
            for key in keys {
                match key {
                    Key::Quit => stopper.stop("Ctrl-A X on the console"),
                    Key::Help => eprint!("{HELP}"),
                    Key::Bytes(bytes) => {
                        if send.send(bytes).is_err() {
                            return;
                        }
                    }
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("terminal".into())
        .spawn(read)
        .context("cannot start the terminal thread")?;
    Ok((guard, Console { output: Box::new(Unbuffered), input }))
}

/// Undoes what [`open`] did to the terminal.
pub(crate) fn restore() {
    if stdin().is_terminal() {
        // Nothing is left to do about a terminal that refuses, and the process is ending.
        let _ = stdin().lock().set_canon_mode();
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// Standard output without a line buffer: a prompt has no line end.
struct Unbuffered;

impl Write for Unbuffered {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let mut out = stdout().lock();
        out.write_all(bytes)?;
        out.flush()?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stdout().lock().flush()
    }
}
