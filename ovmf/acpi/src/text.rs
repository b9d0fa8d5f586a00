//! Tables as text, one line per structure in the table's own order: what golden tests compare and
//! what a user can read. Fields that are zero aren't shown; AML is left to a disassembler.

use crate::lint::Finding;
use crate::lint::walk::Body;
use crate::spec::{
    ACCESS_LATENCY, BootArch, Facs, Fadt, FadtFlag, Gas, HmatFixed, INTERRUPT_SOURCE_OVERRIDE,
    IO_APIC, InterruptSourceOverride, IoApic, LOCAL_X2APIC, LOCAL_X2APIC_NMI, LocalX2apic,
    LocalX2apicNmi, MEMORY_AFFINITY, MEMORY_PROXIMITY, MadtFixed, MemoryAffinity, MemoryProximity,
    Rsdp, SYSTEM_LOCALITY, SdtHeader, SlitFixed, SratFixed, SystemLocality, X2APIC_AFFINITY,
    X2apicAffinity,
};
use std::fmt::Write;
use zerocopy::FromZeros;
use zerocopy::little_endian::{U16, U32, U64};

/// One table as text. The bytes may be anything: what isn't such a table is a finding.
pub fn text(name: &str, table: &[u8]) -> Result<String, Finding> {
    let all = Body::new(name, table);
    let mut out = String::new();
    match name {
        "RSDP" => rsdp(all.at(0)?, &mut out),
        "FACS" => facs(all.at(0)?, &mut out),
        _ => {
            let header: &SdtHeader = all.at(0)?;
            sdt(header, &mut out);
            let length = (header.length.get() as usize).saturating_sub(size_of::<SdtHeader>());
            let body = Body::new(name, all.slice(size_of::<SdtHeader>(), length)?);
            match name {
                "XSDT" => xsdt(body, &mut out),
                "FACP" => fadt(body.at(0)?, &mut out),
                "APIC" => madt(body, &mut out)?,
                "SRAT" => srat(body, &mut out)?,
                "SLIT" => slit(body, &mut out)?,
                "HMAT" => hmat(body, &mut out)?,
                _ => line(&mut out, format_args!("{length} bytes of AML")),
            }
        }
    }
    Ok(out)
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String can't fail.
    let _ = writeln!(out, "{text}");
}

fn ascii(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn sdt(h: &SdtHeader, out: &mut String) {
    let (signature, revision, length) = (ascii(&h.signature), h.revision, h.length);
    let (oem, table, oem_revision) = (ascii(&h.oem_id), ascii(&h.oem_table_id), h.oem_revision);
    line(
        out,
        format_args!(
            "{signature} revision {revision}, {length} bytes, OEM \"{oem}\" \"{table}\" {oem_revision}"
        ),
    );
}

fn rsdp(r: &Rsdp, out: &mut String) {
    let (signature, revision, length) = (ascii(&r.signature), r.revision, r.length);
    line(out, format_args!("\"{signature}\" revision {revision}, {length} bytes"));
    line(out, format_args!("XSDT {:#x}", r.xsdt_address));
}

fn facs(f: &Facs, out: &mut String) {
    line(out, format_args!("{} version {}, {} bytes", ascii(&f.signature), f.version, f.length));
}

fn xsdt(body: Body<'_>, out: &mut String) {
    for pointer in body.bytes.as_chunks::<8>().0 {
        line(out, format_args!("{:#x}", u64::from_le_bytes(*pointer)));
    }
}

/// A field of the FADT: its text, unless it is zero.
trait Field {
    fn shown(&self) -> Option<String>;
}

impl Field for Gas {
    fn shown(&self) -> Option<String> {
        let access = 4_u32 << self.access.min(4);
        let width = self.bit_width;
        let text = || format!("I/O {:#x}, {width} bits, {access} at a time", self.address);
        (self.address.get() != 0).then(text)
    }
}

macro_rules! number_fields {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn shown(&self) -> Option<String> {
                (*self != <$number>::new_zeroed()).then(|| format!("{self:#x}"))
            }
        }
    )*};
}
number_fields!(u8, U16, U32, U64);

macro_rules! fields {
    ($out:ident, $table:ident, $($name:ident)*) => {$(
        if let Some(shown) = $table.$name.shown() {
            line($out, format_args!("{:<20} {shown}", stringify!($name)));
        }
    )*};
}

fn fadt(t: &Fadt, out: &mut String) {
    fields!(out, t, firmware_ctrl dsdt preferred_pm_profile sci_int smi_cmd acpi_enable acpi_disable
        s4bios_req pstate_cnt pm1a_evt_blk pm1b_evt_blk pm1a_cnt_blk pm1b_cnt_blk pm2_cnt_blk
        pm_tmr_blk gpe0_blk gpe1_blk pm1_evt_len pm1_cnt_len pm2_cnt_len pm_tmr_len gpe0_blk_len
        gpe1_blk_len gpe1_base cst_cnt p_lvl2_lat p_lvl3_lat flush_size flush_stride duty_offset
        duty_width day_alrm mon_alrm century iapc_boot_arch flags reset_reg reset_value
        arm_boot_arch minor_version x_firmware_ctrl x_dsdt x_pm1a_evt_blk x_pm1b_evt_blk
        x_pm1a_cnt_blk x_pm1b_cnt_blk x_pm2_cnt_blk x_pm_tmr_blk x_gpe0_blk x_gpe1_blk
        sleep_control_reg sleep_status_reg);
    line(out, format_args!("hypervisor           \"{}\"", ascii(&t.hypervisor_vendor_identity)));
    let flags = FadtFlag::NAMES.iter().filter(|(f, _)| t.flags.get() & f.bit() != 0);
    for (_, name) in flags {
        line(out, format_args!("flag {name}"));
    }
    let flags = BootArch::NAMES.iter().filter(|(f, _)| t.iapc_boot_arch.get() & f.bit() != 0);
    for (_, name) in flags {
        line(out, format_args!("boot flag {name}"));
    }
}

