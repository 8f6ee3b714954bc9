//! A time limit for writing to a peer that does not read.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use sealpost_wire::limits::MAX_FRAME;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The number of written bytes after which the time starts again, so that a long response can be sent over a slow
/// connection: the size of the largest frame.
const PROGRESS: usize = MAX_FRAME;

/// A stream that fails when data has waited too long for its peer. Reading a few bytes from time to time does not
/// extend the time: it runs from the first wait until everything or at least `PROGRESS` bytes were written.
#[derive(Debug)]
pub(crate) struct WriteTimeout<S> {
    stream: S,
    limit: Duration,
    /// Set while data is waiting.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The number of bytes written since the deadline was set.
    written: usize,
}

impl<S> WriteTimeout<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, deadline: None, written: 0 }
    }

    /// Returns the outcome of a write, or an error if the time limit has passed.
    fn in_time<T>(&mut self, context: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_pending() {
            let deadline = self.deadline.get_or_insert_with(|| {
                self.written = 0;
                Box::pin(sleep(self.limit))
            });
            ready!(deadline.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }

    /// Like `in_time`, and counts the written bytes.
    fn progress(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.written = self.written.saturating_add(bytes);
            self.deadline.take_if(|_| self.written >= PROGRESS);
        }
        self.in_time(context, written)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.progress(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.progress(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Called when nothing is left to write.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.deadline = None;
        }
        self.in_time(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.in_time(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_too_slowly_is_disconnected() {
        let (near, mut far) = duplex(16);
        let mut near = WriteTimeout::new(near, LIMIT);
        let trickle = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let began = tokio::time::Instant::now();
        let error = near.write_all(&[0; 1_000]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed()), (io::ErrorKind::TimedOut, LIMIT));
        drop(near);
        trickle.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_each_answer_in_time_is_not_disconnected() {
        let (near, mut far) = duplex(16);
        let mut near = WriteTimeout::new(near, LIMIT);
        let reading = tokio::spawn(async move {
            let mut answer = [0; 100];
            for _ in 0..10 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                far.read_exact(&mut answer).await.unwrap();
            }
        });
        for _ in 0..10 {
            near.write_all(&[0; 100]).await.unwrap();
            near.flush().await.unwrap();
        }
        reading.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_answer_has_no_total_time_limit() {
        let (near, mut far) = duplex(16);
        let mut near = WriteTimeout::new(near, LIMIT);
        let reading = tokio::spawn(async move {
            let mut piece = vec![0; PROGRESS];
            for _ in 0..4 {
                sleep(LIMIT - Duration::from_secs(1)).await;
                far.read_exact(&mut piece).await.unwrap();
            }
        });
        near.write_all(&[0; 4 * PROGRESS]).await.unwrap();
        reading.await.unwrap();
    }
}
