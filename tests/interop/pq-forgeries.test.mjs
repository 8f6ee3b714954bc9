// Sends forged post-quantum parts to a device of ours and to one of theirs, each in a message that is valid in every other
// respect, including its MAC. Both must give the same verdict, except for known differences, and change nothing.
//
// The sender is a device of version 0.103.0 that has received no answer yet, so a test knows the keys of the first epoch.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Device } from './lib/device.mjs';
import { Forger, NO_SALT } from './lib/forger.mjs';
import { deliver, refuse } from './lib/pairs.mjs';
import { chunk, pqPart } from './lib/pq.mjs';
import { change } from './lib/protobuf.mjs';

const [ADA, BEN, EVE] = [
  '9d0652a3-dcc3-4d11-975f-74d61598733f', '796abedb-ca4e-4f18-8803-1fde5b921f9f', 'c0ffee00-ca4e-4f18-8803-1fde5b921f9f',
];
const VERSION = '0.103.0';
const MAX_JUMP = 25_000;
const MAX_KEPT = 2_000;
const [HEADER, EK, CT1] = [1, 2, 5];

/** A device that has started sessions with a device of ours and with one of theirs: two receivers, each with a forger. */
async function setUp({ from = {}, to = {} } = {}) {
  const sender = await Device.theirs(VERSION, { name: BEN, dev: 2, reg: 2, ...from });
  const identityPriv = to.hasSameIdentity ? sender.identityPriv : undefined;
  const ours = await Device.ours({ name: to.name ?? ADA, dev: 1, reg: 1, identityPriv, policy: to.policy });
  const theirs = await Device.theirs(VERSION, { name: to.name ?? ADA, dev: 3, reg: 3, identityPriv });
  const receivers = [];
  for (const device of [ours, theirs]) {
    await sender.meet(device);
    const { ct } = await sender.send(device, 'never sent');
    receivers.push({ device, forger: await Forger.of(sender, device), first: Buffer.from(ct, 'hex') });
  }
  const forge = ({ forger, first }, craft) => {
    const message = forger.write(craft(forger));
    const ct = Buffer.concat([first.subarray(0, 1), change(first.subarray(1), { 4: Buffer.from(message.ct, 'hex') })]);
    return { ...message, type: 3, ct: ct.toString('hex'), from: sender };
  };
  /** Both receivers decrypt the forged message, or give this verdict. Of two verdicts, ours gives the first one. */
  const expect = async (outcome, craft = () => ({})) => {
    for (const [at, receiver] of receivers.entries()) {
      const message = forge(receiver, craft);
      const verdict = Array.isArray(outcome) ? outcome[at] : outcome;
      if (verdict === 'forged') {
        await deliver(message, receiver.device);
        receiver.forger.skip();
      } else {
        await refuse(message, receiver.device, verdict);
      }
    }
  };
  const skip = (count) => receivers.forEach(({ forger }) => forger.skip(count));
  return { receivers, expect, skip, retire: () => [sender, ours, theirs].forEach((device) => device.retire()) };
}

/** A post-quantum part with its key, and one without a key. */
const part = (changes) => ({ pqIndex }) => ({ pq: pqPart({ index: pqIndex, ...changes }) });
const withoutKey = (pq) => () => ({ pq, salt: NO_SALT });

/** Before a message of version 1 has been decrypted, a later version can still be negotiated, but not an earlier one. */
const AT_FIRST = {
  'no part': ['refused', withoutKey(undefined)],
  'version 0': ['refused', withoutKey(pqPart({ version: 0, index: 0 }))],
  'version 0 alone': ['refused', withoutKey(Buffer.of(0))],
  'a later version of epoch 0': ['refused', part({ version: 2, epoch: 0 })],
  'a later version with another key': ['refused', () => ({ pq: pqPart({ version: 2, index: 1 }), salt: NO_SALT })],
  'a later version': ['forged', part({ version: 2 })],
  'a later version, of any epoch': ['forged', part({ version: 255, epoch: 77 })],
  'a later version without a key': ['forged', withoutKey(pqPart({ version: 2, index: 0 }))],
  'a later version that only begins as we know it': ['forged', ({ pqIndex }) => ({ pq: Buffer.of(9, 1, pqIndex) })],
};

