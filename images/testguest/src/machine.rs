//! The machine as its tables describe it: CPUs, and which memory is near which of them.

use crate::acpi::Tables;
use crate::apic;
use crate::entry::{MAPPED, end_of_image};
use crate::failure::{Outcome, ensure};
use crate::list::List;
use crate::serial::say;
use crate::start::{Range, Start};

/// CPUs and memory ranges that there is room for.
pub(crate) const MAX_CPUS: usize = 32;
pub(crate) const MAX_RANGES: usize = 32;
/// Bytes that a memory range must have for us to be used: more than all checks take of one.
const ENOUGH: u64 = 16 << 20;

/// MADT flags: there are 8259 interrupt controllers as well.
const HAS_8259: u32 = 1;

/// A CPU of the MADT; the boot CPU is the first of the list.
#[derive(Clone, Copy)]
pub(crate) struct Cpu {
    pub(crate) apic_id: u32,
    /// Its proximity domain.
    pub(crate) node: u32,
}

/// Memory of the SRAT.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) node: u32,
    /// The largest part of its range that is RAM, mapped, above 1 MiB and not this program.
    pub(crate) free: Range,
}

pub(crate) struct Machine {
    pub(crate) cpus: List<Cpu, MAX_CPUS>,
    pub(crate) memory: List<Memory, MAX_RANGES>,
    /// Registers of the I/O APIC that has the ISA interrupts.
    pub(crate) ioapic: u64,
}

impl Machine {
    pub(crate) fn describe(start: &Start, tables: &Tables) -> Outcome<Machine> {
        let srat = tables.table(b"SRAT")?;
        let (mut homes, mut memory) = (List::<Cpu, MAX_CPUS>::new(), List::new());
        srat.structures(48, |kind, at| {
            let cpu = match kind {
                // Processor, enabled: domain in four pieces, 8-bit ID.
                0 if srat.read::<u32>(at + 4)? & 1 == 1 => Cpu {
                    apic_id: srat.read::<u8>(at + 3)?.into(),
                    node: u32::from(srat.read::<u8>(at + 2)?)
                        | srat.read::<u32>(at + 8)? & 0xffff_ff00,
                },
                // Memory, enabled.
                1 if srat.read::<u32>(at + 28)? & 1 == 1 => {
                    let range = Range::new(srat.read(at + 8)?, srat.read(at + 16)?);
                    let node = srat.read(at + 2)?;
                    say!("memory {:#x}-{:#x}: node {node}", range.start, range.end);
                    let free = free(range, start);
                    // Not so below 1 MiB.
                    if free.len() >= ENOUGH {
                        let found = Memory { node, free };
                        ensure!(memory.push(found), "over {MAX_RANGES} memory ranges");
                    }
                    return Ok(());
                }
                // x2APIC, enabled.
                2 if srat.read::<u32>(at + 12)? & 1 == 1 => {
                    Cpu { apic_id: srat.read(at + 8)?, node: srat.read(at + 4)? }
                }
                _ => return Ok(()),
            };
            ensure!(homes.push(cpu), "over {MAX_CPUS} CPUs in the SRAT");
            Ok(())
        })?;
        ensure!(memory.len() > 0, "the SRAT has no range with {ENOUGH:#x} bytes to use");

        let madt = tables.table(b"APIC")?;
        if madt.read::<u32>(40)? & HAS_8259 != 0 {
            apic::mask_8259();
        }
        let (mut ids, mut ioapic) = (List::<u32, MAX_CPUS>::new(), 0);
        madt.structures(44, |kind, at| {
            let id = match kind {
                0 if madt.read::<u32>(at + 4)? & 1 == 1 => madt.read::<u8>(at + 3)?.into(),
                1 if madt.read::<u32>(at + 8)? == 0 => {
                    ioapic = madt.read::<u32>(at + 4)?.into();
                    return Ok(());
                }
                9 if madt.read::<u32>(at + 8)? & 1 == 1 => madt.read(at + 4)?,
                _ => return Ok(()),
            };
            ensure!(ids.push(id), "over {MAX_CPUS} CPUs in the MADT");
            Ok(())
        })?;

        let mut cpus = List::new();
        let me = apic::id();
        for boot in [true, false] {
            for id in ids.iter().filter(|id| (*id == me) == boot) {
                let home = homes.iter().find(|cpu| cpu.apic_id == id);
                let Some(cpu) = home else {
                    return Err(crate::failure::failure!("the SRAT doesn't know CPU {id:#x}"));
                };
                // There were no more than fit.
                let _ = cpus.push(cpu);
            }
            ensure!(cpus.len() > 0, "the MADT doesn't know the boot CPU {me:#x}");
        }
        ensure!(ioapic != 0, "the MADT has no I/O APIC for interrupt 0");
        Ok(Machine { cpus, memory, ioapic })
    }

    pub(crate) fn tell(&self) {
        for (index, cpu) in self.cpus.iter().enumerate() {
            say!("cpu {index}: apic id {}, node {}", cpu.apic_id, cpu.node);
        }
    }
}

fn free(range: Range, start: &Start) -> Range {
    let usable =
        Range { start: end_of_image().next_multiple_of(crate::physical::PAGE), end: MAPPED };
    let parts = start.ram.iter().map(|ram| ram.overlap(range).overlap(usable));
    parts.max_by_key(|part| part.len()).unwrap_or(Range { start: 0, end: 0 })
}
