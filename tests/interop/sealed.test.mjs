// Sealed sender: envelopes that hide who sends, for one recipient and for many, and the certificates in them.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Device } from './lib/device.mjs';
import { VERSIONS, forBothRoles, introduce } from './lib/pairs.mjs';

const NOW = 1_764_000_000_000;
const DIST = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
const NOBODY = 'c0ffee00-ca4e-4f18-8803-1fde5b921f9f';
const OTHERS = ['0a0a0a0a-ca4e-4f18-8803-1fde5b921f9f', '0b0b0b0b-ca4e-4f18-8803-1fde5b921f9f'];
const PHONE = '+15550100';
const hex = (text) => Buffer.from(text).toString('hex');

/** A trust root, a server and a certificate for `sender`, each made by `issuer`. */
async function certify(issuer, sender, { expires = NOW, id = 1, dev = sender.dev } = {}) {
  const [root, server] = [await keyPair(issuer), await keyPair(issuer)];
  const { cert: certified } = await issuer.call('serverCert', { id, pub: server.pub, root: root.priv });
  const who = { uuid: sender.name, e164: PHONE, dev, pub: sender.identityPub };
  const { cert } = await issuer.call('senderCert', { ...who, expires, server: certified, serverPriv: server.priv });
  return { cert, root: root.pub };
}

/** A new key pair, taken from the identity of a new device; the state of the device is restored afterwards. */
async function keyPair(device) {
  const { state } = await device.call('save');
  const { identityPriv: priv, identityPub: pub } = await device.call('init', { name: 'x', dev: 1, reg: 1 });
  await device.call('load', { state });
  return { priv, pub };
}

/** The versions of theirs that support version 2 of sealed sender in the present form. */
const SECOND_VERSION = VERSIONS.filter(({ version }) => version !== '0.21.1');

forBothRoles(test, 'one recipient', async ({ alice, bob, pairing }) => {
  await alice.meet(bob, { kyber: pairing.kem });
  for (const issuer of [alice, bob]) {
    const { cert, root } = await certify(issuer, alice);
    const { usmc, type } = await alice.call('usmc', { ...bob.remote, pt: hex('sealed'), cert });
    assert.equal(type, 3);
    const { ct } = await alice.call('ssEncryptUsmc', { usmc, ...bob.remote });
    const opened = await bob.call('ssDecrypt', { ct, root, time: NOW });
    assert.deepEqual(opened, { pt: hex('sealed'), uuid: alice.name, dev: alice.dev, e164: PHONE });
    await assert.rejects(bob.call('ssDecrypt', { ct, root, time: NOW }), { verdict: 'duplicate' });
  }
}, VERSIONS);

forBothRoles(test, 'a group', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const { cert, root } = await certify(bob, alice);
  const { skdm } = await alice.call('skdmCreate', { dist: DIST });
  await bob.call('skdmProcess', { ...alice.remote, skdm });
  const { usmc } = await alice.call('usmc', { group: DIST, pt: hex('to all'), cert, hint: 1, groupId: 'beef' });
  const sent = await alice.call('ssMulti', { usmc, recipients: [[bob.name, bob.dev]] });
  const { ct } = await bob.call('ssMultiSingle', sent);
  assert.deepEqual(await alice.call('ssMultiSingle', sent), { ct });
  const { contents, ...opened } = await bob.call('ssDecryptUsmc', { ct });
  assert.deepEqual(opened, { usmc, type: 7, hint: 1, groupId: 'beef', sender: alice.name });
  assert.deepEqual(await bob.call('groupDecrypt', { ...alice.remote, ct: contents }), { pt: hex('to all') });
  assert.deepEqual(await bob.call('usmcParse', { usmc }), await alice.call('usmcParse', { usmc }));
  // `ssDecrypt` decrypts only messages of sessions.
  await assert.rejects(bob.call('ssDecrypt', { ct, root, time: NOW }), { verdict: 'refused' });
}, SECOND_VERSION);

forBothRoles(test, 'many recipients, and some excluded', async ({ ours, alice, bob, pairing }) => {
  const others = [
    await Device.ours({ name: OTHERS[0], dev: 5, policy: pairing.policy }),
    await Device.theirs(pairing.version, { name: OTHERS[1], dev: 6 }),
  ];
  const recipients = [bob, ...others];
  for (const recipient of recipients) await introduce(alice, recipient, pairing);
  const { cert } = await certify(alice, alice);
  const { plaintext } = await alice.call('dem', { ct: (await alice.send(bob, 'lost')).ct, type: 2, ts: 1, dev: 1 });
  await alice.call('skdmCreate', { dist: DIST });
  const { usmc } = await alice.call('usmc', { group: DIST, pt: hex('to all'), cert });
  const { contents } = await alice.call('usmcParse', { usmc });
  const to = recipients.map(({ name, dev }) => [name, dev]);
  // Version 2 does not authenticate the sender of a plaintext request, so ours refuses to seal one. Theirs allows it.
  const request = await alice.call('usmc', { plaintext, cert });
  if (alice === ours) await assert.rejects(alice.call('ssMulti', { usmc: request.usmc, recipients: to }), { verdict: 'refused' });
  const sent = await alice.call('ssMulti', { usmc, recipients: to, excluded: [NOBODY] });
  const envelopes = split(Buffer.from(sent.ct, 'hex'));
  for (const recipient of recipients) {
    const opened = await recipient.call('ssDecryptUsmc', { ct: envelopes.get(recipient.name) });
    assert.deepEqual([opened.contents, opened.type], [contents, 7]);
    // An envelope for one recipient cannot be opened by another.
    for (const other of recipients.filter((other) => other !== recipient)) {
      await assert.rejects(other.call('ssDecryptUsmc', { ct: envelopes.get(recipient.name) }));
    }
  }
  for (const device of [alice, bob]) {
    await assert.rejects(device.call('ssMultiSingle', sent), { verdict: 'refused' });
  }
  // Ours refuses a message that the relay would refuse; theirs leaves that to the relay.
  if (alice === ours) await assert.rejects(alice.call('ssMulti', { usmc, recipients: to, excluded: [bob.name] }));
  others.forEach((device) => device.retire());
}, SECOND_VERSION);

