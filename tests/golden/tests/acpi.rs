//! The ACPI tables of every cluster file: as text they are what `acpi/<cluster>/` says, and iasl
//! takes each of them apart and puts it together again to the same bytes.
//!
//! ```text
//! acpi/<cluster>/tables.txt   size and SHA-256 of each table and of the blob
//!                <SIG>.txt    the table as text (pangea_acpi::text)
//!                DSDT.asl     its source: compiled by iasl it must be our bytes
//! ```
//!
//! Of a cluster too large to be read only `tables.txt` is kept.

#![allow(clippy::unwrap_used)]

mod iasl;

use iasl::{Iasl, without_creator};
use pangea_acpi::{Tables, tables, text};
use pangea_golden::{Input, clusters, orphans};
use pangea_topology::Topology;
use sha2::{Digest, Sha256};
use std::env;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Clusters of more vCPUs than this are kept by their digests only.
const READABLE_VCPUS: u32 = 64;

fn tables_of(input: &Input) -> Tables {
    let topology = Topology::of(&input.cluster);
    tables(&input.cluster, &topology).unwrap_or_else(|e| panic!("{}: {e}", input.stem))
}

fn readable(input: &Input) -> bool {
    Topology::of(&input.cluster).vcpus() <= READABLE_VCPUS
}

fn golden(input: &Input, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("acpi").join(&input.stem).join(file)
}

/// Is this run to write the golden files rather than to compare them?
fn update() -> bool {
    env::var_os("UPDATE_EXPECT").is_some()
}

fn compare(input: &Input, file: &str, found: &str) {
    let path = golden(input, file);
    assert!(
        update() || path.is_file(),
        "there is no {}; write it with `UPDATE_EXPECT=1 cargo test -p pangea-golden --test acpi` \
         and read it",
        path.display()
    );
    fs::create_dir_all(golden(input, "")).unwrap();
    expect_test::expect_file![path].assert_eq(found);
}

#[test]
fn every_table_is_its_golden_text() {
    let inputs = clusters();
    for input in &inputs {
        let tables = tables_of(input);
        let mut digests = String::new();
        let blob = ("blob".to_owned(), tables.blob.clone());
        for (name, bytes) in tables.named.iter().chain([&blob]) {
            writeln!(digests, "{name:4} {:>7} {:x}", bytes.len(), Sha256::digest(bytes)).unwrap();
        }
        compare(input, "tables.txt", &digests);
        for (name, bytes) in tables.named.iter().filter(|(name, _)| name != "DSDT") {
            if readable(input) {
                compare(input, &format!("{name}.txt"), &text::text(name, bytes).unwrap());
            }
        }
    }
    let gone = orphans("acpi", &inputs);
    assert!(gone.is_empty(), "no cluster file for tests/golden/acpi: {gone:?}; remove them");
}

#[test]
fn every_dsdt_is_what_its_golden_source_compiles_to() {
    let iasl = Iasl::new();
    for input in clusters().iter().filter(|input| readable(input)) {
        let tables = tables_of(input);
        let dsdt = tables.get("DSDT").unwrap();
        if update() {
            let source = iasl.disassemble("DSDT", dsdt);
            // Before the block: the version of iasl and the time of day.
            let (_, block) = source.split_once("*/\n").unwrap();
            compare(input, "DSDT.asl", block);
        }
        let source = fs::read_to_string(golden(input, "DSDT.asl")).unwrap();
        let compiled = iasl.compile("DSDT", &source);
        let same = without_creator(&compiled) == without_creator(dsdt);
        assert!(same, "{}: {source}\nis, built:\n{}", input.stem, iasl.disassemble("DSDT", dsdt));
    }
}

#[test]
fn iasl_takes_every_table_apart_and_puts_it_together_again() {
    let iasl = Iasl::new();
    for input in clusters() {
        for (name, bytes) in tables_of(&input).named {
            if name == "RSDP" {
                // iasl compiles an RSDP but takes none apart: its source is written here, without
                // the checksums, and those that iasl finds must be ours.
                assert_eq!(iasl.compile("RSDP", &rsdp_source(&bytes)), bytes, "{}", input.stem);
                continue;
            }
            let source = iasl.disassemble(&name, &bytes);
            for complaint in ["Invalid", "**** ", "Unknown"] {
                assert!(!source.contains(complaint), "{} {name}: {source}", input.stem);
            }
            let compiled = iasl.compile(&name, &source);
            // A FACS has no header but signature and length, and so no creator.
            let same = match name.as_str() {
                "FACS" => compiled == bytes,
                _ => without_creator(&compiled) == without_creator(&bytes),
            };
            assert!(same, "{} {name}: other bytes from {source}", input.stem);
        }
    }
}

/// The data table source of an RSDP (ACPI 6.5 5.2.5.3), from its bytes.
fn rsdp_source(rsdp: &[u8]) -> String {
    let number = |at: usize, len: usize| {
        rsdp[at..at + len].iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
    };
    format!(
        "[0008] Signature : \"RSD PTR \"\n[0001] Checksum : 00\n[0006] Oem ID : \"{}\"\n\
         [0001] Revision : {:02X}\n[0004] RSDT Address : {:08X}\n[0004] Length : {:08X}\n\
         [0008] XSDT Address : {:016X}\n[0001] Extended Checksum : 00\n[0003] Reserved : 000000\n",
        String::from_utf8_lossy(&rsdp[9..15]),
        number(15, 1),
        number(16, 4),
        number(20, 4),
        number(24, 8),
    )
}