/** Afterwards, the version is 1. */
const AFTERWARDS = {
  'version 1': ['forged', part({})],
  'no part': ['refused', withoutKey(undefined)],
  'version 0': ['refused', withoutKey(pqPart({ version: 0, index: 0 }))],
  'a later version': ['refused', part({ version: 2 })],
  'a later version without a key': ['refused', withoutKey(pqPart({ version: 2, index: 0 }))],
  // Anyone who has the classical half of a state can forge this. Ours requires SPQR and has already received a key.
  'index 0: no key': [['refused', 'forged'], withoutKey(pqPart({ index: 0 }))],
  'index 0, and a key': ['refused', part({ index: 0 })],
  'the key of another index': ['refused', ({ pqChain, pqIndex }) => ({ salt: pqChain.key(pqIndex + 1) })],
  'an index that was used': ['refused', ({ pqChain }) => ({ pq: pqPart({ index: 2 }), salt: pqChain.key(2) })],
  'an index that was skipped': ['forged', ({ pqChain }) => ({ pq: pqPart({ index: 1 }), salt: pqChain.key(1) })],
  'an index beyond 32 bits': ['refused', part({ index: 2 ** 32 + 7 })],
  'epoch 0': ['refused', part({ epoch: 0 })],
  'the next epoch': ['refused', part({ epoch: 2 })],
  'a much later epoch': ['refused', part({ epoch: 2 ** 40 })],
  'a version alone': ['refused', () => ({ pq: Buffer.of(1) })],
  'no type': ['refused', ({ pqIndex }) => ({ pq: Buffer.of(1, 1, pqIndex) })],
  'an unknown type': ['refused', part({ type: 7 })],
  'a chunk that is missing': ['refused', part({ type: HEADER })],
  'a chunk that is short': ['refused', part({ type: HEADER, chunk: chunk(0, Buffer.alloc(31)) })],
  'a chunk with too large a number': ['refused', part({ type: HEADER, chunk: chunk(65_536) })],
  'bytes behind the part': ['forged', part({ chunk: Buffer.from('and more') })],
  'numbers longer than need be': ['forged', ({ pqIndex }) => ({
    pq: Buffer.of(1, 0x81, 0x80, 0x00, pqIndex | 0x80, 0x80, 0x80, 0x80, 0x80, 0x00, 0),
  })],
  'a number with more than 64 bits': ['forged', ({ pqIndex }) => ({
    pq: Buffer.of(1, 0x81, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02, pqIndex, 0),
  })],
  'a chunk of a key whose header is not there': ['forged', part({ type: EK, chunk: chunk(3) })],
  'a chunk that only the other side sends': ['forged', part({ type: CT1, chunk: chunk(3) })],
  'a chunk of a false header': ['forged', part({ type: HEADER, chunk: chunk(65_535) })],
  'another': ['forged', part({ type: HEADER, chunk: chunk(1) })],
  'the one that completes it': ['refused', part({ type: HEADER, chunk: chunk(2) })],
  'one of them again': ['forged', part({ type: HEADER, chunk: chunk(1) })],
  'still the one that completes it': ['refused', part({ type: HEADER, chunk: chunk(0) })],
};

test('forged post-quantum parts', async (t) => {
  const { expect, retire } = await setUp();
  for (const [when, cases] of Object.entries({ 'at first': AT_FIRST, 'afterwards': AFTERWARDS })) {
    for (const [name, [outcome, craft]] of Object.entries(cases)) {
      await t.test(`${when}: ${name}`, () => expect(outcome, craft));
    }
  }
  retire();
});

test('a message without a key is opened before the first one with a key, and where SPQR is not required', async () => {
  const strict = await setUp();
  await strict.expect('forged', withoutKey(pqPart({ index: 0 })));
  await strict.expect('forged');
  await strict.expect(['refused', 'forged'], withoutKey(pqPart({ index: 0 })));
  await strict.expect('forged');
  strict.retire();

  const lenient = await setUp({ to: { policy: 'pqxdh' } });
  await lenient.expect('forged');
  await lenient.expect('forged', withoutKey(pqPart({ index: 0 })));
  lenient.retire();
});

test(`a jump of ${MAX_JUMP} in the post-quantum chain, and ${MAX_KEPT} keys kept`, async () => {
  const { expect, retire } = await setUp();
  await expect('forged');
  const at = (index) => ({ pqChain }) => ({ pq: pqPart({ index }), salt: pqChain.key(index) });
  await expect('refused', at(2 + MAX_JUMP + 1));
  await expect('forged', at(2 + MAX_JUMP));
  await expect('refused', at(2 + MAX_JUMP - MAX_KEPT - 1));
  await expect('forged', at(2 + MAX_JUMP - MAX_KEPT));
  await expect('refused', at(2 + MAX_JUMP - MAX_KEPT));
  retire();
});

test('the longest jump of a session with SPQR is one shorter than without', async () => {
  const { expect, skip, retire } = await setUp();
  await expect('forged'); // This message has the counter 1.
  skip(MAX_JUMP);
  await expect('refused');
  retire();

  const other = await setUp();
  await other.expect('forged');
  other.skip(MAX_JUMP - 1);
  await other.expect('forged');
  other.retire();
});

test('a device may be further behind another of the same account', async () => {
  const { expect, skip, retire } = await setUp({ to: { name: BEN, hasSameIdentity: true } });
  await expect('forged');
  skip(MAX_JUMP + 9);
  await expect('forged');
  retire();
});

test('a device of another account with the same identity may not be further behind', async () => {
  const { expect, skip, retire } = await setUp({ to: { name: EVE, hasSameIdentity: true } });
  await expect('forged');
  skip(MAX_JUMP + 9);
  await expect('refused');
  retire();
});