/** Does what the relay does: splits the sent form into the received form for each user. Each user has one device here. */
function split(sent) {
  assert.equal(sent[0], 0x23);
  let [at, entries] = [2, sent[1]];
  const found = [];
  for (; entries > 0; entries--) {
    const name = sent.subarray(at + 1, at + 17).toString('hex').replace(/(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const isExcluded = sent[at + 17] === 0;
    if (!isExcluded) found.push([name, sent.subarray(at + 20, at + 68)]);
    at += isExcluded ? 18 : 68;
  }
  return new Map(found.map(([name, own]) => [name, Buffer.concat([Buffer.of(0x22), own, sent.subarray(at)]).toString('hex')]));
}

forBothRoles(test, 'whom to believe', async ({ alice, bob }) => {
  const { cert, root } = await certify(alice, alice);
  const stranger = await certify(alice, alice);
  const revoked = await certify(alice, alice, { id: 0xdeadc357 });
  const flip = (bytes) => bytes.slice(0, -2) + (parseInt(bytes.slice(-2), 16) ^ 1).toString(16).padStart(2, '0');
  for (const [fields, ok] of [
    [{ cert, root, time: NOW }, true],
    [{ cert, root, time: NOW + 1 }, false],
    [{ cert, root: stranger.root, time: NOW }, false],
    [{ cert: flip(cert), root, time: NOW }, false],
    [{ ...revoked, time: NOW }, false],
  ]) {
    for (const device of [alice, bob]) assert.deepEqual(await device.call('certValidate', fields), { ok });
  }
}, VERSIONS);

forBothRoles(test, 'envelopes that are refused', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const { cert, root } = await certify(alice, alice);
  const seal = async (options = {}) => {
    const { usmc } = await alice.call('usmc', { ...bob.remote, pt: hex('whole'), cert, ...options });
    return (await alice.call('ssEncryptUsmc', { usmc, ...bob.remote })).ct;
  };
  const ct = await seal();
  const strangers = await certify(alice, alice);
  const itself = await certify(alice, { ...bob.remote, name: bob.name, dev: bob.dev, identityPub: alice.identityPub });
  const before = await bob.call('save');
  const attempts = [[{ ct, root, time: NOW + 1 }, 'refused'], [{ ct, root: strangers.root, time: NOW }, 'refused']];
  attempts.push([{ ct: await seal(itself), root: itself.root, time: NOW }, 'refused']);
  for (const at of [2, 60, 120, ct.length / 2 - 1, ct.length / 2 - 12]) {
    const bytes = Buffer.from(ct, 'hex');
    bytes[at] ^= 1;
    attempts.push([{ ct: bytes.toString('hex'), root, time: NOW }]);
  }
  for (const [fields, verdict] of attempts) {
    await assert.rejects(bob.call('ssDecrypt', fields), (error) => verdict === undefined || error.verdict === verdict);
  }
  for (const first of ['31', 'ff', '']) {
    await assert.rejects(bob.call('ssDecryptUsmc', { ct: first + ct.slice(2) }), first);
  }
  assert.deepEqual(await bob.call('save'), before);
  assert.equal((await bob.call('ssDecrypt', { ct, root, time: NOW })).pt, hex('whole'));
}, VERSIONS);

forBothRoles(test, 'a session put away: one may still be written to, many may not', async ({ alice, bob, pairing }) => {
  await introduce(alice, bob, pairing);
  const { cert, root } = await certify(alice, alice);
  const { usmc } = await alice.call('usmc', { ...bob.remote, pt: hex('before'), cert });
  await alice.call('archive', bob.remote);
  await alice.restart();
  const { ct } = await alice.call('ssEncryptUsmc', { usmc, ...bob.remote });
  assert.equal((await bob.call('ssDecrypt', { ct, root, time: NOW })).pt, hex('before'));
  if (pairing.version === '0.21.1') return;
  await assert.rejects(alice.call('ssMulti', { usmc, recipients: [[bob.name, bob.dev]] }));
  await assert.rejects(alice.call('ssEncryptUsmc', { usmc, remote: NOBODY, remoteDev: 1 }), { verdict: 'no_session' });
}, VERSIONS);
