//! Kernel modules in the order in which they can be inserted.
//!
//! A distribution's package has no `modules.dep` (that is made when it is installed), so the
//! dependencies are read from where depmod's own come from in the end: `depends=` and
//! `softdep=pre:` in each module's `.modinfo` section. Modules come out decompressed (Debian 13
//! ships `.ko.xz`, Ubuntu `.ko.zst`), so that `insmod` is all that an image needs.

use crate::{ImageError, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The most bytes that a module may decompress to: far more than the largest (amdgpu, 30 MiB).
const MAX_MODULE: u64 = 256 << 20;
/// The longest chain of dependencies that is followed.
const MAX_DEPTH: usize = 32;

/// One module, ready for `insmod`.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its name, with underscores, as `lsmod` shows it.
    pub name: String,
    /// The ELF file, decompressed.
    pub bytes: Vec<u8>,
}

/// The modules of one kernel package.
#[derive(Debug)]
pub struct Modules {
    root: PathBuf,
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Modules {
    /// Lists the modules below `…/lib/modules/VERSION`.
    pub fn open(root: &Path) -> Result<Modules> {
        let mut modules =
            Modules { root: root.to_owned(), files: BTreeMap::new(), builtin: BTreeSet::new() };
        modules.list(&root.join("kernel"))?;
        let list = root.join("modules.builtin");
        let text = fs::read_to_string(&list).map_err(ImageError::io("read", &list))?;
        modules.builtin.extend(text.lines().filter_map(|line| module_name(Path::new(line))));
        Ok(modules)
    }

    /// The wanted modules and all that they need, dependencies first, each once. Those that the
    /// kernel has built in are left out.
    pub fn load_order(&self, wanted: &[impl AsRef<str>]) -> Result<Vec<Module>> {
        let mut order = Vec::new();
        let mut done = BTreeSet::new();
        for name in wanted {
            self.visit(&name.as_ref().replace('-', "_"), true, 0, &mut done, &mut order)?;
        }
        Ok(order)
    }

    fn list(&mut self, dir: &Path) -> Result<()> {
        for entry in fs::read_dir(dir).map_err(ImageError::io("list", dir))? {
            let entry = entry.map_err(ImageError::io("list", dir))?;
            let path = entry.path();
            if entry.file_type().map_err(ImageError::io("look at", &path))?.is_dir() {
                self.list(&path)?;
            } else if let Some(name) = module_name(&path) {
                self.files.insert(name, path);
            }
        }
        Ok(())
    }

    fn visit(
        &self,
        name: &str,
        needed: bool,
        depth: usize,
        done: &mut BTreeSet<String>,
        order: &mut Vec<Module>,
    ) -> Result<()> {
        if self.builtin.contains(name) || done.contains(name) {
            return Ok(());
        }
        let Some(file) = self.files.get(name) else {
            let problem = format!("has no module `{name}`, built in or not");
            // A soft dependency is a wish: a kernel without the module is fine.
            return if needed { Err(ImageError::content(&self.root, problem)) } else { Ok(()) };
        };
        if depth > MAX_DEPTH {
            let problem = format!("is at the end of a chain of over {MAX_DEPTH} dependencies");
            return Err(ImageError::content(file, problem));
        }
        done.insert(name.to_owned());
        let bytes = read(file)?;
        let info = Dependencies::of(&bytes)
            .ok_or_else(|| ImageError::content(file, "isn't a kernel module: no .modinfo in it"))?;
        for soft in &info.soft {
            self.visit(soft, false, depth + 1, done, order)?;
        }
        for hard in &info.hard {
            self.visit(hard, true, depth + 1, done, order)?;
        }
        order.push(Module { name: name.to_owned(), bytes });
        Ok(())
    }
}

/// `kvm-amd.ko.xz` is the file of module `kvm_amd`.
fn module_name(path: &Path) -> Option<String> {
    let (stem, rest) = path.file_name()?.to_str()?.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| stem.replace('-', "_"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let packed = fs::read(path).map_err(ImageError::io("read", path))?;
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    let bad =
        |e: &dyn std::fmt::Display| ImageError::content(path, format!("isn't {extension}: {e}"));
    let mut bytes = Vec::new();
    let mut inflate = |from: &mut dyn Read| from.take(MAX_MODULE).read_to_end(&mut bytes);
    let inflated = match extension {
        "xz" => inflate(&mut lzma_rust2::XzReader::new(packed.as_slice(), true)),
        "gz" => inflate(&mut flate2::read::MultiGzDecoder::new(packed.as_slice())),
        "zst" => {
            let mut source = packed.as_slice();
            inflate(&mut ruzstd::decoding::StreamingDecoder::new(&mut source).map_err(|e| bad(&e))?)
        }
        _ => return Ok(packed),
    };
    inflated.map_err(|e| bad(&e))?;
    Ok(bytes)
}

/// What a module's `.modinfo` says it needs.
#[derive(Debug, Default, PartialEq)]
struct Dependencies {
    hard: Vec<String>,
    soft: Vec<String>,
}

impl Dependencies {
    fn of(elf: &[u8]) -> Option<Dependencies> {
        let parsed = goblin::elf::Elf::parse(elf).ok()?;
        let section = parsed
            .section_headers
            .iter()
            .find(|header| parsed.shdr_strtab.get_at(header.sh_name) == Some(".modinfo"))?;
        let range = section.file_range()?;
        Some(Dependencies::parse(elf.get(range)?))
    }

    /// `.modinfo` is a run of `key=value`, each ended by one or more NULs.
    fn parse(section: &[u8]) -> Dependencies {
        let mut found = Dependencies::default();
        for field in section.split(|byte| *byte == 0) {
            let field = String::from_utf8_lossy(field);
            let names = |text: &str, separator: char| -> Vec<String> {
                let words = text.split(separator).filter(|word| !word.is_empty());
                words.map(|word| word.replace('-', "_")).collect()
            };
            if let Some(list) = field.strip_prefix("depends=") {
                found.hard.extend(names(list, ','));
            } else if let Some(list) = field.strip_prefix("softdep=pre:") {
                let before = list.split("post:").next().unwrap_or_default();
                found.soft.extend(names(before.trim(), ' '));
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_are_as_lsmod_shows_them() {
        assert_eq!(module_name(Path::new("a/kvm-amd.ko.xz")).as_deref(), Some("kvm_amd"));
        assert_eq!(module_name(Path::new("kvm.ko")).as_deref(), Some("kvm"));
        assert_eq!(module_name(Path::new("modules.order")), None);
        assert_eq!(module_name(Path::new("kvm.ko.sig")), None);
    }

    #[test]
    fn modinfo_is_read_as_depmod_reads_it() {
        let section = b"license=GPL\0\0depends=kvm,ccp\0softdep=pre: aead2 crc32-c post: late\0";
        let expected = Dependencies {
            hard: vec!["kvm".into(), "ccp".into()],
            soft: vec!["aead2".into(), "crc32_c".into()],
        };
        assert_eq!(Dependencies::parse(section), expected);
        assert_eq!(Dependencies::of(b"not an ELF file"), None);
    }

    #[test]
    fn every_compression_of_the_distributions_is_read() {
        // "hello module\n" through `xz -9`, `zstd` and `gzip -n`.
        let packed: [(&str, &[u8]); 3] = [
            ("m.ko.xz", include_bytes!("../tests/data/hello.xz")),
            ("m.ko.zst", include_bytes!("../tests/data/hello.zst")),
            ("m.ko.gz", include_bytes!("../tests/data/hello.gz")),
        ];
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in packed {
            let path = dir.path().join(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(&path).unwrap(), b"hello module\n", "{name}");
            fs::write(&path, &bytes[..8]).unwrap();
            assert!(read(&path).is_err(), "a cut {name} must not pass");
        }
    }
}
