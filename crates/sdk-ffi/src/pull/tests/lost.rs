use std::time::Duration;

use tokio::time::timeout;

use super::{numbers, soon};

#[tokio::test]
async fn a_batch_that_did_not_reach_its_caller_is_followed_by_a_snapshot() {
    let (pull, go_on, mut was_given) = numbers();
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![1])));
    assert_eq!(soon(was_given.recv()).await, Some(1));

    // A call that is abandoned before anything has happened loses nothing.
    assert!(timeout(Duration::ZERO, pull.next(None)).await.is_err());
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![2])));
    assert_eq!(soon(was_given.recv()).await, Some(2));

    // The batch is ready, but its caller has gone away.
    {
        let mut next = std::pin::pin!(pull.next(None));
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        go_on.notify_one();
        assert_eq!(soon(was_given.recv()).await, Some(3));
    }
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![104])));
}

#[tokio::test]
async fn a_batch_that_arrives_does_not_count_for_another_call() {
    let (pull, go_on, mut was_given) = numbers();
    let mut first = std::pin::pin!(pull.next(None));
    assert!(timeout(Duration::ZERO, &mut first).await.is_err());
    go_on.notify_one();
    assert_eq!(soon(was_given.recv()).await, Some(1));
    {
        let mut second = std::pin::pin!(pull.next(None));
        assert!(timeout(Duration::ZERO, &mut second).await.is_err());
        go_on.notify_one();
        assert_eq!(soon(was_given.recv()).await, Some(102));
        // When the first batch arrives, the second one was taken and is still on its way.
        drop(pull.view.lock().await);
        assert_eq!(soon(first).await, Ok(Some(vec![1])));
    }
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![203])));
}
