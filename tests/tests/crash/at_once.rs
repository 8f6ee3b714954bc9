//! A message to a person with whom there is a session leaves with the commit that has queued it.

use tokio::time::sleep;

use super::*;

/// Lines that are sent one after the other.
const SENT: u32 = 40;

/// The client aborts if it needs further transactions to seal so many lines. It needs some when it starts, and when it happens to
/// look at its outbox at the moment at which a line is queued.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_known_device_is_sealed_in_the_transaction_that_queues_it() {
    let world = World::start().await;
    let (ada, ben) = (world.party("ada").await, world.party("ben").await);
    // Both have written, so each has accepted the thread.
    for (party, other) in [(&ada, &ben), (&ben, &ada)] {
        write(party, &party.thread_with(other).await, 0).await;
    }
    let user = ben.client.user_id();
    // Nothing of his causes a receipt or another answer.
    let (_ada, _ben) = (ada.close().await, ben.close().await);
    let before = messages(&world);
    let fault = format!("{}:{}", Station::SealBeforeCommit.name(), SENT / 2);
    let mut child = crash_client(world.dir(), &world.url(), Some(user), &fault);
    let sending = timeout(TIMEOUT, async {
        while messages(&world) < before + SENT {
            assert_eq!(child.try_wait().unwrap(), None, "after {} lines", messages(&world) - before);
            sleep(Duration::from_millis(20)).await;
        }
    });
    sending.await.expect("all lines are sent");
    child.kill().await.unwrap();
}

/// The number of messages that the relay keeps for somebody.
fn messages(world: &World) -> u32 {
    relay_db(world).query_row("SELECT count(*) FROM inbox", [], |row| row.get(0)).unwrap()
}
