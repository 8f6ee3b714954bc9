// Sender keys: a message to a group is encrypted once.
import test from 'node:test';
import assert from 'node:assert/strict';
import { VERSIONS, forBothRoles } from './lib/pairs.mjs';
import { Random } from './lib/random.mjs';
import { change, fields } from './lib/protobuf.mjs';

const DIST = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
const OTHER_DIST = 'e2e2e2e2-7000-11eb-b32a-33b8a8a487a6';
const MAX_JUMP = 25_000;
const MAX_KEPT = 2_000;

const hex = (text) => Buffer.from(text).toString('hex');

/** `alice` distributes her chain to `bob`. */
async function handOut(alice, bob, dist = DIST) {
  const { skdm } = await alice.call('skdmCreate', { dist });
  await bob.call('skdmProcess', { ...alice.remote, skdm });
  return skdm;
}

async function say(alice, text, dist = DIST) {
  const { type, ct } = await alice.call('groupEncrypt', { dist, pt: hex(text) });
  assert.equal(type, 7);
  return { from: alice, ct, text };
}

async function hear(bob, { from, ct, text }) {
  assert.deepEqual(await bob.call('groupDecrypt', { ...from.remote, ct }), { pt: hex(text) });
}

async function refuse(bob, { from, ct }, verdict) {
  const before = await bob.call('save');
  await assert.rejects(bob.call('groupDecrypt', { ...from.remote, ct }), { verdict });
  assert.deepEqual(await bob.call('save'), before);
}

forBothRoles(test, 'a group with gaps', async ({ t, alice, bob }) => {
  const random = new Random(t, t.name);
  await handOut(alice, bob);
  let [held, sent] = [[], 0];
  while (sent < 400) {
    for (let n = random.between(1, 10); n > 0; n--) held.push(await say(alice, `message ${sent++}`));
    const later = [];
    for (const message of random.shuffle(held)) {
      if (message.spent) {
        await refuse(bob, message, 'duplicate');
      } else if (random.chance(0.3)) {
        later.push(message);
      } else if (random.chance(0.9)) {
        await hear(bob, message);
        if (random.chance(0.1)) later.push({ ...message, spent: true });
      }
    }
    held = later;
    if (random.chance(0.1)) await random.shuffle([alice, bob])[0].restart();
  }
}, VERSIONS);

forBothRoles(test, 'a chain is handed out as it is now, and does not go back', async ({ alice, bob }) => {
  const first = await alice.call('skdmCreate', { dist: DIST });
  const before = await say(alice, 'before');
  await handOut(alice, bob);
  await refuse(bob, before, 'duplicate');
  await hear(bob, await say(alice, 'after'));
  await bob.call('skdmProcess', { ...alice.remote, skdm: first.skdm });
  await refuse(bob, before, 'duplicate');
  await hear(bob, await say(alice, 'and on'));
}, VERSIONS);

forBothRoles(test, 'chains that nobody handed out', async ({ alice, bob }) => {
  await assert.rejects(alice.call('groupEncrypt', { dist: DIST, pt: '00' }), { verdict: 'no_sender_key' });
  await alice.call('skdmCreate', { dist: DIST });
  const unknown = await say(alice, 'unknown');
  await refuse(bob, unknown, 'no_sender_key');
  await handOut(alice, bob, OTHER_DIST);
  await refuse(bob, unknown, 'no_sender_key');
  await hear(bob, await say(alice, 'of the other', OTHER_DIST));
  // The same chain, received from another device, belongs to another sender.
  await refuse(bob, { ...unknown, from: { remote: { ...alice.remote, remoteDev: 77 } } }, 'no_sender_key');
}, VERSIONS);

forBothRoles(test, 'five chains of one sender', async ({ alice, bob }) => {
  const messages = [];
  for (let chain = 0; chain < 6; chain++) {
    // With an empty store, a new chain is created for the same distribution.
    await alice.call('init', { name: alice.name, dev: alice.dev, reg: alice.reg });
    await handOut(alice, bob);
    messages.push(await say(alice, `chain ${chain}`));
  }
  await refuse(bob, messages[0], 'no_sender_key');
  for (const message of messages.slice(1)) await hear(bob, message);
}, VERSIONS);

