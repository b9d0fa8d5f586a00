//! CPUs taken down and started again, at another page too; then they still answer.

use super::ipi::ping_pong;
use crate::crew::{AT_ONCE, BY_THE_BOOK, Crew, Ring, START_PAGES};
use crate::failure::{Outcome, ensure};
use crate::local::Local;
use crate::serial::say;
use crate::{cpu, time};
use core::sync::atomic::Ordering;

pub(super) fn run(crew: &Crew) -> Outcome {
    let ways = [
        (START_PAGES[1], BY_THE_BOOK),
        (START_PAGES[0], AT_ONCE),
        (START_PAGES[0], AT_ONCE),
        (START_PAGES[1], AT_ONCE),
    ];
    for index in 1..crew.len() {
        for (page, pace) in ways {
            let local = crew.local(index);
            local.parked.store(0, Ordering::Release);
            crew.post(index, Ring::Zero, park, [0; 4]);
            let down = time::spin(|| local.parked.load(Ordering::Acquire) == 1);
            ensure!(down, "cpu {index} doesn't go down");
            // It still has to reach its last instruction.
            time::delay(1000);
            crew.start(index, page, pace)?;
            ping_pong(crew, 0, index)?;
            ping_pong(crew, index, 0)?;
        }
        say!("cpu {index} restarted {} times, and answers", ways.len());
    }
    Ok(())
}

/// Halts for good.
extern "sysv64" fn park(me: &'static Local, _: &mut [u64; 4]) {
    cpu::cli();
    me.parked.store(1, Ordering::Release);
    cpu::stop()
}
