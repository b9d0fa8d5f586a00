//! Follows the pointers as a guest does: RSDP, XSDT, each table; FADT to FACS and DSDT.

use super::Finding;
use crate::place::{TABLE_ALIGN, sum};
use crate::spec::{
    DSDT, FACS, FADT, Facs, Fadt, HMAT, Kind, MADT, OEM_ID, OEM_TABLE_ID, RSDP_REVISION, Rsdp,
    SLIT, SRAT, SdtHeader, SystemLocality, XSDT,
};
use pangea_topology::{E820Entry, E820Kind, Gpa, Topology};
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, Immutable, KnownLayout};

/// A blob whose pointers, lengths, revisions and checksums hold.
pub(super) struct Image<'a> {
    base: Gpa,
    blob: &'a [u8],
    e820: &'a [E820Entry],
    tables: Vec<Body<'a>>,
}

/// A part of a table: what follows the header, or a structure in it.
#[derive(Clone, Copy)]
pub(crate) struct Body<'a> {
    name: &'a str,
    pub(crate) bytes: &'a [u8],
}

/// An entry of an HMAT matrix.
pub(crate) struct Cell {
    /// The accessing node.
    pub(crate) from: u32,
    /// The node accessed.
    pub(crate) to: u32,
    /// In base units.
    pub(crate) entry: u16,
}

impl<'a> Image<'a> {
    pub(super) fn open(blob: &'a [u8], topology: &'a Topology) -> Result<Image<'a>, Finding> {
        let (base, _) = topology.acpi();
        let mut image = Image { base, blob, e820: topology.e820(), tables: Vec::new() };
        let rsdp: &Rsdp = prefix("RSDP", blob, 0)?;
        let at = |what, expected, found| unexpected(&format!("RSDP {what}"), base, expected, found);
        same(rsdp.signature, Rsdp::SIGNATURE, |e, f| at("signature", e, f))?;
        same(rsdp.revision, RSDP_REVISION, |e, f| at("revision", e, f))?;
        same(rsdp.length.get() as usize, size_of::<Rsdp>(), |e, f| at("length", e, f))?;
        image.sums("RSDP", base, Rsdp::V1_LENGTH)?;
        image.sums("RSDP", base, size_of::<Rsdp>())?;
        image.lies("RSDP", base, size_of::<Rsdp>(), E820Kind::Acpi)?;

        let xsdt = image.read(XSDT, Gpa(rsdp.xsdt_address.get()))?;
        let pointers = xsdt.bytes.as_chunks::<8>().0;
        for (pointer, kind) in pointers.iter().zip([FADT, MADT, SRAT, SLIT, HMAT]) {
            let body = image.read(kind, Gpa(u64::from_le_bytes(*pointer)))?;
            image.tables.push(body);
        }
        let fadt: &Fadt = image.table("FACP")?.at(0)?;
        image.read(DSDT, Gpa(fadt.x_dsdt.get()))?;
        image.facs(Gpa(fadt.x_firmware_ctrl.get()))?;
        Ok(image)
    }

    /// A table that the XSDT leads to.
    pub(super) fn table(&self, name: &str) -> Result<Body<'a>, Finding> {
        self.tables.iter().find(|t| t.name == name).copied().ok_or_else(|| {
            unexpected("XSDT", self.base, format!("a pointer to {name}"), "none".to_owned())
        })
    }

    /// A table with a header: alignment, signature, revision, length, names, sum.
    fn read(&self, kind: Kind, gpa: Gpa) -> Result<Body<'a>, Finding> {
        let name = kind.name;
        let at =
            |what, expected, found| unexpected(&format!("{name} {what}"), gpa, expected, found);
        let offset = self.offset(name, gpa, TABLE_ALIGN)?;
        let header: &SdtHeader = prefix(name, self.blob, offset)?;
        same(header.signature, kind.signature(), |e, f| at("signature", e, f))?;
        same(header.revision, kind.revision, |e, f| at("revision", e, f))?;
        same(header.oem_id, OEM_ID, |e, f| at("OEM id", e, f))?;
        same(header.oem_table_id, OEM_TABLE_ID, |e, f| at("OEM table id", e, f))?;
        let length = header.length.get() as usize;
        self.sums(name, gpa, length)?;
        self.lies(name, gpa, length, E820Kind::Acpi)?;
        let body = self.blob.get(offset + size_of::<SdtHeader>()..offset + length);
        let bytes = body.ok_or_else(|| short(name, offset, length, self.blob.len() - offset))?;
        Ok(Body { name, bytes })
    }

    /// The FACS has a header of its own, and no checksum.
    fn facs(&self, gpa: Gpa) -> Result<(), Finding> {
        let at = |what, expected, found| unexpected(&format!("FACS {what}"), gpa, expected, found);
        let facs: &Facs = prefix("FACS", self.blob, self.offset("FACS", gpa, Facs::ALIGN)?)?;
        same(facs.signature, FACS.signature(), |e, f| at("signature", e, f))?;
        same(facs.version, FACS.revision, |e, f| at("version", e, f))?;
        same(facs.length.get() as usize, size_of::<Facs>(), |e, f| at("length", e, f))?;
        self.lies("FACS", gpa, size_of::<Facs>(), E820Kind::Nvs)
    }

    /// All of it lies in memory of that kind: a guest reuses the memory of tables that it has read, and
    /// what it writes must not be among them.
    fn lies(&self, name: &str, gpa: Gpa, length: usize, kind: E820Kind) -> Result<(), Finding> {
        let within = |e: &E820Entry| {
            e.base <= gpa && gpa.0.saturating_add(length as u64) <= e.base.0 + e.len
        };
        if self.e820.iter().any(|e| e.kind == kind && within(e)) {
            return Ok(());
        }
        let found = format!("{length} bytes elsewhere");
        Err(unexpected(name, gpa, format!("memory that e820 tells as {kind:?}"), found))
    }

    /// Where in the blob a pointer leads, if to a place where such a table may lie.
    fn offset(&self, name: &str, gpa: Gpa, align: usize) -> Result<usize, Finding> {
        let offset = gpa.0.checked_sub(self.base.0).and_then(|o| usize::try_from(o).ok());
        let inside = offset.filter(|&o| o < self.blob.len() && gpa.0.is_multiple_of(align as u64));
        let end = self.base.0 + self.blob.len() as u64;
        let expected = || format!("a multiple of {align} in {:#x}..{end:#x}", self.base.0);
        inside.ok_or_else(|| {
            unexpected(&format!("pointer to {name}"), gpa, expected(), gpa.to_string())
        })
    }

    fn sums(&self, name: &str, at: Gpa, length: usize) -> Result<(), Finding> {
        let offset = self.offset(name, at, 1)?;
        let left = self.blob.len() - offset;
        let bytes = self.blob.get(offset..offset.saturating_add(length));
        match sum(bytes.ok_or_else(|| short(name, offset, length, left))?) {
            0 => Ok(()),
            sum => Err(Finding::Checksum { table: name.to_owned(), at, length, sum }),
        }
    }
}

