// Safety numbers, retry requests, and single keys.
import test from 'node:test';
import assert from 'node:assert/strict';
import { VERSIONS, deliver, forBothRoles, introduce } from './lib/pairs.mjs';

const DIST = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';

forBothRoles(test, 'safety numbers', async ({ alice, bob }) => {
  for (const [version, iterations] of [[2, 5200], [1, 2], [2, 3]]) {
    const mine = { iterations, version, localId: 'aa01', localKey: alice.identityPub, remoteId: 'bb02', remoteKey: bob.identityPub };
    const yours = { ...mine, localId: mine.remoteId, localKey: mine.remoteKey, remoteId: mine.localId, remoteKey: mine.localKey };
    const [a, b] = [await alice.call('fingerprint', mine), await bob.call('fingerprint', yours)];
    assert.equal(a.display, b.display);
    assert.match(a.display, /^\d{60}$/);
    assert.deepEqual(await bob.call('fingerprint', mine), a);
    for (const device of [alice, bob]) {
      assert.deepEqual(await device.call('fpCompare', { a: a.scan, b: b.scan }), { ok: true });
      assert.deepEqual(await device.call('fpCompare', { a: a.scan, b: a.scan }), { ok: false });
      const other = await alice.call('fingerprint', { ...yours, version: 3 - version });
      await assert.rejects(device.call('fpCompare', { a: a.scan, b: other.scan }));
      await assert.rejects(device.call('fingerprint', { ...mine, iterations: 1 }));
    }
  }
}, VERSIONS);

forBothRoles(test, 'a message is asked for again', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const lost = await alice.send(bob, 'damaged on the way');
  const about = { ct: lost.ct, type: lost.type, ts: 1_764_000_000_123, dev: alice.dev };
  const request = await bob.call('dem', about);
  assert.deepEqual(await alice.call('dem', about), request);
  assert.deepEqual(await alice.call('demExtract', { body: request.body }), { dem: request.dem });
  const { ts, dev, rk } = await alice.call('demParse', { dem: request.dem });
  assert.deepEqual({ ts, dev }, { ts: about.ts, dev: about.dev });
  assert.deepEqual(await alice.call('ratchetMatch', { ...bob.remote, pub: rk }), { ok: true });

  // After a step of the ratchet, the request refers to an earlier state.
  await deliver(lost, bob);
  await deliver(await bob.send(alice, 'an answer'), alice);
  assert.deepEqual(await alice.call('ratchetMatch', { ...bob.remote, pub: rk }), { ok: false });
}, VERSIONS);

forBothRoles(test, 'requests about messages that began a session, to groups, and in the clear', async ({ alice, bob, pairing }) => {
  await alice.meet(bob, { kyber: pairing.kem });
  const first = await alice.send(bob, 'first');
  await alice.call('skdmCreate', { dist: DIST });
  const { ct } = await alice.call('groupEncrypt', { dist: DIST, pt: '00' });
  const about = { ts: 1, dev: 1 };
  for (const [message, hasKey] of [[{ ct: first.ct, type: 3 }, true], [{ ct, type: 7 }, false]]) {
    const request = await bob.call('dem', { ...message, ...about });
    assert.deepEqual(await alice.call('dem', { ...message, ...about }), request);
    assert.equal((await alice.call('demParse', { dem: request.dem })).rk !== null, hasKey);
  }
  const { plaintext } = await bob.call('dem', { ct, type: 7, ...about });
  await assert.rejects(alice.call('dem', { ct: plaintext, type: 8, ...about }));
  for (const body of ['', '80', '00', plaintext.slice(2, -2)]) {
    for (const device of [alice, bob]) await assert.rejects(device.call('demExtract', { body }), body);
  }
}, VERSIONS);
