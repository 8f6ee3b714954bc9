use std::time::Duration;

use tokio::time::timeout;

use super::{numbers, soon};

#[tokio::test]
async fn a_snapshot_does_not_wait_for_a_batch() {
    let (pull, go_on, _was_given) = numbers();
    let mut next = std::pin::pin!(pull.next(None));
    for _ in 0..100 {
        assert!(timeout(Duration::ZERO, &mut next).await.is_err());
        assert_eq!(soon(pull.snapshot()).await, Ok(0));
    }
    go_on.notify_one();
    assert_eq!(soon(next).await, Ok(Some(vec![1])), "the batch comes after the snapshots");
    assert_eq!(soon(pull.snapshot()).await, Ok(1));
}
