// Measures Signal's own library, called as an app on Node calls it, with the operations of crates/protocol/benches. Prints
// `name<TAB>nanoseconds<TAB>nanoseconds without the overhead of a call through Node`; the first two rows are that overhead.
import { randomUUID } from 'node:crypto';
import { Store } from './bench/stores.mjs';
import { S } from './bench/library.mjs';
import { asyncRow, measureEmpty, measureEmptyAsync, row } from './bench/timing.mjs';

const NOW = new Date(1_764_000_000_000);
const TEXT = new Uint8Array(79).fill(7);
const address = (name) => S.ProtocolAddress.new(name, 1);

/** A device with a bundle of each kind of key. */
class Device {
  constructor(name) {
    this.address = address(name);
    this.store = new Store(S.PrivateKey.generate(), 1);
    const identity = this.store.identities.privateKey;
    const [signed, oneTime, kem] = [S.PrivateKey.generate(), S.PrivateKey.generate(), S.KEMKeyPair.generate()];
    const signedPublic = signed.getPublicKey();
    const signature = identity.sign(signedPublic.serialize());
    const kemSignature = identity.sign(kem.getPublicKey().serialize());
    this.store.signedPreKeys.row = S.SignedPreKeyRecord.new(1, 1, signedPublic, signed, signature);
    this.store.preKeys.row = S.PreKeyRecord.new(1, oneTime.getPublicKey(), oneTime);
    this.store.kemPreKeys.row = S.KyberPreKeyRecord.new(1, 1, kem, kemSignature);
    const keys = [1, oneTime.getPublicKey(), 1, signedPublic, signature, identity.getPublicKey()];
    this.bundle = S.PreKeyBundle.new(1, 1, ...keys, 1, kem.getPublicKey(), kemSignature);
  }

  meet(peer) {
    const { sessions, identities } = this.store;
    return S.processPreKeyBundle(peer.bundle, peer.address, this.address, sessions, identities, NOW);
  }

  /** The message as `peer` receives it, parsed from its bytes. */
  async send(peer) {
    const { sessions, identities } = this.store;
    return parse(await S.signalEncrypt(TEXT, peer.address, this.address, sessions, identities, NOW));
  }

  receive(peer, message) {
    const { sessions, identities, preKeys, signedPreKeys, kemPreKeys } = this.store;
    if (message instanceof S.SignalMessage) {
      return S.signalDecrypt(message, peer.address, this.address, sessions, identities);
    }
    const keys = [preKeys, signedPreKeys, kemPreKeys];
    return S.signalDecryptPreKey(message, peer.address, this.address, sessions, identities, ...keys);
  }
}

function parse(message) {
  const kind = message.type() === S.CiphertextMessageType.PreKey ? S.PreKeySignalMessage : S.SignalMessage;
  return kind.deserialize(message.serialize());
}

const twoDevices = () => [new Device('9d0652a3-dcc3-4d11-975f-74d61598733f'), new Device('796abedb-ca4e-4f18-8803-1fde5b921f9f')];

/** Two devices that have both received a message. The first one sends next. */
async function acquainted() {
  const [alice, bob] = twoDevices();
  await alice.meet(bob);
  await bob.receive(alice, await alice.send(bob));
  await alice.receive(bob, await bob.send(alice));
  return [alice, bob];
}

async function sendMany(alice, bob, count) {
  const messages = [];
  for (let n = 0; n < count; n++) messages.push(await alice.send(bob));
  return messages;
}

async function overheads() {
  const [alice] = twoDevices();
  measureEmpty(() => alice.address.deviceId());
  // This reads one row of a store, and serializes a message of 150 bytes, without any cryptography.
  const distribution = randomUUID();
  const create = () => S.SenderKeyDistributionMessage.create(alice.address, distribution, alice.store.senderKeys);
  await create();
  await measureEmptyAsync(create);
}

async function keys() {
  row('identity, 100 + 100 pre-keys', () => {
    const identity = S.PrivateKey.generate();
    for (let n = 0; n < 100; n++) {
      S.PrivateKey.generate().getPublicKey();
      identity.sign(S.KEMKeyPair.generate().getPublicKey().serialize());
    }
  }, { calls: 601 });
  const [alice, bob] = twoDevices();
  const [ours, theirs] = [alice, bob].map(({ address, store }) =>
    [Buffer.from(address.name()), store.identities.privateKey.getPublicKey()]);
  row('safety number', () => S.Fingerprint.new(5200, 2, ...ours, ...theirs));
}

async function handshake() {
  const [alice, bob] = twoDevices();
  await asyncRow('initiate (PQXDH), bundle verified', () => alice.meet(bob), {
    prepare: () => alice.store.sessions.rows.clear(),
  });
  await alice.meet(bob);
  const first = await alice.send(bob);
  const prepare = () => bob.store.sessions.rows.clear();
  await asyncRow('accept (PQXDH), with first message', () => bob.receive(alice, first), { prepare });
}

