//! ACPI's tables: found, checked, and walked.
//!
//! Spec: ACPI 6.5 5.2.5 "Root System Description Pointer", 5.2.8 XSDT, 5.2.9 FADT, 5.2.12 MADT,
//! 5.2.16 SRAT, 7.4.2 "\_S5".

use crate::cpu::{self, in32, out8, out16};
use crate::failure::{Outcome, ensure, failure};
use crate::once::Once;
use crate::physical::{read, sum};
use crate::serial::say;

/// Bytes of the header that every table begins with.
const HEADER: u64 = 36;
/// A table that claims more is damaged.
const MAX_TABLE: u32 = 1 << 20;
const SLP_EN: u16 = 1 << 13;
/// FADT flags: the reset register is there.
const RESET_REG_SUP: u32 = 1 << 10;
/// A PC's reset control: the way out before the tables are known.
const PC_RESET: Reset = Reset { port: 0xcf9, value: 6 };

/// The root table: addresses of `size` bytes each.
pub(crate) struct Tables {
    root: Table,
    size: u64,
}

/// One table, whose checksum is right.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    at: u64,
    len: u64,
}

/// Ports that the FADT names, and how they switch the machine off.
struct Ports {
    pm1a_control: u16,
    pm_timer: u16,
    sleep_type: u16,
    reset: Option<Reset>,
}

/// What to write where for a reset.
#[derive(Clone, Copy)]
struct Reset {
    port: u16,
    value: u8,
}

static PORTS: Once<Ports> = Once::new();

impl Tables {
    pub(crate) fn find(rsdp: u64) -> Outcome<Tables> {
        let missing = || failure!("no RSDP at {rsdp:#x}");
        let signature: u64 = read(rsdp).ok_or_else(missing)?;
        ensure!(signature.to_le_bytes() == *b"RSD PTR ", "no RSDP at {rsdp:#x}");
        ensure!(sum(rsdp, 20) == Some(0), "the RSDP's checksum is wrong");
        let revision: u8 = read(rsdp + 15).ok_or_else(missing)?;
        let xsdt = read::<u64>(rsdp + 24).filter(|at| revision >= 2 && *at != 0);
        match xsdt {
            Some(at) => Ok(Tables { root: Table::at(at, b"XSDT")?, size: 8 }),
            None => {
                let rsdt = read::<u32>(rsdp + 16).ok_or_else(missing)?;
                Ok(Tables { root: Table::at(rsdt.into(), b"RSDT")?, size: 4 })
            }
        }
    }

    pub(crate) fn table(&self, signature: &[u8; 4]) -> Outcome<Table> {
        let mut offset = HEADER;
        while offset + self.size <= self.root.len {
            let low = self.root.read::<u32>(offset)?;
            let high = if self.size == 8 { self.root.read::<u32>(offset + 4)? } else { 0 };
            let at = u64::from(high) << 32 | u64::from(low);
            if read::<u32>(at) == Some(u32::from_le_bytes(*signature)) {
                return Table::at(at, signature);
            }
            offset += self.size;
        }
        Err(failure!("there is no {} table", str::from_utf8(signature).unwrap_or("?")))
    }
}

impl Table {
    fn at(at: u64, signature: &[u8; 4]) -> Outcome<Table> {
        let name = str::from_utf8(signature).unwrap_or("?");
        let found = read::<u32>(at).map(u32::to_le_bytes);
        ensure!(found == Some(*signature), "no {name} table at {at:#x}");
        let len = read::<u32>(at + 4).unwrap_or(0);
        ensure!((HEADER as u32..MAX_TABLE).contains(&len), "the {name} table has {len} bytes");
        ensure!(sum(at, len.into()) == Some(0), "the {name} table's checksum is wrong");
        Ok(Table { at, len: len.into() })
    }

    pub(crate) fn read<T: crate::physical::Plain>(&self, offset: u64) -> Outcome<T> {
        let inside = offset + size_of::<T>() as u64 <= self.len;
        inside
            .then(|| read(self.at + offset))
            .flatten()
            .ok_or_else(|| failure!("offset {offset} of a table of {} bytes", self.len))
    }

    /// Calls `visit` with type and offset of each structure from `first` on.
    pub(crate) fn structures(
        &self,
        first: u64,
        mut visit: impl FnMut(u8, u64) -> Outcome,
    ) -> Outcome {
        let mut offset = first;
        while offset + 2 <= self.len {
            let (kind, len): (u8, u8) = (self.read(offset)?, self.read(offset + 1)?);
            ensure!(len >= 2, "a structure of {len} bytes at offset {offset}");
            visit(kind, offset)?;
            offset += u64::from(len);
        }
        Ok(())
    }
}

/// Learns the ports; from now on [`power_off`] works.
pub(crate) fn set_ports(tables: &Tables) -> Outcome {
    let fadt = tables.table(b"FACP")?;
    let dsdt = match fadt.read::<u64>(140) {
        Ok(at) if at != 0 => at,
        _ => fadt.read::<u32>(40)?.into(),
    };
    let dsdt = Table::at(dsdt, b"DSDT")?;
    let flags: u32 = fadt.read(112)?;
    let register = Reset { port: fadt.read::<u64>(120)? as u16, value: fadt.read(128)? };
    PORTS.put(Ports {
        pm1a_control: fadt.read::<u32>(64)? as u16,
        pm_timer: fadt.read::<u32>(76)? as u16,
        sleep_type: sleep_type(&dsdt)?,
        reset: (flags & RESET_REG_SUP != 0).then_some(register),
    });
    Ok(())
}

/// SLP_TYPa of `\_S5`: `NameOp "_S5_" PackageOp length count` and then the first integer.
fn sleep_type(dsdt: &Table) -> Outcome<u16> {
    for offset in HEADER..dsdt.len.saturating_sub(8) {
        if dsdt.read::<u32>(offset)? != u32::from_le_bytes(*b"_S5_") {
            continue;
        }
        let integer = match (dsdt.read::<u8>(offset + 4)?, dsdt.read::<u8>(offset + 7)?) {
            (0x12, 0x0a) => dsdt.read::<u8>(offset + 8)?, // BytePrefix
            (0x12, small @ (0 | 1)) => small,             // ZeroOp, OneOp
            _ => continue,
        };
        return Ok(integer.into());
    }
    Err(failure!("the DSDT has no \\_S5"))
}

/// The PM timer; none where its port isn't known.
pub(crate) fn pm_timer() -> Option<u32> {
    PORTS.get().map(|ports| in32(ports.pm_timer))
}

/// Switches the machine off; before its ports are known, resets it.
pub(crate) fn power_off() -> ! {
    match PORTS.get() {
        Some(ports) => out16(ports.pm1a_control, ports.sleep_type << 10 | SLP_EN),
        None => out8(PC_RESET.port, PC_RESET.value),
    }
    cpu::stop()
}

/// Resets the machine by the register that the FADT names.
pub(crate) fn reset() -> ! {
    let register = PORTS.get().and_then(|ports| ports.reset);
    match register {
        Some(Reset { port, value }) => out8(port, value),
        None => say!("FAILED the FADT has no reset register"),
    }
    cpu::stop()
}
