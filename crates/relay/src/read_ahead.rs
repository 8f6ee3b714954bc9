//! A stream that is read in large pieces and holds no memory while it is idle.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Maximum size of one system read, and therefore of the data that a connection holds before its reader asks for it.
const PIECE: usize = 16 << 10;

thread_local! {
    /// The buffer into which each read of this thread goes first. A separate buffer would be most of the memory of an
    /// idle connection.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; PIECE].into());
}

/// Lets its user read in small pieces: data from a system read that did not fit is kept until it is asked for.
#[derive(Debug)]
pub(crate) struct ReadAhead<S> {
    stream: S,
    rest: Bytes,
}

impl<S> ReadAhead<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, rest: Bytes::new() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            if into.remaining() >= PIECE {
                return Pin::new(&mut self.stream).poll_read(context, into);
            }
            return SCRATCH.with_borrow_mut(|scratch| {
                let mut piece = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
                let (wanted, rest) = piece.filled().split_at(piece.filled().len().min(into.remaining()));
                into.put_slice(wanted);
                if !rest.is_empty() {
                    self.rest = Bytes::copy_from_slice(rest);
                }
                Poll::Ready(Ok(()))
            });
        }
        let wanted = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest.split_to(wanted));
        if !self.rest.has_remaining() {
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Counts the reads that reach the inner stream.
    struct Counted<'a>(&'a [u8], usize);

    impl AsyncRead for Counted<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            self.1 = self.1.saturating_add(1);
            Pin::new(&mut self.0).poll_read(context, into)
        }
    }

    #[tokio::test]
    async fn small_reads_share_one_system_read_and_lose_nothing() {
        let sent: Vec<u8> = (0..PIECE * 2 + 7).map(|n| n.to_le_bytes()[0]).collect();
        for step in [1, 100, 512, PIECE - 1, PIECE, PIECE + 1] {
            let mut stream = ReadAhead::new(Counted(&sent, 0));
            let (mut got, mut buffer) = (Vec::new(), vec![0; step]);
            loop {
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    read => got.extend_from_slice(&buffer[..read]),
                }
            }
            assert_eq!(got, sent, "{step}");
            assert!(stream.stream.1 <= 4, "{} reads in steps of {step}", stream.stream.1);
            assert_eq!(stream.rest.len(), 0);
        }
    }

    #[tokio::test]
    async fn writes_are_passed_through() {
        let (near, mut far) = tokio::io::duplex(100);
        let mut near = ReadAhead::new(near);
        near.write_all(b"there").await.unwrap();
        far.write_all(b"back").await.unwrap();
        let (mut there, mut back) = ([0; 5], [0; 4]);
        far.read_exact(&mut there).await.unwrap();
        near.read_exact(&mut back[..2]).await.unwrap();
        near.read_exact(&mut back[2..]).await.unwrap();
        assert_eq!((&there, &back), (b"there", b"back"));
    }
}
