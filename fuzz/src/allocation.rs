//! Limits on the memory that a call may allocate.

/// A limit on the bytes that a call has allocated at the same time.
#[derive(Clone, Copy)]
pub(crate) struct Limit {
    /// The bytes for each byte of input.
    pub(crate) factor: u64,
    /// The bytes for any input.
    pub(crate) constant: u64,
}

/// Makes the call and checks the limit. Global state must be initialised before.
pub(crate) fn limited<T>(limit: Limit, input: &[u8], call: impl FnOnce() -> T) -> T {
    limited_by(|_| limit, input, call)
}

/// A step of a state, with different limits for refused and for successful steps.
pub(crate) fn limited_step<T, E>(
    (refused, done): (Limit, Limit),
    input: &[u8],
    step: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    limited_by(|result| if result.is_ok() { done } else { refused }, input, step)
}

fn limited_by<T>(limit: impl FnOnce(&T) -> Limit, input: &[u8], call: impl FnOnce() -> T) -> T {
    let mut result = None;
    let held = allocation_counter::measure(|| result = Some(call())).bytes_max;
    let result = result.unwrap();
    let (limit, length) = (limit(&result), u64::try_from(input.len()).unwrap());
    assert!(held <= limit.factor * length + limit.constant, "{length} bytes made a call hold {held}");
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "10 bytes made a call hold 41")]
    fn exceeding_the_limit_is_detected() {
        limited(Limit { factor: 3, constant: 10 }, &[0; 10], || Vec::<u8>::with_capacity(41));
    }

    #[test]
    fn freed_memory_does_not_count() {
        let limit = Limit { factor: 3, constant: 10 };
        for _ in 0..2 {
            limited(limit, &[0; 10], || (drop(Vec::<u8>::with_capacity(40)), Vec::<u8>::with_capacity(40)));
        }
    }
}
