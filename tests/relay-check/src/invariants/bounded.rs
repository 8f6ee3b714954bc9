//! I8: memory and open files stay within their limits.

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    let Some((most_kib, most_files)) = history.limits else { return Ok(0) };
    for (rss_kib, files) in &history.samples {
        ensure(*rss_kib <= most_kib, || {
            format!("{rss_kib} KiB of memory, but at most {most_kib} are allowed")
        })?;
        ensure(*files <= most_files, || format!("{files} open files, but at most {most_files} are allowed"))?;
    }
    Ok(history.samples.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn excess_memory_and_files_are_found() {
        assert!(check(&modified(|history| history.samples.push((1_001, 1)))).is_err());
        assert!(check(&modified(|history| history.samples.push((1, 51)))).is_err());
        assert_eq!(check(&modified(|history| history.samples.push((1_000, 50)))), Ok(2));
    }
}