fn madt(body: Body<'_>, out: &mut String) -> Result<(), Finding> {
    let fixed: &MadtFixed = body.at(0)?;
    line(out, format_args!("local APIC {:#x}, flags {}", fixed.local_apic_address, fixed.flags));
    for (kind, part) in body.structures(size_of::<MadtFixed>())? {
        match kind {
            LOCAL_X2APIC => {
                let t: &LocalX2apic = part.at(0)?;
                let (id, uid, flags) = (t.x2apic_id, t.uid, t.flags);
                line(out, format_args!("x2APIC {id} uid {uid} flags {flags}"));
            }
            IO_APIC => {
                let t: &IoApic = part.at(0)?;
                let (id, address, gsi) = (t.id, t.address, t.gsi_base);
                line(out, format_args!("I/O APIC {id} at {address:#x}, GSI {gsi} on"));
            }
            INTERRUPT_SOURCE_OVERRIDE => {
                let t: &InterruptSourceOverride = part.at(0)?;
                let (bus, source, gsi, flags) = (t.bus, t.source, t.gsi, t.flags);
                line(
                    out,
                    format_args!("override bus {bus} IRQ {source}: GSI {gsi} flags {flags:#x}"),
                );
            }
            LOCAL_X2APIC_NMI => {
                let t: &LocalX2apicNmi = part.at(0)?;
                let (uid, lint, flags) = (t.uid, t.lint, t.flags);
                line(out, format_args!("NMI uid {uid:#x} LINT{lint} flags {flags}"));
            }
            _ => other(kind.into(), part, out),
        }
    }
    Ok(())
}

fn srat(body: Body<'_>, out: &mut String) -> Result<(), Finding> {
    for (kind, part) in body.structures(size_of::<SratFixed>())? {
        match kind {
            X2APIC_AFFINITY => {
                let t: &X2apicAffinity = part.at(0)?;
                let (id, node, flags) = (t.x2apic_id, t.proximity_domain, t.flags);
                let clock = t.clock_domain;
                line(out, format_args!("x2APIC {id} node {node} flags {flags} clock {clock}"));
            }
            MEMORY_AFFINITY => {
                let t: &MemoryAffinity = part.at(0)?;
                let (base, bytes, node) = (t.base, t.bytes, t.proximity_domain);
                let flags = t.flags;
                line(out, format_args!("memory {base:#x} + {bytes:#x} node {node} flags {flags}"));
            }
            _ => other(kind.into(), part, out),
        }
    }
    Ok(())
}

fn slit(body: Body<'_>, out: &mut String) -> Result<(), Finding> {
    let nodes = body.at::<SlitFixed>(0)?.localities.get() as usize;
    let matrix = body.slice(size_of::<SlitFixed>(), nodes.saturating_mul(nodes))?;
    for row in matrix.chunks(nodes.max(1)) {
        line(out, format_args!("{}", row.iter().map(|d| format!("{d:>4}")).collect::<String>()));
    }
    Ok(())
}

fn hmat(body: Body<'_>, out: &mut String) -> Result<(), Finding> {
    for (kind, part) in body.wide_structures(size_of::<HmatFixed>())? {
        match kind {
            MEMORY_PROXIMITY => {
                let t: &MemoryProximity = part.at(0)?;
                let (memory, initiator, flags) = (t.memory, t.initiator, t.flags);
                line(out, format_args!("memory {memory} initiator {initiator} flags {flags}"));
            }
            SYSTEM_LOCALITY => locality(part, out)?,
            _ => other(kind, part, out),
        }
    }
    Ok(())
}

/// A matrix in the units that a reader thinks in.
fn locality(part: Body<'_>, out: &mut String) -> Result<(), Finding> {
    let t: &SystemLocality = part.at(0)?;
    let (what, per_unit) = match t.data_type {
        ACCESS_LATENCY => ("latency in ns", 1000),
        _ => ("bandwidth in MB/s", 1),
    };
    let (kind, base) = (t.data_type, t.base_unit.get());
    line(out, format_args!("{what}, data type {kind}, base unit {base}"));
    for row in part.matrix()? {
        let told = |entry: u16| u64::from(entry).saturating_mul(base) / per_unit;
        let row = row.iter().map(|c| format!(" {}>{}: {}", c.from, c.to, told(c.entry)));
        line(out, format_args!("{}", row.collect::<String>()));
    }
    Ok(())
}

fn other(kind: u16, part: Body<'_>, out: &mut String) {
    line(out, format_args!("structure of type {kind}, {} bytes", part.bytes.len()));
}
