// Sends forged messages to a device of ours and to one of theirs. Both must give the same verdict, and change nothing.
//
// The sender is a device of version 0.72.1, which starts sessions without SPQR with both, because only then can a test
// know every key. Theirs is then updated to 0.103.0, as an app would be, so that the verdicts are those of the newest version.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Device } from './lib/device.mjs';
import { Forger, addresses, pad, tooWide } from './lib/forger.mjs';
import { deliver, introduce, refuse } from './lib/pairs.mjs';
import { Random } from './lib/random.mjs';

const [ADA, BEN, EVE] = [
  '9d0652a3-dcc3-4d11-975f-74d61598733f', '796abedb-ca4e-4f18-8803-1fde5b921f9f', 'c0ffee00-ca4e-4f18-8803-1fde5b921f9f',
];
const MAX_JUMP = 25_000;

/** `sender`, and two devices that have a session with it, each with a forger of messages to it. */
async function setUp(kem) {
  const sender = await Device.theirs('0.72.1', { name: BEN, dev: 2, reg: 2 });
  const ours = await Device.ours({ name: ADA, dev: 1, reg: 1, policy: 'x3dh' });
  const old = await Device.theirs('0.72.1', { name: ADA, dev: 3, reg: 3 });
  for (const receiver of [ours, old]) await introduce(sender, receiver, { kem });
  const theirs = await old.updated('0.103.0');
  const receivers = [];
  for (const device of [ours, theirs]) receivers.push({ device, forger: await Forger.of(sender, device) });
  return { sender, receivers, retire: () => [sender, ours, old, theirs].forEach((device) => device.retire()) };
}

/** The expected result of a message: a verdict, or its text. */
const FORGERIES = {
  'in no way wrong': ['forged', () => ({})],
  'a low half of the version byte that nobody knows': ['forged', ({ version }) => ({ version: (version & 0xf0) | 9 })],
  'an unknown field': ['forged', () => ({ fields: { 99: Buffer.from('new') } })],
  'a field twice, the last right': ['forged', ({ number }) => ({
    fields: { 2: number + 7 }, extra: Buffer.of(0x10, ...[number].filter((n) => n < 0x80)),
  })],
  'no previous counter': ['forged', () => ({ fields: { 3: undefined } })],
  'any previous counter': ['forged', () => ({ fields: { 3: 4_000_000_000 } })],
  'a counter with more than 32 bits': ['forged', ({ number }) => ({ fields: { 2: undefined }, extra: tooWide(2, number) })],
  'bytes behind the ratchet key': ['forged', ({ ratchetKey }) => ({ fields: { 1: Buffer.concat([ratchetKey, Buffer.of(1)]) } })],
  'SPQR in a session without': ['forged', () => ({ fields: { 5: Buffer.of(1, 1, 0, 0) } })],
  'a later SPQR in a session without': ['forged', () => ({ fields: { 5: Buffer.of(9, 1, 7) } })],
  'the addresses of the two': ['forged', ({ pair }) => ({ fields: { 6: pair } })],

  'another sender address': ['refused', ({ receiver }) => ({ fields: { 6: addresses({ name: EVE, dev: 2 }, receiver) } })],
  'another recipient device': ['refused', ({ sender, receiver }) => ({ fields: { 6: addresses(sender, { ...receiver, dev: 9 }) } })],
  'short addresses': ['refused', ({ pair }) => ({ fields: { 6: pair.subarray(1) } })],
  'empty addresses': ['refused', () => ({ fields: { 6: Buffer.alloc(0) } })],
  'a MAC with a wrong bit': ['refused', () => ({ mac: (tag) => Buffer.from(tag.map((byte, at) => byte ^ (at === 7))) })],
  'a MAC over swapped identities': ['refused', ({ identities }) => ({ identities: identities.toReversed() })],
  'no padding': ['refused', () => ({ block: Buffer.alloc(16) })],
  'padding longer than a block': ['refused', () => ({ block: Buffer.alloc(32, 17) })],
  'padding that is not all the same': ['refused', () => ({ block: Buffer.from([...Buffer.alloc(14), 3, 2]) })],
  'an empty body': ['refused', () => ({ body: Buffer.alloc(0) })],
  'a body of no whole blocks': ['refused', () => ({ body: Buffer.alloc(17) })],
  'the other version': ['refused', ({ version }) => ({ version: version ^ 0x70 })],
  'a ratchet key of low order': ['refused', () => ({ fields: { 1: Buffer.of(5, ...Buffer.alloc(32)) } })],
  'no SPQR that anybody could mean': ['refused', () => ({ fields: { 5: Buffer.of(0) } })],
  'SPQR of epoch 0': ['refused', () => ({ fields: { 5: Buffer.of(1, 0, 0, 0) } })],
  'an unknown ratchet key': ['refused', () => ({ fields: { 1: Buffer.of(5, 9, ...Buffer.alloc(31)) } })],
  'a counter from before': ['duplicate', () => ({ fields: { 2: 0 } })],
  'a counter too far ahead': ['refused', ({ number }) => ({ fields: { 2: number + MAX_JUMP + 1 } })],
  'the last counter': ['refused', () => ({ fields: { 2: 2 ** 32 - 1 } })],

  'version 2': ['malformed', () => ({ version: 0x24 })],
  'version 5': ['malformed', () => ({ version: 0x54 })],
  'no ratchet key': ['malformed', () => ({ fields: { 1: undefined } })],
  'no counter': ['malformed', () => ({ fields: { 2: undefined } })],
  'no body': ['malformed', () => ({ fields: { 4: undefined } })],
  'another kind of ratchet key': ['malformed', ({ ratchetKey }) => ({ fields: { 1: Buffer.of(6, ...ratchetKey.subarray(1)) } })],
  'a short ratchet key': ['malformed', ({ ratchetKey }) => ({ fields: { 1: ratchetKey.subarray(0, 32) } })],
  'an empty ratchet key': ['malformed', () => ({ fields: { 1: Buffer.alloc(0) } })],
  'a field that ends nowhere': ['malformed', () => ({ extra: Buffer.of(0x22, 0x7f) })],
};

