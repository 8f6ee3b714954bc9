//! What the operating system may not do to an app because of a thread of ours.

/// Blocks SIGPIPE on this thread, and on those that it starts.
///
/// Writing to a connection that the relay has closed is an error like others, but by default it is also a signal that ends
/// the process. The standard library prevents that for a single buffer; TLS writes several at once. A program in Rust ignores
/// the signal, the virtual machines of Java and Android see to it themselves, and on Apple's systems each socket is told not to
/// raise it: what is left is Swift on Linux. A library changes nothing for the threads of others.
pub(crate) fn block_broken_pipe() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        // It cannot fail: only an unknown way to change the mask is an error.
        let _ = SigSet::from(Signal::SIGPIPE).thread_block();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use nix::sys::signal::{SigSet, Signal};

    use crate::runtime::run;

    #[tokio::test]
    async fn a_closed_connection_is_no_signal_on_our_threads() {
        let blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE);
        assert!(!blocked(), "the threads of an app are its own");
        assert_eq!(run(async move { Ok(blocked()) }).await, Ok(true));
        let waiting = run(async move { Ok(tokio::task::spawn_blocking(blocked).await.unwrap()) });
        assert_eq!(waiting.await, Ok(true));
    }
}
