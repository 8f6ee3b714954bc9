//! Prevents signals that threads of the library would cause.

/// Blocks SIGPIPE on this thread, and on the threads that it starts.
///
/// Writing to a connection that the relay has closed is an ordinary error, but by default it also raises a signal
/// that ends the process. The standard library prevents that for a single buffer, but TLS writes several at once.
/// Programs in Rust ignore the signal, the virtual machines of Java and Android handle it themselves, and on Apple's
/// platforms each socket is configured not to raise it. The remaining case is Swift on Linux. The library does not
/// change anything for other threads.
pub(crate) fn block_broken_pipe() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        // This cannot fail: the only possible error is an unknown operation.
        let _ = SigSet::from(Signal::SIGPIPE).thread_block();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use nix::sys::signal::{SigSet, Signal};

    use crate::runtime::run;

    #[tokio::test]
    async fn a_closed_connection_sends_no_signal_to_our_threads() {
        let blocked = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGPIPE);
        assert!(!blocked(), "the library changes nothing for the app's threads");
        assert_eq!(run(async move { Ok(blocked()) }).await, Ok(true));
        let waiting = run(async move { Ok(tokio::task::spawn_blocking(blocked).await.unwrap()) });
        assert_eq!(waiting.await, Ok(true));
    }
}