for (const [version, kem] of [[4, true], [3, false]]) {
  test(`forgeries in a session of version ${version}`, async (t) => {
    const { sender, receivers, retire } = await setUp(kem);
    for (const [name, [outcome, forge]] of Object.entries(FORGERIES)) {
      await t.test(name, async () => {
        for (const { device, forger } of receivers) {
          const context = { ...forger, sender, receiver: device, pair: addresses(sender, device) };
          const message = { ...forger.write(forge(context)), from: sender };
          if (outcome === 'forged') {
            await deliver(message, device);
            forger.skip();
          } else {
            await refuse(message, device, outcome);
          }
        }
      });
    }
    retire();
  });
}

test('the longest jump', async () => {
  const { sender, receivers, retire } = await setUp(true);
  for (const { device, forger } of receivers) {
    const first = { ...forger.write({}), from: sender };
    forger.skip(MAX_JUMP - 2001);
    const dropped = { ...forger.write({}), from: sender };
    forger.skip();
    const kept = { ...forger.write({}), from: sender };
    forger.skip(2000);
    await deliver({ ...forger.write({}), from: sender }, device);
    await deliver(kept, device);
    await refuse(kept, device, 'duplicate');
    await refuse(dropped, device, 'duplicate');
    await refuse(first, device, 'duplicate');
    await device.restart();
    forger.skip();
    await deliver({ ...forger.write({}), from: sender }, device);
  }
  retire();
});

test('any wrong bit and any wrong length is refused', async (t) => {
  const random = new Random(t, t.name);
  const { sender, receivers, retire } = await setUp(true);
  const verdicts = async (damage) => {
    const said = [];
    for (const { device, forger } of receivers) {
      const { ct, type } = forger.write({ fields: { 6: addresses(sender, device) } });
      const message = { type, ct: damage(Buffer.from(ct, 'hex')).toString('hex'), from: sender };
      const before = await device.call('save');
      said.push(await device.receive(message).then(() => 'opened', ({ verdict }) => verdict));
      assert.deepEqual(await device.call('save'), before);
    }
    return said;
  };
  for (let round = 0; round < 300; round++) {
    const [at, bit] = [random.fraction(), 1 << random.between(0, 7)];
    const flip = (bytes) => {
      bytes[Math.floor(at * bytes.length)] ^= bit;
      return bytes;
    };
    const cut = (bytes) => bytes.subarray(0, Math.floor(at * bytes.length));
    const [ours, theirs] = await verdicts(random.chance(0.8) ? flip : cut);
    assert.equal(ours, theirs, `bit ${bit} at ${at}`);
    assert.notEqual(ours, 'opened');
  }
  for (const { device, forger } of receivers) await deliver({ ...forger.write({}), from: sender }, device);
  retire();
});
