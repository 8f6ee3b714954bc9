// The versions that are tested against ours, and how two devices start a session.
import assert from 'node:assert/strict';
import { Device } from './device.mjs';

/**
 * The versions, with the properties of a session with each of them, and the policy that allows it.
 * `spqr`: whether the messages carry the post-quantum ratchet. `kem`: whether bundles may have a KEM pre-key.
 */
export const PAIRINGS = [
  { version: '0.103.0', policy: 'triple', spqr: true, kem: true, number: 4 },
  { version: '0.103.0', policy: 'pqxdh', spqr: true, kem: true, number: 4 },
  { version: '0.90.0', policy: 'triple', spqr: true, kem: true, number: 4 },
  { version: '0.90.0', policy: 'pqxdh', spqr: true, kem: true, number: 4 },
  { version: '0.72.1', policy: 'pqxdh', spqr: false, kem: true, number: 4 },
  { version: '0.72.1', policy: 'x3dh', spqr: false, kem: false, number: 3 },
  { version: '0.21.1', policy: 'x3dh', spqr: false, kem: false, number: 3 },
];

/** One pairing for each version. */
export const VERSIONS = PAIRINGS.filter(
  ({ version }, at) => PAIRINGS.findIndex((other) => other.version === version) === at,
);

const ADA = '9d0652a3-dcc3-4d11-975f-74d61598733f';
const BEN = '796abedb-ca4e-4f18-8803-1fde5b921f9f';

/** Runs `body` with a fresh device of each side, which are stopped afterwards, for each pairing. */
export function forEachPairing(test, name, body, pairings = PAIRINGS) {
  for (const pairing of pairings) {
    const { version, policy } = pairing;
    test(`${name}: ${version}, ${policy}`, (t) => withPair(pairing, (pair) => body({ t, pairing, ...pair })));
  }
}

/** Like `forEachPairing`, but runs `body` twice: `alice`, who starts, is ours the first time and theirs the second. */
export function forBothRoles(test, name, body, pairings = PAIRINGS) {
  forEachPairing(test, `${name}: ours begins`, (all) => body({ ...all, alice: all.ours, bob: all.theirs }), pairings);
  forEachPairing(test, `${name}: theirs begins`, (all) => body({ ...all, alice: all.theirs, bob: all.ours }), pairings);
}

export async function withPair({ version, policy }, body) {
  const ours = await Device.ours({ name: ADA, dev: 1, reg: 0x1234, policy });
  const theirs = await Device.theirs(version, { name: BEN, dev: 2, reg: 0x2345 });
  try {
    await body({ ours, theirs });
  } finally {
    ours.retire();
    theirs.retire();
  }
}

/** `alice` starts a session, and each of the two receives a message. */
export async function introduce(alice, bob, { kem }, options = {}) {
  await alice.meet(bob, { kyber: kem, ...options });
  await deliver(await alice.send(bob, 'hello'), bob);
  await deliver(await bob.send(alice, 'hello yourself'), alice);
}

/** Delivers the message, and checks its text. */
export async function deliver(message, to) {
  assert.equal(await to.receive(message), message.text);
}

/** Checks that the message is refused for this reason and, unless this side is known to change its state, without effect. */
export async function refuse(message, to, verdict, { isSloppy = false } = {}) {
  const before = await to.call('save');
  await assert.rejects(to.receive(message), (error) => {
    assert.equal(error.verdict, verdict, error.message);
    return true;
  });
  if (!isSloppy) assert.deepEqual(await to.call('save'), before);
}