async function talk() {
  let [alice, bob] = await acquainted();
  await asyncRow('encrypt, one way', () => alice.send(bob));

  [alice, bob] = await acquainted();
  await bob.receive(alice, await alice.send(bob));
  let [message] = await sendMany(alice, bob, 1);
  let kept = new Map(bob.store.sessions.rows);
  const prepare = () => { bob.store.sessions.rows = new Map(kept); };
  await asyncRow('decrypt, one way', () => bob.receive(alice, message), { prepare });

  [alice, bob] = await acquainted();
  message = await alice.send(bob);
  kept = new Map(bob.store.sessions.rows);
  await asyncRow('decrypt, change of direction', () => bob.receive(alice, message), { prepare });

  [alice, bob] = await acquainted();
  const pingPong = async () => {
    await bob.receive(alice, await alice.send(bob));
    await alice.receive(bob, await bob.send(alice));
  };
  await asyncRow('ping-pong, each message', pingPong, { count: 2, calls: 4 });

  [alice, bob] = await acquainted();
  const messages = await sendMany(alice, bob, 1000);
  kept = new Map(bob.store.sessions.rows);
  const reversed = async () => {
    for (const message of messages.toReversed()) await bob.receive(alice, message);
  };
  await asyncRow('1,000 in reverse order, each message', reversed, { prepare, count: 1000, calls: 1000 });

  for (const [name, held] of [['100', 100], ['2,000', 2000]]) {
    [alice, bob] = await acquainted();
    const overtaken = await sendMany(alice, bob, held + 1);
    await bob.receive(alice, overtaken[held]);
    kept = new Map(bob.store.sessions.rows);
    await asyncRow(`late message, ${name} keys held`, () => bob.receive(alice, overtaken[held / 2]), { prepare });
  }
}

async function records() {
  const [alice, bob] = await acquainted();
  for (let n = 0; n < 20; n++) {
    await bob.receive(alice, await alice.send(bob));
    await alice.receive(bob, await bob.send(alice));
  }
  const record = bob.store.sessions.only();
  const bytes = record.serialize();
  row('session record to bytes', () => record.serialize());
  row('session record from bytes', () => S.SessionRecord.deserialize(bytes));
  console.error(`Signal's record of one session has ${bytes.length} bytes`);
}

async function groups() {
  const [alice, bob] = twoDevices();
  const distribution = randomUUID();
  const created = await S.SenderKeyDistributionMessage.create(alice.address, distribution, alice.store.senderKeys);
  await S.processSenderKeyDistributionMessage(alice.address, created, bob.store.senderKeys);
  const encrypt = () => S.groupEncrypt(alice.address, distribution, alice.store.senderKeys, TEXT);
  const message = (await encrypt()).serialize();
  await asyncRow('sender key, encrypt', async () => (await encrypt()).serialize());
  const kept = new Map(bob.store.senderKeys.rows);
  const prepare = () => { bob.store.senderKeys.rows = new Map(kept); };
  await asyncRow('sender key, decrypt', () => S.groupDecrypt(alice.address, bob.store.senderKeys, message), { prepare });
}

/** A certificate of `device`, and the trust root that has issued it. */
function certified(device) {
  const [root, server] = [S.PrivateKey.generate(), S.PrivateKey.generate()];
  const serverCertificate = S.ServerCertificate.new(1, server.getPublicKey(), root);
  const who = [device.address.name(), '+15550100', 1, device.store.identities.privateKey.getPublicKey()];
  const certificate = S.SenderCertificate.new(...who, NOW.getTime(), serverCertificate, server);
  return [certificate, root.getPublicKey()];
}

async function envelopes() {
  const [alice, bob] = await acquainted();
  const [certificate, root] = certified(alice);
  const { sessions, identities } = alice.store;
  const message = await S.signalEncrypt(TEXT, bob.address, alice.address, sessions, identities, NOW);
  const content = S.UnidentifiedSenderMessageContent.new(message, certificate, S.ContentHint.Resendable, null);
  await identities.saveIdentity(bob.address, bob.store.identities.privateKey.getPublicKey());

  const seal = () => S.sealedSenderEncrypt(content, bob.address, identities);
  const open = async (envelope) => {
    const opened = await S.sealedSenderDecryptToUsmc(envelope, bob.store.identities);
    return opened.senderCertificate().validate(root, NOW.getTime());
  };
  await asyncRow('sealed v1, seal', seal);
  const envelope = await seal();
  await asyncRow('sealed v1, open and verify', () => open(envelope));

  const session = sessions.only();
  for (const [name, count] of [['1', 1], ['10, each', 10], ['100, each', 100], ['1,000, each', 1000]]) {
    const recipients = [];
    for (let n = 0; n < count; n++) {
      const recipient = address(`00000000-0000-4000-8000-${n.toString(16).padStart(12, '0')}`);
      await identities.saveIdentity(recipient, S.PrivateKey.generate().getPublicKey());
      await sessions.saveSession(recipient, session);
      recipients.push(recipient);
    }
    const options = { content, recipients, identityStore: identities, sessionStore: sessions };
    await asyncRow(`sealed v2, to ${name}`, () => S.sealedSenderMultiRecipientEncrypt(options), { count });
  }
  const options = { content, recipients: [bob.address], identityStore: identities, sessionStore: sessions };
  const sent = await S.sealedSenderMultiRecipientEncrypt(options);
  const received = S.sealedSenderMultiRecipientMessageForSingleRecipient(sent);
  await asyncRow('sealed v2, open and verify', () => open(received));
}

for (const part of [overheads, keys, handshake, talk, records, groups, envelopes]) await part();