impl<'a> Body<'a> {
    /// These bytes of the table so called.
    pub(crate) fn new(name: &'a str, bytes: &'a [u8]) -> Body<'a> {
        Body { name, bytes }
    }

    /// The layout at an offset.
    pub(crate) fn at<T: FromBytes + KnownLayout + Immutable>(
        &self,
        offset: usize,
    ) -> Result<&'a T, Finding> {
        prefix(self.name, self.bytes, offset)
    }

    /// `len` bytes at an offset.
    pub(crate) fn slice(&self, offset: usize, len: usize) -> Result<&'a [u8], Finding> {
        let left = self.bytes.len().saturating_sub(offset);
        let bytes = self.bytes.get(offset..offset.saturating_add(len));
        bytes.ok_or_else(|| short(self.name, offset, len, left))
    }

    /// The structures that begin with a byte of type and a byte of length (MADT, SRAT), from an
    /// offset on.
    pub(crate) fn structures(&self, mut offset: usize) -> Result<Vec<(u8, Body<'a>)>, Finding> {
        let mut found = Vec::new();
        while offset < self.bytes.len() {
            let &[kind, length]: &[u8; 2] = self.at(offset)?;
            // A length of 0 would be read for ever.
            let bytes = self.slice(offset, usize::from(length.max(2)))?;
            found.push((kind, Body { bytes, ..*self }));
            offset += bytes.len();
        }
        Ok(found)
    }

    /// The structures that begin with 16 bits of type, 16 reserved and 32 of length (HMAT).
    pub(crate) fn wide_structures(
        &self,
        mut offset: usize,
    ) -> Result<Vec<(u16, Body<'a>)>, Finding> {
        let mut found = Vec::new();
        while offset < self.bytes.len() {
            let kind = self.at::<U16>(offset)?.get();
            let length = self.at::<U32>(offset + 4)?.get() as usize;
            let bytes = self.slice(offset, length.max(8))?;
            found.push((kind, Body { bytes, ..*self }));
            offset += bytes.len();
        }
        Ok(found)
    }

    /// The entries of a [`SystemLocality`], row by row.
    pub(crate) fn matrix(&self) -> Result<Vec<Vec<Cell>>, Finding> {
        let fixed: &SystemLocality = self.at(0)?;
        let (rows, columns) = (fixed.initiators.get() as usize, fixed.targets.get() as usize);
        let lists = size_of::<SystemLocality>();
        let entries = lists + 4 * (rows + columns);
        // Before anything of that size is allocated.
        self.slice(entries, rows.saturating_mul(columns).saturating_mul(2))?;
        let domain = |place: usize| self.at::<U32>(lists + 4 * place).map(|d| d.get());
        let cell = |row: usize, column: usize| {
            let entry = self.at::<U16>(entries + 2 * (row * columns + column))?;
            Ok(Cell { from: domain(row)?, to: domain(rows + column)?, entry: entry.get() })
        };
        (0..rows).map(|row| (0..columns).map(|column| cell(row, column)).collect()).collect()
    }
}

fn prefix<'a, T: FromBytes + KnownLayout + Immutable>(
    table: &str,
    bytes: &'a [u8],
    offset: usize,
) -> Result<&'a T, Finding> {
    let rest = bytes.get(offset..).unwrap_or_default();
    match T::ref_from_prefix(rest) {
        Ok((value, _)) => Ok(value),
        Err(_) => Err(short(table, offset, size_of::<T>(), rest.len())),
    }
}

fn short(table: &str, offset: usize, need: usize, left: usize) -> Finding {
    Finding::Short { table: table.to_owned(), offset, need, left }
}

fn unexpected(what: &str, at: Gpa, expected: String, found: String) -> Finding {
    Finding::Unexpected { what: what.to_owned(), at, expected, found }
}

/// Equal, or the finding of both as text.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    found: T,
    expected: T,
    finding: impl FnOnce(String, String) -> Finding,
) -> Result<(), Finding> {
    if found == expected {
        return Ok(());
    }
    Err(finding(format!("{expected:?}"), format!("{found:?}")))
}
