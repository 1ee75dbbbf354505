// SPDX-License-Identifier: Apache-2.0
//! Sentry's SymCache.
use crate::{Engine, Found, Result};
use memmap2::Mmap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use symbolic_debuginfo::Object;
use symbolic_symcache::{SymCache, SymCacheConverter};

pub fn build(elf: &str, out: &str) -> Result<()> {
    let bytes = unsafe { Mmap::map(&File::open(elf)?)? };
    let object = Object::parse(&bytes)?;
    let mut converter = SymCacheConverter::new();
    converter.process_object(&object)?;
    let mut writer = BufWriter::new(File::create(out)?);
    converter.serialize(&mut writer)?;
    writer.flush()?;
    println!("{:#x}", object.load_address());
    Ok(())
}

pub struct Symcache {
    cache: SymCache<'static>,
    base: u64,
}

pub fn open(file: &str, base: &str) -> Result<Symcache> {
    // Mapped until the process ends.
    let bytes: &'static Mmap = Box::leak(Box::new(unsafe { Mmap::map(&File::open(file)?)? }));
    let base = u64::from_str_radix(base.trim_start_matches("0x"), 16)?;
    Ok(Symcache { cache: SymCache::parse(bytes)?, base })
}

impl Engine for Symcache {
    fn chain(&self, address: u64, found: &mut Found) -> Option<()> {
        let before = found.frames;
        for location in self.cache.lookup(address.wrapping_sub(self.base)) {
            found.frames += 1;
            found.bytes += u64::from(location.line());
        }
        found.hits += u64::from(found.frames > before);
        Some(())
    }

    fn names(&self, address: u64, found: &mut Found) {
        let before = found.frames;
        for location in self.cache.lookup(address.wrapping_sub(self.base)) {
            let file = black_box(location.file());
            found.frame(location.function().name(), usize::from(file.is_some()) + location.line() as usize);
        }
        found.hits += u64::from(found.frames > before);
    }

    fn paths(&self, address: u64, found: &mut Found) -> Option<()> {
        let before = found.frames;
        for location in self.cache.lookup(address.wrapping_sub(self.base)) {
            let path = location.file().map_or(0, |file| black_box(file.full_path()).len());
            found.frame(location.function().name(), path + location.line() as usize);
        }
        found.hits += u64::from(found.frames > before);
        Some(())
    }
}
