// Sessions are started, archived, started by both sides at once, and continued after a restart.
import test from 'node:test';
import assert from 'node:assert/strict';
import { PAIRINGS, deliver, forBothRoles, introduce, refuse } from './lib/pairs.mjs';
import { Random } from './lib/random.mjs';

const DAY = 24 * 3600 * 1000;
const MAX_ID = 2 ** 32 - 1;

forBothRoles(test, 'both begin at once', async ({ t, alice, bob, pairing }) => {
  const random = new Random(t, t.name);
  await alice.meet(bob, { kyber: pairing.kem });
  await bob.meet(alice, { kyber: pairing.kem });
  for (let round = 0; round < 10; round++) {
    const [fromAlice, fromBob] = [await alice.send(bob, `a${round}`), await bob.send(alice, `b${round}`)];
    assert.deepEqual([fromAlice.type, fromBob.type], round === 0 ? [3, 3] : [2, 2]);
    // Either one message arrives before the other is sent, or both are in flight at the same time.
    for (const [message, to] of random.shuffle([[fromAlice, bob], [fromBob, alice]])) {
      await deliver(message, to);
      if (random.chance(0.3)) await to.restart();
    }
  }
});

forBothRoles(test, 'an archived session receives, and sends again once it has', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const underWay = await bob.send(alice, 'sent before');
  await alice.call('archive', bob.remote);
  await alice.restart();
  assert.deepEqual(await alice.call('hasCurrent', bob.remote), { has: false });
  await assert.rejects(alice.send(bob, 'to nobody'), { verdict: 'no_session' });

  await deliver(underWay, alice);
  await deliver(await alice.send(bob, 'back again'), bob);
});

forBothRoles(test, 'a new session takes over, and the old one is still heard', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const old = [await bob.send(alice, 'old 0'), await bob.send(alice, 'old 1')];
  await alice.call('archive', bob.remote);
  await alice.meet(bob, { kyber: pairing.kem });
  const first = await alice.send(bob, 'new');
  assert.equal(first.type, 3);
  await deliver(first, bob);
  await bob.restart();
  await deliver(await bob.send(alice, 'new too'), alice);
  await deliver(old[1], alice);
  await deliver(old[0], alice);
  await refuse(old[0], alice, 'duplicate');
  await deliver(await alice.send(bob, 'and on'), bob);
});

/** 0.21.1 uses a one-time key with the id 0 without naming it, because it takes 0 for a missing id. */
const ZERO_IS_AN_ID = PAIRINGS.filter(({ version }) => version !== '0.21.1');
const IDS = [
  { name: 'common ids', ids: { spkId: 22, pkId: 31337, kId: 777 }, pairings: PAIRINGS },
  { name: 'ids 0', ids: { spkId: 0, pkId: 0, kId: 0 }, pairings: ZERO_IS_AN_ID },
  { name: 'the last ids', ids: { spkId: MAX_ID, pkId: MAX_ID, kId: MAX_ID }, pairings: PAIRINGS },
];

for (const oneTime of [true, false]) {
  for (const { name: which, ids, pairings } of IDS) {
    const name = `unanswered messages, ${oneTime ? 'with' : 'without'} a one-time key, ${which}`;
    forBothRoles(test, name, async ({ alice, bob, pairing }) => {
      await alice.meet(bob, { kyber: pairing.kem, oneTime, ...ids });
      const messages = [];
      for (let n = 0; n < 4; n++) messages.push(await alice.send(bob, `message ${n}`));
      assert.deepEqual(messages.map(({ type }) => type), [3, 3, 3, 3]);
      // Each message can start the session. The one-time key was deleted with the first one that arrived.
      for (const message of messages.reverse()) {
        await deliver(message, bob);
        await bob.restart();
      }
      for (const message of messages) await refuse(message, bob, 'duplicate');
      await deliver(await bob.send(alice, 'an answer'), alice);
      assert.equal((await alice.send(bob, 'without the handshake')).type, 2);
    }, pairings);
  }
}

forBothRoles(test, 'only one session can be started with a one-time key', async ({ alice, bob, pairing }) => {
  const { bundle } = await bob.call('bundle', { kyber: pairing.kem });
  await alice.call('processBundle', { ...bob.remote, bundle });
  await deliver(await alice.send(bob, 'first'), bob);
  await alice.call('processBundle', { ...bob.remote, bundle });
  await refuse(await alice.send(bob, 'second'), bob, 'missing_pre_key');
});

forBothRoles(test, 'a session that was deleted cannot be started again by its first message', async ({ alice, bob, pairing }) => {
  await alice.meet(bob, { kyber: pairing.kem });
  const first = await alice.send(bob, 'first');
  await deliver(first, bob);
  // Besides the active session, 40 inactive ones are kept.
  for (let n = 0; n < 41; n++) {
    await refuse(first, bob, 'duplicate');
    await alice.meet(bob, { kyber: pairing.kem, oneTime: false, spkId: 1, kId: 1 });
    await deliver(await alice.send(bob, `session ${n}`), bob);
  }
  await refuse(first, bob, 'missing_pre_key');
});

const KNOW_BASE_KEYS = PAIRINGS.filter(({ spqr }) => spqr);
forBothRoles(test, 'a last-resort key does not begin a session twice', async ({ alice, bob, pairing }) => {
  const { bundle } = await bob.call('bundle', { oneTime: false, kyber: pairing.kem });
  const meet = () => alice.call('processBundle', { ...bob.remote, bundle });
  await meet();
  const first = await alice.send(bob, 'first');
  await deliver(first, bob);
  for (let n = 0; n < 41; n++) {
    await meet();
    await deliver(await alice.send(bob, `session ${n}`), bob);
  }
  await refuse(first, bob, 'reused');
}, KNOW_BASE_KEYS);

const KNOW_THE_TIME = PAIRINGS.filter(({ version }) => version !== '0.21.1');
forBothRoles(test, 'nobody answers for 30 days', async ({ alice, bob, pairing }) => {
  const now = 1_764_000_000_000;
  const { bundle } = await bob.call('bundle', { kyber: pairing.kem });
  await alice.call('processBundle', { ...bob.remote, bundle, now });
  const send = (later) => alice.call('encrypt', { ...bob.remote, pt: '00', now: now + later });
  await send(30 * DAY);
  const before = await alice.call('save');
  await assert.rejects(send(30 * DAY + 1000), { verdict: 'no_session' });
  assert.deepEqual(await alice.call('save'), before);
  await send(30 * DAY);
}, KNOW_THE_TIME);
