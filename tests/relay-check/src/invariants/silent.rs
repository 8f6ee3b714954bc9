//! I10: no secret is in the log.

use super::{CheckResult, ensure};
use crate::history::History;

pub(super) fn check(history: &History) -> CheckResult {
    if history.log.is_empty() {
        return Ok(0);
    }
    for (number, secret) in (1..).zip(&history.secrets) {
        ensure(!history.log.contains(secret.as_str()), || format!("secret {number} is in the log"))?;
    }
    Ok(history.secrets.len())
}

#[cfg(test)]
mod tests {
    use super::super::examples::modified;
    use super::check;

    #[test]
    fn a_secret_in_the_log_is_found() {
        assert!(check(&modified(|history| history.log.push_str(" with a secret"))).is_err());
    }

    #[test]
    fn without_a_log_nothing_is_checked() {
        assert_eq!(check(&modified(|history| history.log.clear())), Ok(0));
    }
}
