//! I8: memory and open files stay within their limits.

use super::{Found, ensure};
use crate::history::History;

pub(super) fn judge(history: &History) -> Found {
    let Some((most_kib, most_files)) = history.limits else { return Ok(0) };
    for (rss_kib, files) in &history.samples {
        ensure(*rss_kib <= most_kib, || format!("{rss_kib} KiB of memory, of at most {most_kib}"))?;
        ensure(*files <= most_files, || format!("{files} open files, of at most {most_files}"))?;
    }
    Ok(history.samples.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn too_much_of_either_is_found() {
        assert!(judge(&broken(|history| history.samples.push((1_001, 1)))).is_err());
        assert!(judge(&broken(|history| history.samples.push((1, 51)))).is_err());
        assert_eq!(judge(&broken(|history| history.samples.push((1_000, 50)))), Ok(2));
    }
}
