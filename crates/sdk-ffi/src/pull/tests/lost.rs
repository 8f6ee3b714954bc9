use std::time::Duration;

use tokio::time::timeout;

use super::{numbers, soon};

#[tokio::test]
async fn what_was_on_its_way_to_nobody_is_made_good_for() {
    let (pull, go_on, mut was_given) = numbers();
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![1])));
    assert_eq!(soon(was_given.recv()).await, Some(1));

    // Nothing is lost when nothing came yet.
    assert!(timeout(Duration::ZERO, pull.next(None)).await.is_err());
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![2])));
    assert_eq!(soon(was_given.recv()).await, Some(2));

    // The answer is there, but nobody asks for it any more.
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
async fn who_gets_a_batch_says_nothing_about_that_of_another() {
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
        // The second batch was taken, and waits for its caller, when the first one arrives.
        drop(pull.view.lock().await);
        assert_eq!(soon(first).await, Ok(Some(vec![1])));
    }
    go_on.notify_one();
    assert_eq!(soon(pull.next(None)).await, Ok(Some(vec![203])));
}
