//! Where each table lies: one blob, loaded at one address, every pointer in it absolute.
//!
//! ```text
//! base + 0        RSDP -> XSDT     where a boot loader's pointer leads
//!      + 0x1000   FACS             the only one that is written: its page is NVS in e820
//!      + 0x2000   DSDT APIC SRAT SLIT HMAT FACP (-> FACS, DSDT) XSDT (-> the others)
//!      + n        zeros up to a whole page
//! ```
//!
//! Pointees come before what points to them, so one pass is enough.

use crate::spec::{self, Kind, OEM_ID, RSDP_REVISION, Rsdp};
use crate::{Tables, dsdt, fadt, hmat, madt, slit, srat, table};
use pangea_topology::{Cluster, Gpa, PAGE_SIZE, Topology};
use zerocopy::{FromZeros, IntoBytes};

/// Tables begin on multiples of this.
pub(crate) const TABLE_ALIGN: usize = 16;
const PAGE: usize = PAGE_SIZE as usize;

/// Lays out all tables of the cluster at the map's place for them.
pub(crate) fn place(cluster: &Cluster, topology: &Topology) -> Tables {
    let mut blob = Blob::at(topology.acpi().0);
    // A page of its own, as the map has it: the DSDT begins on the next.
    let facs = blob.put(spec::FACS, PAGE, &fadt::facs());
    let dsdt = blob.put(spec::DSDT, PAGE, &dsdt::dsdt(topology));
    let tables = [
        (spec::MADT, madt::madt(topology)),
        (spec::SRAT, srat::srat(topology)),
        (spec::SLIT, slit::slit(cluster, topology)),
        (spec::HMAT, hmat::hmat(cluster, topology)),
    ];
    // 5.2.9 wants nothing of the order, but the FADT comes first on every machine.
    let rest = tables.map(|(kind, bytes)| blob.put(kind, TABLE_ALIGN, &bytes));
    let fadt = blob.put(spec::FADT, TABLE_ALIGN, &fadt::fadt(facs, dsdt));
    let pointers: Vec<u8> =
        [fadt].iter().chain(&rest).flat_map(|gpa| gpa.0.to_le_bytes()).collect();
    let xsdt = blob.put(spec::XSDT, TABLE_ALIGN, &table(spec::XSDT, &pointers));
    blob.finish(&rsdp(xsdt))
}

/// 5.2.5.3: two sums, the first for those who only know the first 20 bytes.
fn rsdp(xsdt: Gpa) -> Rsdp {
    let mut rsdp = Rsdp {
        signature: Rsdp::SIGNATURE,
        oem_id: OEM_ID,
        revision: RSDP_REVISION,
        length: (size_of::<Rsdp>() as u32).into(),
        xsdt_address: xsdt.0.into(),
        ..Rsdp::new_zeroed()
    };
    let (v1, _) = rsdp.as_bytes().split_at(Rsdp::V1_LENGTH);
    rsdp.checksum = sum(v1).wrapping_neg();
    rsdp.extended_checksum = sum(rsdp.as_bytes()).wrapping_neg();
    rsdp
}

/// The sum that a checksum makes zero.
pub(crate) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, &b| sum.wrapping_add(b))
}

struct Blob {
    base: Gpa,
    bytes: Vec<u8>,
    named: Vec<(String, Vec<u8>)>,
}

impl Blob {
    /// Empty but for the RSDP's place, which is known before its content.
    fn at(base: Gpa) -> Blob {
        Blob { base, bytes: vec![0; size_of::<Rsdp>()], named: Vec::new() }
    }

    /// Appends a table and tells its address.
    fn put(&mut self, kind: Kind, align: usize, bytes: &[u8]) -> Gpa {
        self.bytes.resize(self.bytes.len().next_multiple_of(align), 0);
        let gpa = Gpa(self.base.0 + self.bytes.len() as u64);
        self.bytes.extend(bytes);
        self.named.push((kind.name.to_owned(), bytes.to_vec()));
        gpa
    }

    fn finish(mut self, rsdp: &Rsdp) -> Tables {
        self.bytes.splice(..size_of::<Rsdp>(), rsdp.as_bytes().iter().copied());
        self.bytes.resize(self.bytes.len().next_multiple_of(PAGE), 0);
        self.named.insert(0, ("RSDP".to_owned(), rsdp.as_bytes().to_vec()));
        Tables { named: self.named, blob: self.bytes }
    }
}
