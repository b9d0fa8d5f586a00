//! A guest of our own that tries what a machine of several nodes must get right: starting CPUs,
//! interrupts between them, memory that is everywhere the same, time, devices.
//!
//! ```text
//! loader -> entry.s -> boot -> start information -> ACPI -> machine -> crew (all APs up)
//!                                                                        |
//!           power-off <- verdict <- devices, clock, restart, memory, interrupts
//! ```
//!
//! It takes everything from the tables that the machine offers: a PVH loader's start information,
//! MADT, SRAT, FADT, DSDT. It prints one fact a line on COM1, `testguest: ...`; the last line is
//! `testguest: passed` or `testguest: FAILED why`. A word of the command line makes it do something
//! else once all CPUs are up:
//!
//! | word | instead |
//! |---|---|
//! | `linger` | all CPUs use each other's memory until somebody stops the machine |
//! | `reset` | the last CPU writes to the reset register |
//! | `triple-fault` | the last CPU resets the machine by a triple fault |
//!
//! It is meant to run where ring 0 is emulated one instruction at a time (KVM without VT-x or SVM), so
//! ring 0 does little and plainly, and what needs speed runs in ring 3.
//!
//! `unsafe` is allowed in cpu, entry, interrupts, local, once, physical and ring3: what touches the
//! machine itself.

#![no_std]
#![no_main]

mod acpi;
mod apic;
mod arena;
mod checks;
mod cpu;
mod crew;
mod entry;
mod failure;
mod interrupts;
mod list;
mod local;
mod machine;
mod once;
mod physical;
mod ring3;
mod serial;
mod start;
mod time;

use acpi::Tables;
use crew::Crew;
use failure::Outcome;
use machine::Machine;
use serial::say;
use start::Start;

/// The boot CPU, as the loader left it: its start information's address.
pub(crate) fn run(start_info: u64) -> ! {
    let ended = test(start_info);
    match &ended {
        Ok(()) => say!("passed"),
        Err(why) => say!("FAILED {why}"),
    }
    acpi::power_off()
}

fn test(start_info: u64) -> Outcome {
    let start = Start::read(start_info)?;
    say!("command line \"{}\"", start.command_line());
    let tables = Tables::find(start.rsdp)?;
    acpi::set_ports(&tables)?;
    time::calibrate()?;
    apic::enable();
    let machine = Machine::describe(&start, &tables)?;
    machine.tell();
    let crew = Crew::muster(machine)?;
    match start.words().find_map(checks::Ending::of) {
        Some(ending) => checks::end(crew, ending),
        None => checks::run(crew),
    }
}
