// Long conversations, with alternating senders, and over a network that loses, delays, reorders and repeats messages.
import test from 'node:test';
import assert from 'node:assert/strict';
import { deliver, forBothRoles, introduce, refuse } from './lib/pairs.mjs';
import { Random } from './lib/random.mjs';

const TURNS = 420;

forBothRoles(test, `${TURNS} messages in turns`, async ({ alice, bob, pairing }) => {
  await alice.meet(bob, { kyber: pairing.kem });
  let [from, to, epoch] = [alice, bob, 0];
  for (let turn = 0; turn < TURNS; turn++) {
    const message = await from.send(to, `turn ${turn}`);
    assert.equal(message.type, turn === 0 ? 3 : 2);
    if (message.type === 2) epoch = await check(from, message, pairing);
    await deliver(message, to);
    [from, to] = [to, from];
  }
  if (pairing.spqr) assert.ok(epoch >= 4, `only ${epoch} epochs`);
});

/** Checks that the message has the version of the pairing, with or without SPQR. Returns its epoch. */
async function check(device, { ct }, { number, spqr }) {
  const { version, pq } = await device.call('parseSignal', { ct });
  assert.equal(version, number);
  assert.equal(pq !== undefined, spqr);
  return spqr ? epochOf(Buffer.from(pq, 'hex')) : 0;
}

/** The post-quantum part starts with a version byte, followed by the epoch as a varint. */
function epochOf(pq) {
  let [epoch, shift, at] = [0, 0, 1];
  for (;;) {
    const byte = pq[at++];
    epoch |= (byte & 0x7f) << shift;
    if (byte < 0x80) return epoch;
    shift += 7;
  }
}

forBothRoles(test, 'a bad network', async ({ t, alice, bob, pairing }) => {
  const random = new Random(t, t.name);
  await introduce(alice, bob, pairing);
  const ways = [{ from: alice, to: bob, held: [] }, { from: bob, to: alice, held: [] }];
  let sent = 0;
  while (sent < 400) {
    const way = ways[random.between(0, 1)];
    const burst = random.between(1, 8);
    for (let i = 0; i < burst; i++) {
      way.held.push({ ...(await way.from.send(way.to, `message ${sent++}`)), age: 0 });
    }
    way.held = await arrive(way, random);
    if (random.chance(0.05)) await way.to.restart();
  }
});

/** Delivers some of the messages in flight, in random order. Returns those that are still in flight. */
async function arrive({ to, held }, random) {
  const later = [];
  for (const message of random.shuffle(held)) {
    // A receiver deletes a chain when five newer ones exist, so no message is late by more than three chains.
    if (message.age < 3 && random.chance(0.3)) {
      later.push({ ...message, age: message.age + 1 });
    } else if (message.spent) {
      await refuse(message, to, 'duplicate');
    } else if (!random.chance(0.15)) {
      await deliver(message, to);
      if (random.chance(0.1)) later.push({ ...message, age: message.age + 1, spent: true });
    }
  }
  return later;
}
