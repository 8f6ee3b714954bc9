use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::timeout;

use super::{numbers, soon};

#[tokio::test]
async fn only_a_batch_that_has_reached_its_caller_is_confirmed() {
    let (pull, go_on, mut was_given) = numbers();
    let confirmed = Arc::clone(&pull.view.lock().await.confirmed);
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![1])));
    assert_eq!(soon(was_given.recv()).await, Some(1));
    {
        // A call that waits does not hold up a confirmation.
        let mut next = std::pin::pin!(pull.next(None));
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        assert_eq!(soon(pull.confirm()).await, Ok(()));
        assert_eq!(confirmed.load(Ordering::SeqCst), 1);
        // The next batch is ready, but its caller goes away.
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        go_on.notify_one();
        assert_eq!(soon(was_given.recv()).await, Some(2));
    }
    assert_eq!(soon(pull.confirm()).await, Ok(()));
    assert_eq!(confirmed.load(Ordering::SeqCst), 1);
}
