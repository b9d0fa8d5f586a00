//! What is tried, in order: what the rest stands on comes first.

mod clock;
mod devices;
mod ipi;
mod memory;
mod messages;
mod pattern;
mod restart;

use crate::crew::{Crew, Ring};
use crate::failure::{Outcome, ensure, failure};
use crate::list::List;
use crate::local::Local;
use crate::machine::MAX_RANGES;
use crate::ring3::Job;
use crate::{acpi, arena, cpu};

/// How it can end other than by all checks.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Linger,
    Reset,
    TripleFault,
}

impl Ending {
    /// The one that a word of the command line names.
    pub(crate) fn of(word: &str) -> Option<Ending> {
        match word {
            "linger" => Some(Ending::Linger),
            "reset" => Some(Ending::Reset),
            "triple-fault" => Some(Ending::TripleFault),
            _ => None,
        }
    }
}

/// Does what was asked for instead of all checks.
pub(crate) fn end(crew: &'static Crew, ending: Ending) -> Outcome {
    let last: Job = match ending {
        Ending::Linger => return memory::linger(crew),
        Ending::Reset => reset,
        Ending::TripleFault => triple_fault,
    };
    crew.run(Ring::Zero, last, &[(crew.len() - 1, [0; 4])])?;
    Err(failure!("the machine goes on"))
}

extern "sysv64" fn reset(_: &'static Local, _: &mut [u64; 4]) {
    acpi::reset()
}

extern "sysv64" fn triple_fault(_: &'static Local, _: &mut [u64; 4]) {
    cpu::triple_fault()
}

/// All checks.
pub(crate) fn run(crew: &'static Crew) -> Outcome {
    ipi::run(crew)?;
    for ring in [Ring::Zero, Ring::Three] {
        memory::run(crew, ring)?;
        messages::run(crew, ring)?;
        pattern::run(crew, ring)?;
    }
    restart::run(crew)?;
    clock::run(crew)?;
    devices::run(crew)
}

/// Pages of every memory range: address and node of each.
fn everywhere(crew: &Crew, pages: u64) -> Outcome<List<(u64, u32), MAX_RANGES>> {
    let mut places = List::new();
    for (range, memory) in crew.machine.memory.iter().enumerate() {
        let at = arena::pages(&crew.machine, range, pages)?;
        ensure!(places.push((at, memory.node)), "over {MAX_RANGES} memory ranges");
    }
    Ok(places)
}

/// A ring in words.
fn name(ring: Ring) -> &'static str {
    match ring {
        Ring::Zero => "ring 0",
        Ring::Three => "ring 3",
    }
}
