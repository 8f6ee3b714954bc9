//! Reads ELF object files (64 bits, little-endian), as far as it is necessary to remove functions from them.

/// The size of a section header, and the offset of the section's size in it.
const HEADER: usize = 64;
const SIZE: std::ops::Range<usize> = 32..40;
/// The type of a section that contains the relocations of another one.
const RELA: usize = 4;
/// The section names of functions begin with one of these, followed by the mangled name.
const OF_A_FUNCTION: &[&str] = &[".text.", ".gcc_except_table."];

/// The object with the functions emptied whose names `gone` accepts: they still exist, but do nothing and reference
/// nothing. `None` if this is not such an object.
pub(super) fn emptied(object: &[u8], gone: impl Fn(&str) -> bool) -> Option<Vec<u8>> {
    let table = number(object, 40, 8).filter(|_| object.starts_with(b"\x7fELF\x02\x01"))?;
    let headers: Vec<&[u8]> = object.get(table..)?.chunks_exact(HEADER).collect();
    // An object with many sections has their number in the first header, which does not describe a section.
    let first = headers.first()?;
    let count = number(object, 60, 2).filter(|count| *count != 0).or_else(|| number(first, 32, 8))?;
    let names = number(object, 62, 2).filter(|names| *names != 0xffff).or_else(|| number(first, 40, 4))?;
    let names = object.get(number(headers.get(names)?, 24, 8)?..)?;
    let is_gone = |header: &[u8]| {
        let name = names.get(number(header, 0, 4)?..)?.split(|byte| *byte == 0).next()?;
        let name = str::from_utf8(name).ok()?;
        Some(OF_A_FUNCTION.iter().any(|prefix| name.starts_with(prefix)) && gone(name))
    };
    let gone = headers.iter().take(count).map(|header| is_gone(header)).collect::<Option<Vec<bool>>>()?;
    let mut left = object.to_vec();
    for (header, is_gone) in left.get_mut(table..)?.chunks_exact_mut(HEADER).zip(&gone) {
        let refers_for_gone =
            number(header, 4, 4)? == RELA && gone.get(number(header, 44, 4)?) == Some(&true);
        if *is_gone || refers_for_gone {
            header.get_mut(SIZE)?.copy_from_slice(&u64::from(*is_gone).to_le_bytes());
        }
    }
    Some(left)
}

/// A little-endian number of this many bytes.
fn number(bytes: &[u8], at: usize, length: usize) -> Option<usize> {
    let bytes = bytes.get(at..)?.get(..length)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object with these sections of 16 bytes: name, type, and the index of the section that it refers to. The
    /// contents of the first one are the names of all.
    fn object(sections: &[(&str, usize, u8)]) -> Vec<u8> {
        let mut object = vec![0; HEADER];
        object[..6].copy_from_slice(b"\x7fELF\x02\x01");
        object[40] = HEADER as u8;
        object[60] = sections.len() as u8;
        let mut names = Vec::new();
        for (name, kind, info) in sections {
            let mut header = [0; HEADER];
            header[0] = names.len() as u8;
            header[4] = *kind as u8;
            header[SIZE.start] = 16;
            header[44] = *info;
            object.extend(header);
            names.extend([name.as_bytes(), &[0]].concat());
        }
        object[88] = object.len() as u8;
        object.extend(names);
        object
    }

    fn sizes(object: &[u8]) -> Vec<usize> {
        object.chunks_exact(HEADER).skip(1).filter_map(|header| number(header, 32, 8)).collect()
    }

    #[test]
    fn a_function_is_removed_with_its_references() {
        let one = object(&[(".text.a", 1, 0), (".rela.text.a", RELA, 0)]);
        assert_eq!(sizes(&one)[..2], [16, 16]);
        assert_eq!(sizes(&emptied(&one, |name| name == ".text.a").unwrap())[..2], [1, 0]);
        assert_eq!(emptied(&one, |_| false).unwrap(), one);
    }

    #[test]
    fn only_functions_are_removed() {
        let data = object(&[(".data.a", 1, 0), (".gcc_except_table.a", 1, 0)]);
        assert_eq!(sizes(&emptied(&data, |_| true).unwrap())[..2], [16, 1]);
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(emptied(b"!<arch>\n", |_| true), None);
        assert_eq!(emptied(&[], |_| true), None);
        let cut_off = object(&[(".text.a", 1, 0)]);
        assert_eq!(emptied(&cut_off[..100], |_| true), None);
    }
}
