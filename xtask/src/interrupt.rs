//! Ctrl-C, SIGTERM and a lost terminal: asked-for ends that commands carry out in good order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::report::INTERRUPTED;
use crate::terminal;

/// True once a signal came. A second one ends the process at once.
pub(crate) fn flag() -> anyhow::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("can't watch for Ctrl-C")?;
    let seen = flag.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if seen.swap(true, Ordering::Relaxed) {
                terminal::restore();
                std::process::exit(INTERRUPTED.into());
            }
        }
    });
    Ok(flag)
}
