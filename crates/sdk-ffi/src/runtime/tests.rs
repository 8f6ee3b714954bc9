use std::time::Duration;

use tokio::sync::oneshot;

use super::*;

#[tokio::test]
async fn work_continues_if_its_caller_goes_away() {
    let (begin, begun) = oneshot::channel::<()>();
    let (done, was_done) = oneshot::channel();
    let call = run(async move {
        let _ = begun.await;
        let _ = done.send(());
        Ok(())
    });
    // It is polled once, so that it has started.
    assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
    begin.send(()).unwrap();
    was_done.await.unwrap();
}

#[tokio::test]
async fn a_token_cancels_the_wait_before_and_during_a_call() {
    let cancel = CancelToken::new().unwrap();
    let waiting = tokio::spawn(run_until(Some(Arc::clone(&cancel)), std::future::pending::<Result<()>>()));
    cancel.cancel().unwrap();
    assert_eq!(waiting.await.unwrap(), Err(SealpostError::Cancelled));
    let again = run_until(Some(cancel), std::future::pending::<Result<()>>());
    assert_eq!(again.await, Err(SealpostError::Cancelled));
}

#[tokio::test]
async fn a_panic_is_reported_as_a_bug() {
    let result = run(async { panic!("on purpose") as Result<()> }).await;
    assert_eq!(result, Err(SealpostError::bug("a panic in a call")));
}

#[tokio::test]
async fn abandoned_work_is_cancelled() {
    let (alive, mut ended) = oneshot::channel::<()>();
    let call = run_while_wanted(None, async move {
        let _alive = alive;
        std::future::pending::<Result<()>>().await
    });
    assert!(tokio::time::timeout(Duration::ZERO, call).await.is_err());
    assert!((&mut ended).await.is_err());
}

#[tokio::test]
async fn cancelled_work_is_gone_before_the_call_returns() {
    let cancel = CancelToken::new().unwrap();
    let held = Arc::new(());
    let work = {
        let held = Arc::clone(&held);
        async move {
            let _held = held;
            std::future::pending::<Result<()>>().await
        }
    };
    let waiting = tokio::spawn(run_while_wanted(Some(Arc::clone(&cancel)), work));
    cancel.cancel().unwrap();
    assert_eq!(waiting.await.unwrap(), Err(SealpostError::Cancelled));
    assert_eq!(Arc::strong_count(&held), 1);
}
