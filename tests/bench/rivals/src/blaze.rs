// SPDX-License-Identifier: Apache-2.0
//! blazesym, over DWARF and over GSYM. Its answers always carry their strings.
use crate::{Engine, Found};
use blazesym::symbolize::source::{Elf, GsymFile, Source};
use blazesym::symbolize::{CodeInfo, Input, Symbolized, Symbolizer};

pub struct Blaze {
    symbolizer: Symbolizer,
    source: Source<'static>,
}

fn with(source: Source<'static>) -> Blaze {
    // The file does not change while it is measured; asking the file system each time would only slow it down.
    let symbolizer = Symbolizer::builder().enable_demangling(false).enable_auto_reload(false).build();
    Blaze { symbolizer, source }
}

pub fn open_elf(file: &str) -> Blaze {
    with(Elf::new(file).into())
}

pub fn open_gsym(file: &str) -> Blaze {
    with(GsymFile::new(file).into())
}

fn place(info: Option<&CodeInfo>) -> usize {
    info.map_or(0, |i| i.dir.as_ref().map_or(0, |d| d.as_os_str().len()) + i.file.len() + i.line.unwrap_or(0) as usize)
}

fn count(answer: &Symbolized, found: &mut Found) {
    let Symbolized::Sym(symbol) = answer else { return };
    found.hits += 1;
    found.frame(&symbol.name, place(symbol.code_info.as_deref()));
    for inlined in &*symbol.inlined {
        found.frame(&inlined.name, place(inlined.code_info.as_ref()));
    }
}

impl Engine for Blaze {
    fn names(&self, address: u64, found: &mut Found) {
        if let Ok(answer) = self.symbolizer.symbolize_single(&self.source, Input::VirtOffset(address)) {
            count(&answer, found);
        }
    }

    fn batch(&self, addresses: &[u64], found: &mut Found) -> Option<()> {
        let answers = self.symbolizer.symbolize(&self.source, Input::VirtOffset(addresses)).ok()?;
        answers.iter().for_each(|answer| count(answer, found));
        Some(())
    }
}
