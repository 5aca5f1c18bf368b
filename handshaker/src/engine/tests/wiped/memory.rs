//! Looking for secrets in another process's memory.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::process::Child;

/// A secret by its name in the specification, or by what it is.
pub(super) type Named = (&'static str, Vec<u8>);

/// Reads another process's memory.
pub(super) struct Memory {
    maps: String,
    mem: File,
}

impl Memory {
    /// `None` where the system does not let a process look into its child.
    pub(super) fn of(child: &Child) -> Option<Self> {
        let path = format!("/proc/{}", child.id());
        let mem = File::open(format!("{path}/mem")).ok()?;
        Some(Self { maps: format!("{path}/maps"), mem })
    }

    /// All that the process can write to, by its address.
    fn writable(&self) -> Vec<(Range<u64>, Vec<u8>)> {
        let maps = fs::read_to_string(&self.maps).unwrap();
        let mut regions = Vec::new();
        for line in maps.lines() {
            let mut fields = line.split_ascii_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let address = |text| u64::from_str_radix(text, 16).unwrap();
            let range = address(start)..address(end);
            let mut bytes = vec![0; (range.end - range.start) as usize];
            self.mem.read_exact_at(&mut bytes, range.start).unwrap();
            regions.push((range, bytes));
        }
        regions
    }

    /// The names of the secrets of which 16 bytes in a row, or all if they are fewer, are anywhere but on the stack, which is where
    /// `stack` points to.
    pub(super) fn find(&self, secrets: &[Named], stack: u64) -> Names {
        // Each secret's beginning, middle and end. Allocators write over the beginning of what is freed.
        let parts: Vec<_> = secrets
            .iter()
            .flat_map(|(name, secret)| {
                let parts = secret.windows(secret.len().min(16)).step_by(8);
                parts.map(move |part| (*name, part))
            })
            .collect();
        let mut begins = vec![false; 1 << 16];
        for (_, part) in &parts {
            begins[usize::from(u16::from_be_bytes([part[0], part[1]]))] = true;
        }
        let (mut found, mut on_stack, mut stacks) = (Names::new(), Names::new(), 0);
        for (range, bytes) in self.writable() {
            let is_stack = range.contains(&stack);
            stacks += u32::from(is_stack);
            for (at, pair) in bytes.windows(2).enumerate() {
                if !begins[usize::from(u16::from_be_bytes([pair[0], pair[1]]))] {
                    continue;
                }
                let here = parts.iter().filter(|(_, part)| bytes[at..].starts_with(part));
                if is_stack { &mut on_stack } else { &mut found }
                    .extend(here.map(|(name, _)| name));
            }
        }
        assert_eq!(stacks, 1);
        println!("found {found:?}, on the stack {on_stack:?}");
        found
    }
}

pub(super) type Names = BTreeSet<&'static str>;
