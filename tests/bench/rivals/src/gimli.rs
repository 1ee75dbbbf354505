// SPDX-License-Identifier: Apache-2.0
//! gimli's addr2line: from the ELF file, compilation units read when an address first lies in them.
use crate::{Engine, Found, Result};
use addr2line::Loader;

pub struct Gimli(Loader);

pub fn open(file: &str) -> Result<Gimli> {
    Ok(Gimli(Loader::new(file).map_err(|e| e.to_string())?))
}

impl Gimli {
    fn frames(&self, address: u64, found: &mut Found, with_names: bool) {
        let before = found.frames;
        let Ok(mut frames) = self.0.find_frames(address) else { return };
        while let Ok(Some(frame)) = frames.next() {
            let place = frame.location.as_ref().map_or(0, |l| l.file.unwrap_or("").len() + l.line.unwrap_or(0) as usize);
            match frame.function.as_ref().filter(|_| with_names).map(|f| f.raw_name()) {
                Some(Ok(name)) => found.frame(&name, place),
                _ => found.frame("", place),
            }
        }
        // As its own tool does: a name from the symbol table where DWARF has none.
        if found.frames == before && with_names {
            if let Some(name) = self.0.find_symbol(address) {
                found.frame(name, 0);
            }
        }
        found.hits += u64::from(found.frames > before);
    }
}

impl Engine for Gimli {
    fn chain(&self, address: u64, found: &mut Found) -> Option<()> {
        self.frames(address, found, false);
        Some(())
    }

    fn names(&self, address: u64, found: &mut Found) {
        self.frames(address, found, true);
    }
}
