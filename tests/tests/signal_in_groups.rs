//! Real clients in a group, with Signal's own library in the middle: it reads what a client has encrypted with its chain, and a client reads what it
//! has encrypted with a chain of its own. Run by `./dev interop`, which installs the library.

#![cfg(test)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};

use sealpost_core::{GroupDetails, GroupPermissions};
use sealpost_protocol::SenderKeyDistributionMessage;
use sealpost_protocol::group::SenderKeyRecord;
use sealpost_testkit::{Interceptor, Proxy, World, eventually, open_database, texts};
use sealpost_wire::Frame;
use sealpost_wire::frame::Body;
use serde_json::{Value, json};

/// A release of the library that `tests/interop` installs.
const VERSION: &str = "0.103.0";

/// Signal's library in a process of its own, as a device of somebody.
struct Library {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Library {
    fn start() -> Self {
        let mut child = Command::new("node")
            .args(["peer.mjs", VERSION])
            .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut library = Self { child, input, output };
        library.ask(json!({"cmd": "init", "name": "signal", "dev": 1, "reg": 1}));
        library
    }

    fn ask(&mut self, request: Value) -> Value {
        writeln!(self.input, "{request}").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["ok"], true, "{answer}");
        answer["r"].take()
    }

    /// Asks for bytes in this field of the answer.
    fn bytes(&mut self, request: Value, field: &str) -> Vec<u8> {
        hex::decode(self.ask(request)[field].as_str().unwrap()).unwrap()
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Encrypts anew, with the chain of the library, what the client has encrypted with its own.
struct Between {
    library: Library,
    distribution: String,
    /// What the library has read.
    read: Vec<Vec<u8>>,
}

impl Between {
    fn encrypt_anew(&mut self, ciphertext: &[u8]) -> Vec<u8> {
        let ct = hex::encode(ciphertext);
        let decrypt = json!({"cmd": "groupDecrypt", "remote": "ada", "remoteDev": 1, "ct": ct});
        let plaintext = self.library.bytes(decrypt, "pt");
        let (dist, pt) = (&self.distribution, hex::encode(&plaintext));
        let ciphertext = self.library.bytes(json!({"cmd": "groupEncrypt", "dist": dist, "pt": pt}), "ct");
        self.read.push(plaintext);
        ciphertext
    }
}

/// Changes the messages of groups once the library is there.
#[derive(Clone, Default)]
struct Swap(Arc<Mutex<Option<Between>>>);

impl Interceptor for Swap {
    fn up(&self, mut frame: Frame) -> Vec<Frame> {
        if let Some(Body::Send(send)) = &mut frame.body
            && let Some(group) = &mut send.group
            && let Some(between) = self.0.lock().unwrap().as_mut()
        {
            group.ciphertext = between.encrypt_anew(&group.ciphertext).into();
        }
        vec![frame]
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Signal's library, which ./dev interop installs"]
async fn signals_library_reads_what_a_client_writes_in_a_group_and_is_read_by_one() {
    let (world, swap) = (World::start().await, Swap::default());
    let proxy = Proxy::start(world.addr(), swap.clone()).await;
    let (hers, his) = (world.disk("ada").through(&proxy.url()), world.disk("ben"));
    let (ada, ben) = (hers.clone().register().await, his.register().await);
    let invited = [ben.client.user_id()];
    let group = eventually("a group", async || {
        ada.client.create_group(GroupDetails::default(), GroupPermissions::default(), &invited).await.ok()
    })
    .await;
    let id = group.id();
    let invitation = eventually("an invitation", async || ben.client.group(id).await.ok()).await;
    invitation.accept().await.unwrap();
    eventually("two members", async || (group.members().await.ok()?.len() == 2).then_some(())).await;
    let thread = group.thread().await.unwrap();
    thread.send_text("one").await.unwrap();
    let there = eventually("the thread", async || ben.client.thread(id).await.ok()).await;
    eventually("the first message", async || (texts(&there).await == ["one"]).then_some(())).await;

    // The library gets her chain as a member does, and he gets the library's as hers.
    let his = ben.close().await;
    let database = open_database(hers.database(), &hers.key());
    let sql = "SELECT record FROM chain_out";
    let record: Vec<u8> = database.query_row(sql, [], |row| row.get(0)).unwrap();
    let chain = SenderKeyRecord::from_bytes(&record).unwrap();
    let bytes = hex::encode(chain.distribution_id().as_bytes());
    let parts = [&bytes[..8], &bytes[8..12], &bytes[12..16], &bytes[16..20], &bytes[20..]];
    let distribution = parts.join("-");
    let mut library = Library::start();
    let skdm = hex::encode(chain.create_distribution(&mut rand::rng()).output.serialize());
    library.ask(json!({"cmd": "skdmProcess", "remote": "ada", "remoteDev": 1, "skdm": skdm}));
    let skdm = library.bytes(json!({"cmd": "skdmCreate", "dist": distribution}), "skdm");
    let skdm = SenderKeyDistributionMessage::parse(&skdm).unwrap();
    let database = open_database(his.database(), &his.key());
    let sql = "SELECT record FROM chain_in";
    let record: Vec<u8> = database.query_row(sql, [], |row| row.get(0)).unwrap();
    let chain = SenderKeyRecord::from_bytes(&record).unwrap().process(&skdm).unwrap().next;
    assert_eq!(database.execute("UPDATE chain_in SET record = ?1", [&*chain.to_bytes()]).unwrap(), 1);
    drop(database);
    *swap.0.lock().unwrap() = Some(Between { library, distribution, read: Vec::new() });

    let ben = his.open().await;
    for text in ["two", "three", "four"] {
        thread.send_text(text).await.unwrap();
    }
    let there = ben.client.thread(id).await.unwrap();
    let all = ["one", "two", "three", "four"];
    eventually("what the library has encrypted", async || (texts(&there).await == all).then_some(())).await;
    let read = swap.0.lock().unwrap().take().unwrap().read;
    let contains = |text: &str| {
        read.iter().any(|plaintext| plaintext.windows(text.len()).any(|at| at == text.as_bytes()))
    };
    assert!(all[1..].iter().all(|text| contains(text)), "the library has read all of them");
}
