//! A group in which some have a client, and the others only acknowledge what they get.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use sealpost_core::{Event, GroupDetails, GroupPermissions, Thread, ThreadId, UserId};
use sealpost_testkit::{Forwarder, Party, PartyDisk};
use sealpost_wire::id::ThreadId as WireThread;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::arrivals::Arrivals;
use super::line::Line;
use super::member::Member;
use super::relay::{Relay, folder};

/// How many members have a client, if there are so many.
const CLIENTS: usize = 16;
/// How many register or connect at the same time.
const AT_ONCE: usize = 32;

pub(crate) struct Group {
    pub(crate) size: usize,
    pub(crate) thread: ThreadId,
    pub(crate) arrivals: Arc<Arrivals>,
    /// The members with a client; the first one has created the group.
    pub(crate) clients: Vec<Party>,
    /// The members without one.
    pub(crate) members: Vec<Member>,
    /// What the first client sends and receives goes through this one.
    pub(crate) first: Forwarder,
    /// What the other clients send and receive goes through this one.
    pub(crate) others: Forwarder,
    /// How long the parts of the beginning took.
    pub(crate) began: Began,
    /// These are dropped before the relay, which waits for sockets.
    _sockets: JoinSet<()>,
    _folder: TempDir,
    pub(crate) relay: Relay,
}

/// How long the parts of the beginning took.
pub(crate) struct Began {
    /// Until the relay had the group.
    pub(crate) created: Duration,
    /// Until all had accepted.
    pub(crate) accepted: Duration,
    /// Until all clients knew all members after that.
    pub(crate) known: Duration,
}

/// Waits until something is so, however long it takes.
pub(crate) async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    while !is_so().await {
        sleep(Duration::from_millis(5)).await;
    }
}

impl Group {
    /// A group of this many, all of whom have accepted.
    pub(crate) async fn of(size: usize) -> Self {
        let (relay, folder) = (Relay::start(&[]), folder());
        let address = relay.url.strip_prefix("http://").unwrap().parse().unwrap();
        let (first, others) = (Forwarder::start(address).await, Forwarder::start(address).await);
        let mut clients = Vec::new();
        for n in 0..size.min(CLIENTS) {
            let by = if n == 0 { &first } else { &others };
            clients.push(PartyDisk::new(folder.path(), &format!("client-{n}"), &by.url()).register().await);
        }
        let registering = stream::iter(clients.len()..size).map(|_| Member::register(&relay));
        let members: Vec<Member> = registering.buffer_unordered(AT_ONCE).collect().await;
        let (arrivals, mut sockets) = (Arc::new(Arrivals::default()), JoinSet::new());
        for member in &members {
            sockets.spawn(Line::connect(&relay.url, member).await.receive(Arc::clone(&arrivals)));
        }
        let begun = Instant::now();
        let thread = create(&clients, &members).await;
        let created = begun.elapsed();
        let accepting = Instant::now();
        for (n, client) in clients.iter().enumerate().skip(1) {
            until(async || client.client.group(thread).await.is_ok()).await;
            client.client.group(thread).await.unwrap().accept().await.unwrap();
            until(async || members_at(&clients[0], thread).await == n + 1).await;
        }
        let wire = WireThread::from_bytes(*thread.as_bytes());
        if let Some(one) = members.first() {
            let mut head = one.head(wire, &relay).await;
            for member in &members {
                head = member.accept(wire, head, &relay).await;
            }
        }
        let accepted = accepting.elapsed();
        let knowing = Instant::now();
        for client in &clients {
            until(async || members_at(client, thread).await == size).await;
        }
        let began = Began { created, accepted, known: knowing.elapsed() };
        for client in &clients {
            let (arrivals, events) = (Arc::clone(&arrivals), client.client.events());
            sockets.spawn(async move { arrivals.watch(events).await });
        }
        Self {
            size,
            thread,
            arrivals,
            clients,
            members,
            first,
            others,
            began,
            _sockets: sockets,
            _folder: folder,
            relay,
        }
    }

    /// The thread at a client.
    pub(crate) async fn at(&self, client: usize) -> Thread {
        self.clients[client].client.thread(self.thread).await.unwrap()
    }

    /// Waits until nothing is on its way any more.
    pub(crate) async fn rest(&self) {
        until(async || {
            let before = self.relay.spent().processor;
            sleep(Duration::from_millis(500)).await;
            self.relay.spent().processor - before <= Duration::from_millis(20)
        })
        .await;
    }
}

/// How many members a client knows.
pub(crate) async fn members_at(client: &Party, thread: ThreadId) -> usize {
    match client.client.group(thread).await {
        Ok(group) => group.members().await.unwrap().len(),
        Err(_) => 0,
    }
}

async fn create(clients: &[Party], members: &[Member]) -> ThreadId {
    let of_clients = clients.iter().skip(1).map(|client| client.client.user_id());
    let invited: Vec<UserId> = of_clients.chain(members.iter().map(|member| member.user)).collect();
    let mut events = clients[0].client.events();
    // The lists of devices are uploaded after the registration.
    let group = loop {
        let details = GroupDetails::default();
        let created = clients[0].client.create_group(details, GroupPermissions::default(), &invited).await;
        match created {
            Ok(group) => break group,
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    };
    while events.next().await.unwrap() != Ok(Event::ThreadAdded(group.id())) {}
    group.id()
}
