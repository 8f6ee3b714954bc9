//! Searches every file that the run has left for every line of the conversation.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;

use crate::figures::size;

/// Lines with fewer characters are not searched for.
const MIN_CHARACTERS: usize = 4;
/// Shorter patterns can occur in encrypted data by chance; for 8 bytes, this is negligible.
const MIN_RELIABLE: usize = 8;
/// Files are searched without their blocks of this size that contain nothing but zeros, such as space that is reserved.
const BLOCK: usize = 4096;
/// The probability below which finding short patterns by chance counts as a leak.
const MAX_CHANCE: f64 = 1e-6;

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    pub(crate) patterns: usize,
    /// How many lines are too short to be searched for.
    pub(crate) short: usize,
    /// How many lines repeat another one.
    pub(crate) repeated: usize,
    /// Lines that also occur in the files of a relay that has carried no message: words of its schema or its log.
    pub(crate) common: usize,
}

/// The numbers of lines that were searched for and not found, and that were left out.
impl fmt::Display for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let left_out = self.short.saturating_add(self.common);
        match self.patterns {
            0 => f.write_str("not checked")?,
            n if n < left_out => write!(f, "little was checked: none of {n} was found")?,
            n => write!(f, "none of {n} was found")?,
        }
        if self.patterns > 0 {
            write!(f, " in {} files, {}", self.files, size(self.bytes))?;
        }
        for (count, why) in [
            (self.short, "shorter than 4 characters"),
            (self.common, "words in an empty relay's files"),
            (self.repeated, "repeated lines"),
        ] {
            if count > 0 {
                write!(f, "; {count} left out as {why}")?;
            }
        }
        Ok(())
    }
}

/// A line of the conversation is readable in a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScanError {
    #[error("a line of the conversation is readable in {}", .0.display())]
    Leak(PathBuf),
    #[error(
        "short lines of the conversation were found {found} times, but only {expected:.2} are expected by chance"
    )]
    ShortLeaks { found: u32, expected: f64 },
    #[error("the files cannot be searched: {0}")]
    Io(#[from] io::Error),
    #[error("the conversation cannot be searched for: {0}")]
    Search(#[from] aho_corasick::BuildError),
}

/// Reads all files below a folder.
pub(crate) fn read_all(folder: &Path) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.clone(), fs::read(path)?));
            }
        }
    }
    Ok(files)
}

/// Searches files for lines. `control` are files from before the conversation; what occurs in them was not leaked.
pub(crate) fn scan<'l>(
    lines: impl Iterator<Item = &'l str>,
    files: &[(PathBuf, Vec<u8>)],
    control: &[(PathBuf, Vec<u8>)],
) -> Result<Scan, ScanError> {
    let (mut patterns, short): (Vec<&str>, Vec<&str>) =
        lines.partition(|line| line.chars().count() >= MIN_CHARACTERS);
    let said = patterns.len();
    patterns.sort_unstable();
    patterns.dedup();
    let repeated = said.saturating_sub(patterns.len());
    let all = AhoCorasick::new(&patterns)?;
    let mut is_common = vec![false; patterns.len()];
    for (_, bytes) in control {
        for found in written(bytes).flat_map(|part| all.find_overlapping_iter(part)) {
            if let Some(common) = is_common.get_mut(found.pattern().as_usize()) {
                *common = true;
            }
        }
    }
    let common = is_common.iter().filter(|common| **common).count();
    let mut is_common = is_common.into_iter();
    patterns.retain(|_| !is_common.next().unwrap_or(false));

    let search = AhoCorasick::new(&patterns)?;
    let mut scan = Scan { patterns: patterns.len(), short: short.len(), repeated, common, ..Scan::default() };
    let mut short_found = 0_u32;
    for (path, bytes) in files {
        scan.files = scan.files.saturating_add(1);
        scan.bytes = scan.bytes.saturating_add(written(bytes).map(|part| part.len() as u64).sum());
        for found in written(bytes).flat_map(|part| search.find_overlapping_iter(part)) {
            if found.len() >= MIN_RELIABLE {
                return Err(ScanError::Leak(path.clone()));
            }
            short_found = short_found.saturating_add(1);
        }
    }
    let short = patterns.iter().map(|pattern| pattern.len()).filter(|len| *len < MIN_RELIABLE);
    let expected: f64 = short.map(|len| scan.bytes as f64 / 256_f64.powi(len as i32)).sum();
    if at_least(short_found, expected) < MAX_CHANCE {
        return Err(ScanError::ShortLeaks { found: short_found, expected });
    }
    Ok(scan)
}

