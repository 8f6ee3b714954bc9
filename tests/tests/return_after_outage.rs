//! Many clients lose their relay at once, and are back soon after it is, without all coming at the same moment.
//!
//! `SEALPOST_CLIENTS=1000` runs it with so many clients; each needs a registration and about ten open files. The figures are
//! printed.

#![cfg(test)]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here is a failed test")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::stream;
use sealpost_core::{ConnectionState, Event};
use sealpost_testkit::{Party, PartyDisk, RelayProcess, own_address, relay_binary};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const CLIENTS: usize = 100;
const OUTAGE: Duration = Duration::from_secs(8);
/// Clients that register at the same time.
const AT_ONCE: usize = 8;
const RETURN_TIMEOUT: Duration = Duration::from_secs(300);

fn clients() -> usize {
    std::env::var("SEALPOST_CLIENTS").map_or(CLIENTS, |clients| clients.parse().unwrap())
}

/// The way to the relay, which can be closed: then connections are refused, as by a host without a relay. It records when
/// each connection is made.
struct Gate {
    addr: SocketAddr,
    relay: SocketAddr,
    made: Arc<Mutex<Vec<Instant>>>,
    server: JoinSet<()>,
}

impl Gate {
    async fn open(addr: SocketAddr, relay: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (made, mut server) = (Arc::<Mutex<Vec<Instant>>>::default(), JoinSet::new());
        let notes = Arc::clone(&made);
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                notes.lock().unwrap().push(Instant::now());
                connections.spawn(async move {
                    let Ok(mut relay) = TcpStream::connect(relay).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut relay).await;
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self { addr, relay, made, server }
    }

    async fn close(mut self) -> (SocketAddr, SocketAddr) {
        self.server.shutdown().await;
        (self.addr, self.relay)
    }
}

/// How often a client has begun to connect, and when it was live at last.
#[derive(Default)]
struct Seen {
    attempts: usize,
    live: Option<Instant>,
}

/// Follows a client until it has been away and is live again.
async fn until_it_returns(party: &Party) -> Seen {
    let (mut events, mut seen, mut was_away) = (party.client.events(), Seen::default(), false);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Connection(ConnectionState::Offline)) => was_away = true,
            Ok(Event::Connection(ConnectionState::Connecting)) => seen.attempts += 1,
            Ok(Event::Connection(ConnectionState::Live)) if was_away => {
                seen.live = Some(Instant::now());
                break;
            }
            _ => {}
        }
    }
    seen
}

/// The memory of this process, in kilobytes.
fn memory_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().to_owned();
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_return_soon_after_an_outage_and_not_all_at_once() {
    let clients = clients();
    let dir = tempfile::tempdir().unwrap();
    let (data, log) = (dir.path().join("relay"), dir.path().join("relay.log"));
    let start = async |listen| RelayProcess::start(&relay_binary(), &data, listen, &log, None).await.unwrap();
    let relay = start(own_address()).await;
    let gate = Gate::open(own_address(), relay.addr()).await;
    let url = format!("http://{}", gate.addr);
    let (begin, before_kb) = (Instant::now(), memory_kb());
    let parties: Vec<Party> = stream::iter(0..clients)
        .map(|number| PartyDisk::new(dir.path(), &format!("client {number}"), &url).open_or_register())
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    for party in &parties {
        party.live().await;
    }
    println!(
        "{clients} clients are live after {:.1} s; {} kB each in this process",
        begin.elapsed().as_secs_f32(),
        memory_kb().saturating_sub(before_kb) / u64::try_from(clients).unwrap(),
    );

    let returns = futures_util::future::join_all(parties.iter().map(until_it_returns));
    let outage = async {
        let relay_addr = relay.addr();
        let (addr, _) = gate.close().await;
        relay.kill().await.unwrap();
        tokio::time::sleep(OUTAGE).await;
        let relay = start(relay_addr).await;
        let gate = Gate::open(addr, relay_addr).await;
        (relay, gate, Instant::now())
    };
    let both = async { tokio::join!(returns, outage) };
    let (seen, (relay, gate, opened)) = tokio::time::timeout(RETURN_TIMEOUT, both).await.expect("all return");

    let mut after_ms: Vec<_> = seen
        .iter()
        .map(|seen| seen.live.expect("live").saturating_duration_since(opened).as_millis())
        .collect();
    after_ms.sort_unstable();
    let mut in_each_tenth: BTreeMap<u128, usize> = BTreeMap::new();
    let made = gate.made.lock().unwrap().clone();
    for at in &made {
        *in_each_tenth.entry(at.saturating_duration_since(opened).as_millis() / 100).or_default() += 1;
    }
    let busiest = in_each_tenth.values().copied().max().unwrap_or(0);
    let attempts: usize = seen.iter().map(|seen| seen.attempts).sum();
    println!(
        "live again after {} ms (median {} ms); {} connections, at most {busiest} in 100 ms; {:.1} attempts each",
        after_ms[after_ms.len() - 1],
        after_ms[after_ms.len() / 2],
        made.len(),
        attempts as f32 / clients as f32,
    );
    assert!(busiest <= clients / 3, "a storm: {in_each_tenth:?}");
    assert!(made.len() <= clients * 2, "{} connections", made.len());
    // With waits that did not grow, there would be four times as many.
    assert!(attempts <= clients * 16, "{attempts} attempts");
    for party in parties {
        party.close().await;
    }
    drop((relay, gate));
}
