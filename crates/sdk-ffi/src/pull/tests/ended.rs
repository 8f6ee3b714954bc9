use std::sync::Arc;

use super::soon;
use crate::pull::{Pull, View};
use crate::{CancelToken, Result};

/// A view in which nothing ever happens.
struct Silent;

impl View for Silent {
    type Update = ();

    async fn next_batch(&mut self, _: usize) -> Option<Result<Vec<()>>> {
        std::future::pending().await
    }

    fn refresh(&mut self) {}
}

#[tokio::test]
async fn a_view_ends_when_its_client_is_shut_down() {
    let ended = Arc::<CancelToken>::default();
    let pull = Arc::new(Pull::new(Silent, Arc::clone(&ended)));
    let waiting = tokio::spawn({
        let pull = Arc::clone(&pull);
        async move { pull.next(None).await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    ended.cancel().unwrap();
    assert_eq!(soon(waiting).await.unwrap(), Ok(None));
    assert_eq!(soon(pull.next(None)).await, Ok(None));
}
