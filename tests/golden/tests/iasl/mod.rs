//! iasl, the ACPI compiler and disassembler of acpica-tools: a second opinion on every byte.

use std::fs;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// iasl, with a directory to work in.
pub(crate) struct Iasl {
    dir: TempDir,
}

impl Iasl {
    pub(crate) fn new() -> Iasl {
        Iasl { dir: TempDir::new().unwrap() }
    }

    /// A table as source text.
    pub(crate) fn disassemble(&self, name: &str, table: &[u8]) -> String {
        let aml = self.dir.path().join(format!("{name}.aml"));
        fs::write(&aml, table).unwrap();
        self.run(&["-d".as_ref(), &aml]);
        fs::read_to_string(aml.with_extension("dsl")).unwrap()
    }

    /// Source text as a table. Warnings are failures.
    pub(crate) fn compile(&self, name: &str, source: &str) -> Vec<u8> {
        let dsl = self.dir.path().join(format!("{name}.dsl"));
        let out = self.dir.path().join(format!("{name}-again"));
        fs::write(&dsl, source).unwrap();
        // -oa: no optimization, so that what is compared is what was written.
        let said = self.run(&["-oa".as_ref(), "-p".as_ref(), &out, &dsl]);
        assert!(said.contains("0 Errors, 0 Warnings, 0 Remarks"), "{name}: {said}");
        fs::read(out.with_extension("aml")).unwrap()
    }

    fn run(&self, arguments: &[&Path]) -> String {
        let output = Command::new("iasl").args(arguments).output();
        let output = output.expect("iasl doesn't start: apt-get install acpica-tools");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(output.status.success(), "iasl {arguments:?}: {said}");
        said
    }
}

/// A table without the fields of its header that name the compiler (creator id and revision, ACPI 6.5
/// 5.2.6) and the checksum over them: iasl writes itself there, whatever the source says.
pub(crate) fn without_creator(table: &[u8]) -> Vec<u8> {
    let mut table = table.to_vec();
    table[9] = 0;
    table[28..36].fill(0);
    table
}
