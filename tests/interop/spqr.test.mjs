// Messages whose post-quantum part was tampered with are refused by both, at any point of an epoch, and change nothing.
import test from 'node:test';
import assert from 'node:assert/strict';
import { PAIRINGS, deliver, forBothRoles, introduce, refuse } from './lib/pairs.mjs';
import { change, field } from './lib/protobuf.mjs';

/** A version byte, the epoch and the index as varints, a type byte, and the fields of that type. All numbers are small. */
const TAMPERINGS = {
  'nothing': () => undefined,
  'version 0': (pq) => Buffer.of(0, ...pq.subarray(1)),
  'version 2': (pq) => Buffer.of(2, ...pq.subarray(1)),
  'a version alone': () => Buffer.of(1),
  'epoch 0': (pq) => Buffer.of(1, 0, ...pq.subarray(2)),
  'a later epoch': (pq) => Buffer.of(1, pq[1] + 2, ...pq.subarray(2)),
  'a later index': (pq) => Buffer.of(1, pq[1], pq[2] + 1, ...pq.subarray(3)),
  'an index too far ahead': (pq) => Buffer.of(1, pq[1], 0xff, 0xff, 0xff, 0xff, 0x0f, ...pq.subarray(3)),
  'an epoch without end': (pq) => Buffer.of(1, ...Buffer.alloc(11, 0xff), ...pq.subarray(2)),
  'an unknown type': (pq) => Buffer.of(...pq.subarray(0, 3), 7, ...pq.subarray(4)),
  'a chunk cut short': (pq) => pq.subarray(0, 20),
};

forBothRoles(test, 'tampering', async ({ t, alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  for (const round of Array(90).keys()) {
    const message = await alice.send(bob, `round ${round}`);
    if (round % 15 === 0) await t.test(`round ${round}`, () => tamper(message, bob));
    await deliver(message, bob);
    await deliver(await bob.send(alice, 'and back'), alice);
  }
}, PAIRINGS.filter(({ spqr }) => spqr));

async function tamper(message, to) {
  const bytes = Buffer.from(message.ct, 'hex');
  const [body, mac] = [bytes.subarray(1, -8), bytes.subarray(-8)];
  const pq = field(body, 5);
  assert.equal(pq[0], 1);
  for (const tampering of Object.values(TAMPERINGS)) {
    const changed = Buffer.concat([bytes.subarray(0, 1), change(body, { 5: tampering(pq) }), mac]);
    if (changed.equals(bytes)) continue; // There is nothing to remove.
    await refuse({ ...message, ct: changed.toString('hex') }, to, 'refused');
  }
}
