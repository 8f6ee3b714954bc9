//! Turns pages into a stream of their items.

use std::future::Future;

use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};

use crate::error::{Error, Result};

/// The items of all pages. A page is read, given the end of the one before it, when its first item is requested; it
/// returns its items, and its end if another page follows.
pub(super) fn flatten<Item, End, Page>(
    read: impl Fn(Option<End>) -> Page + Send + 'static,
) -> BoxStream<'static, Result<Item>>
where
    Item: Send + 'static,
    End: Send + 'static,
    Page: Future<Output = Result<(Vec<Item>, Option<End>)>> + Send + 'static,
{
    let pages = stream::try_unfold(Some(None), move |after| {
        let page = after.map(&read);
        async move {
            let Some(page) = page else { return Ok::<_, Error>(None) };
            let (items, end) = page.await?;
            Ok(Some((stream::iter(items.into_iter().map(Ok)), end.map(Some))))
        }
    });
    pages.try_flatten().boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::Storage;

    #[tokio::test]
    async fn pages_are_read_only_as_far_as_they_are_consumed() {
        let read = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&read);
        let mut items = flatten(move |after: Option<u32>| {
            count.fetch_add(1, Ordering::SeqCst);
            let start = after.unwrap_or(0);
            async move { Ok(((start..start + 3).collect(), (start < 6).then_some(start + 3))) }
        });
        for expected in 0..4 {
            assert_eq!(items.try_next().await, Ok(Some(expected)));
        }
        assert_eq!(read.load(Ordering::SeqCst), 2);
        assert_eq!(items.try_collect::<Vec<_>>().await, Ok((4..9).collect()));
        assert_eq!(read.load(Ordering::SeqCst), 3);
    }

    #[tokio::test]
    async fn a_page_that_cannot_be_read_ends_the_stream() {
        let full = || Error::Storage(Storage::Full);
        let mut items = flatten(move |after: Option<()>| async move {
            if after.is_some() { Err(full()) } else { Ok((vec![1], Some(()))) }
        });
        assert_eq!(items.try_next().await, Ok(Some(1)));
        assert_eq!(items.try_next().await, Err(full()));
        assert_eq!(items.try_next().await, Ok(None));
    }
}