forBothRoles(test, `a jump of ${MAX_JUMP}, and ${MAX_KEPT} keys kept`, async ({ alice, bob }) => {
  await handOut(alice, bob);
  const messages = [];
  for (let n = 0; n <= MAX_JUMP + 1; n++) messages.push(await say(alice, `${n}`));
  await refuse(bob, messages[MAX_JUMP + 1], 'too_far_ahead');
  await hear(bob, messages[MAX_JUMP]);
  await hear(bob, messages[MAX_JUMP - MAX_KEPT]);
  await refuse(bob, messages[MAX_JUMP - MAX_KEPT - 1], 'duplicate');
  await bob.restart();
  await hear(bob, messages[MAX_JUMP - 1]);
  await hear(bob, messages[MAX_JUMP + 1]);
}, VERSIONS.slice(0, 1));

forBothRoles(test, 'damaged messages', async ({ alice, bob }) => {
  await handOut(alice, bob);
  const message = await say(alice, 'whole');
  const bytes = Buffer.from(message.ct, 'hex');
  const [head, body, signature] = [bytes.subarray(0, 1), bytes.subarray(1, -64), bytes.subarray(-64)];
  const again = (version, form, end = signature) => ({ ...message, ct: Buffer.concat([version, form, end]).toString('hex') });
  const flip = (part, at) => Buffer.from(part.map((byte, i) => (i === at ? byte ^ 1 : byte)));

  await refuse(bob, again(head, body, flip(signature, 0)), 'refused');
  await refuse(bob, again(head, flip(body, body.length - 1)), 'refused');
  await refuse(bob, again(Buffer.of(0x32), body), 'refused'); // The low half is signed.
  await refuse(bob, again(Buffer.of(0x23), body), 'malformed');
  await refuse(bob, again(Buffer.of(0x43), body), 'malformed');
  await refuse(bob, again(head, Buffer.alloc(0), signature.subarray(1)), 'malformed');
  await refuse(bob, again(head, Buffer.from('ffff', 'hex')), 'malformed');
  for (const { number } of fields(body)) {
    await refuse(bob, again(head, change(body, { [number]: undefined })), 'malformed');
  }
  await refuse(bob, again(head, change(body, { 1: Buffer.alloc(15) })), 'malformed');
  await refuse(bob, again(head, change(body, { 1: Buffer.alloc(16) })), 'no_sender_key');
  await refuse(bob, again(head, change(body, { 2: 7 })), 'no_sender_key');
  await refuse(bob, again(head, change(body, { 3: 1 })), 'refused');
  await hear(bob, message);
}, VERSIONS);

forBothRoles(test, 'damaged distribution messages', async ({ alice, bob }) => {
  const { skdm } = await alice.call('skdmCreate', { dist: DIST });
  const bytes = Buffer.from(skdm, 'hex');
  const [head, body] = [bytes.subarray(0, 1), bytes.subarray(1)];
  const crafts = {
    'too short': [head, body.subarray(0, 63)],
    'too old': [Buffer.of(0x23), body],
    'too new': [Buffer.of(0x43), body],
    'a short chain key': [head, change(body, { 4: Buffer.alloc(31) })],
    'a long chain key': [head, change(body, { 4: Buffer.alloc(33) })],
    'a short id': [head, change(body, { 1: Buffer.alloc(15) })],
    'a long signing key': [head, change(body, { 5: Buffer.alloc(34, 5) })],
    'another kind of key': [head, change(body, { 5: Buffer.alloc(33, 6) })],
  };
  for (const { number } of fields(body)) crafts[`no field ${number}`] = [head, change(body, { [number]: undefined })];
  const before = await bob.call('save');
  for (const [name, parts] of Object.entries(crafts)) {
    const crafted = Buffer.concat(parts).toString('hex');
    await assert.rejects(bob.call('skdmProcess', { ...alice.remote, skdm: crafted }), { verdict: 'malformed' }, name);
  }
  assert.deepEqual(await bob.call('save'), before);
}, VERSIONS);
