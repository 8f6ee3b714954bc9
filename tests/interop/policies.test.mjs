// Which sessions can be started, depending on our policy and on the abilities of a version of theirs.
import test from 'node:test';
import assert from 'node:assert/strict';
import { deliver, refuse, withPair } from './lib/pairs.mjs';

/** What happens when ours and theirs start a session, with and without a KEM pre-key in the bundle. `-`: impossible. */
const TABLE = [
  // version, policy, KEM key in the bundle; our first message to them; theirs to us
  ['0.103.0', 'triple', true, 'arrives', 'arrives'],
  ['0.103.0', 'triple', false, 'no_kem', '-'],
  ['0.103.0', 'pqxdh', true, 'arrives', 'arrives'],
  ['0.103.0', 'x3dh', true, 'arrives', 'arrives'],
  ['0.103.0', 'x3dh', false, 'refused', '-'],
  ['0.90.0', 'triple', true, 'arrives', 'arrives'],
  ['0.90.0', 'x3dh', false, 'refused', '-'],
  ['0.72.1', 'triple', true, 'refused', 'refused'],
  ['0.72.1', 'pqxdh', true, 'arrives', 'arrives'],
  ['0.72.1', 'pqxdh', false, 'no_kem', 'refused'],
  ['0.72.1', 'x3dh', true, 'arrives', 'arrives'],
  ['0.72.1', 'x3dh', false, 'arrives', 'arrives'],
  ['0.21.1', 'triple', false, 'no_kem', 'refused'],
  ['0.21.1', 'pqxdh', false, 'no_kem', 'refused'],
  ['0.21.1', 'x3dh', false, 'arrives', 'arrives'],
];

for (const [version, policy, kyber, toThem, toUs] of TABLE) {
  const name = `${version}, ${policy}, ${kyber ? 'with' : 'without'} a KEM key`;
  test(name, (t) => withPair({ version, policy }, async ({ ours, theirs }) => {
    await t.test('ours starts the session', () => expect(ours, theirs, kyber, toThem));
    await t.test('theirs starts the session', { skip: toUs === '-' }, () => expect(theirs, ours, kyber, toUs));
  }));
}

async function expect(alice, bob, kyber, outcome) {
  if (outcome === 'no_kem') {
    await assert.rejects(alice.meet(bob, { kyber }), { code: 'no_kem_pre_key' });
    return;
  }
  await alice.meet(bob, { kyber });
  const first = await alice.send(bob, 'hello');
  if (outcome === 'refused') {
    await refuse(first, bob, 'refused');
    return;
  }
  await deliver(first, bob);
  await deliver(await bob.send(alice, 'hello yourself'), alice);
}
