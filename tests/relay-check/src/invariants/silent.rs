//! I10: the log reveals nothing.

use super::{Found, ensure};
use crate::history::History;

pub(super) fn judge(history: &History) -> Found {
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
    use super::super::examples::broken;
    use super::judge;

    #[test]
    fn a_secret_in_the_log_is_found() {
        assert!(judge(&broken(|history| history.log.push_str(" with a secret"))).is_err());
    }

    #[test]
    fn without_a_log_nothing_is_judged() {
        assert_eq!(judge(&broken(|history| history.log.clear())), Ok(0));
    }
}