/// The parts of a file between blocks of zeros. No text of a person extends over such a block.
fn written(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let blank = leading_blocks(rest, true);
        let (part, after) = rest.get(blank..)?.split_at_checked(leading_blocks(rest.get(blank..)?, false))?;
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// The number of bytes of the first blocks that are all blank, or of which none is.
fn leading_blocks(bytes: &[u8], are_blank: bool) -> usize {
    let is_blank = |block: &[u8]| [0; BLOCK].get(..block.len()) == Some(block);
    bytes.chunks(BLOCK).take_while(|block| is_blank(block) == are_blank).map(<[u8]>::len).sum()
}

/// The probability of `found` or more events if `expected` are expected (Poisson).
fn at_least(found: u32, expected: f64) -> f64 {
    let mut term = (-expected).exp();
    let mut fewer = 0.0;
    for n in 0..found {
        fewer += term;
        term *= expected / f64::from(n.saturating_add(1));
    }
    1.0 - fewer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Vec<(PathBuf, Vec<u8>)> {
        vec![(PathBuf::from("file"), bytes.to_vec())]
    }

    #[test]
    fn a_line_in_a_file_is_a_leak() {
        let found = scan(["good morning"].into_iter(), &file(b"\x00\x01good morning\xff"), &[]);
        assert!(matches!(found, Err(ScanError::Leak(_))));
        assert!(scan(["good morning"].into_iter(), &file(b"good evening"), &[]).is_ok());
    }

    #[test]
    fn a_short_line_in_a_small_file_is_a_leak() {
        let found = scan(["tea?"].into_iter(), &file(b"....tea?...."), &[]);
        assert!(matches!(found, Err(ScanError::ShortLeaks { found: 1, .. })));
    }

    #[test]
    fn a_short_line_in_a_large_file_is_attributed_to_chance() {
        let mut noise = vec![1_u8; 40_000_000];
        noise.splice(5..9, *b"tea?");
        assert!(scan(["tea?"].into_iter(), &file(&noise), &[]).is_ok());
    }

    #[test]
    fn what_is_between_blocks_of_zeros_is_searched() {
        let mut reserve = vec![0_u8; 10 * BLOCK];
        assert_eq!(written(&reserve).count(), 0);
        assert_eq!(written(&[]).count(), 0);
        // It crosses the boundary between two blocks, and the last block is not whole.
        reserve.splice(4 * BLOCK - 5..4 * BLOCK + 7, *b"good morning");
        reserve.extend(*b"end");
        let parts: Vec<_> = written(&reserve).map(<[u8]>::len).collect();
        assert_eq!(parts, [2 * BLOCK, 3]);
        assert!(matches!(scan(["good morning"].into_iter(), &file(&reserve), &[]), Err(ScanError::Leak(_))));
    }

    #[test]
    fn words_in_the_files_of_an_empty_relay_are_not_leaks() {
        let schema = b"CREATE TABLE message";
        let scanned = scan(["message", "CREATE TABLE"].into_iter(), &file(schema), &file(schema)).unwrap();
        assert_eq!((scanned.common, scanned.patterns), (2, 0));
    }

    #[test]
    fn lines_of_three_characters_are_not_searched_for() {
        assert_eq!(scan(["tea"].into_iter(), &file(b"tea"), &[]).unwrap().patterns, 0);
        assert_eq!(scan(["тайн"].into_iter(), &file(b""), &[]).unwrap().patterns, 1);
    }

    #[test]
    fn omitted_lines_are_reported() {
        let told = |lines: &[&str]| {
            let schema = b"CREATE TABLE message";
            scan(lines.iter().copied(), &file(b"nothing"), &file(schema)).unwrap().to_string()
        };
        assert_eq!(told(&["tea", "no"]), "not checked; 2 left out as shorter than 4 characters");
        assert_eq!(told(&["message"]), "not checked; 1 left out as words in an empty relay's files");
        assert_eq!(told(&["good morning"]), "none of 1 was found in 1 files, 0.0 kB");
        assert_eq!(
            told(&["good morning", "hi", "ok", "good morning"]),
            "little was checked: none of 1 was found in 1 files, 0.0 kB; 2 left out as shorter than 4 characters; 1 left out as repeated lines"
        );
    }
}
