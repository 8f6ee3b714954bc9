// Passes the same damaged bytes to our implementation ("ours") and to Signal's library ("theirs"). Both must read the same
// from them, or both must refuse them. The bytes are valid messages with random changes, and those with known rules.
import test from 'node:test';
import assert from 'node:assert/strict';
import { Device } from './lib/device.mjs';
import { introduce } from './lib/pairs.mjs';
import { Random } from './lib/random.mjs';

const VERSION = '0.103.0';
const [ADA, BEN] = ['9d0652a3-dcc3-4d11-975f-74d61598733f', '796abedb-ca4e-4f18-8803-1fde5b921f9f'];
const NOW = 1_764_000_000_000;
const DIST = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';
const ROUNDS = 400;
const REFUSED = 'refused';

/** Known differences between the two: whether these bytes, or these results of theirs and ours, are one of them. */
const EXEMPT = {
  // Theirs also parses what apps store beside a request, and refuses it if it is damaged.
  'the body of a request': (_, theirs) => theirs === REFUSED,
  // Theirs misreads a count that is not encoded in the shortest form. Ours refuses it.
  'an envelope for many': (bytes) => /^..([89a-f].)+00/.test(bytes),
  // If a half has another length, theirs reports a mismatch, and ours an invalid number, which is not a result.
  'a scanned number': (_, theirs, ours) => theirs.ok === false && ours === REFUSED,
};

/** A sample of each kind, created by `maker`: its bytes, and how a device reads them. */
async function samples(maker, other) {
  const { identityPriv: priv, identityPub: pub } = maker;
  const { cert: server } = await maker.call('serverCert', { id: 7, pub, root: priv });
  const who = { uuid: maker.name, e164: '+15550100', dev: maker.dev, pub };
  const { cert } = await maker.call('senderCert', { ...who, expires: NOW, server, serverPriv: priv });
  const { type, ct } = await maker.send(other, 'sample');
  const { skdm } = await maker.call('skdmCreate', { dist: DIST });
  const { usmc } = await maker.call('usmc', { group: DIST, pt: '00', cert, hint: 1, groupId: 'beef' });
  const one = await maker.call('ssEncryptUsmc', { usmc, ...other.remote });
  const many = await maker.call('ssMulti', { usmc, recipients: [[other.name, other.dev]] });
  const received = await maker.call('ssMultiSingle', many);
  const { dem, body } = await maker.call('dem', { ct, type, ts: NOW, dev: 3 });
  const ids = { localId: 'aa', localKey: pub, remoteId: 'bb', remoteKey: other.identityPub };
  const { scan } = await maker.call('fingerprint', { iterations: 2, version: 2, ...ids });
  return {
    'a Signal message': [ct, (device, ct) => device.call('parseSignal', { ct })],
    'what a request is made for': [ct, (device, ct) => device.call('dem', { ct, type, ts: 1, dev: 1 })],
    'a request': [dem, (device, dem) => device.call('demParse', { dem })],
    // Theirs returns a request as it was received, ours in its canonical form.
    'the body of a request': [body, async (device, body) => device.call('demParse', await device.call('demExtract', { body }))],
    'a distribution message': [skdm, (device, skdm) => device.call('skdmProcess', { ...maker.remote, skdm })],
    'a certificate': [cert, (device, cert) => device.call('certValidate', { cert, root: pub, time: NOW })],
    'a trust root': [pub, (device, root) => device.call('certValidate', { cert, root, time: NOW })],
    'a sealed content': [usmc, (device, usmc) => device.call('usmcParse', { usmc })],
    'an envelope for one': [one.ct, (device, ct) => device.call('ssDecryptUsmc', { ct })],
    'an envelope of many': [received.ct, (device, ct) => device.call('ssDecryptUsmc', { ct })],
    'an envelope for many': [many.ct, (device, ct) => device.call('ssMultiSingle', { ct })],
    'a scanned number': [scan, (device, b) => device.call('fpCompare', { a: scan, b })],
  };
}

/** Changes one bit or one byte, or removes, repeats or inserts bytes, where a format has its rules. */
function damage(bytes, random) {
  const at = random.between(0, bytes.length - 1);
  const whole = Buffer.from(bytes);
  switch (random.between(0, 5)) {
    case 0: whole[at] ^= 1 << random.between(0, 7); return whole;
    case 1: whole[at] = random.between(0, 255); return whole;
    case 2: whole[Math.min(at, random.between(0, 8))] = random.between(0, 255); return whole;
    case 3: return whole.subarray(0, at);
    case 4: return Buffer.concat([whole, whole.subarray(at)]);
    default: return Buffer.concat([whole.subarray(0, at), Buffer.of(random.between(0, 255)), whole.subarray(at)]);
  }
}

test('both read the same from damaged bytes', async (t) => {
  const random = new Random(t, t.name);
  const maker = await Device.theirs(VERSION, { name: BEN, dev: 2 });
  // One device twice, so that both can open the same.
  const ours = await Device.ours({ name: ADA });
  const theirs = await Device.theirs(VERSION, { name: ADA, identityPriv: ours.identityPriv });
  await introduce(maker, ours, { kem: true });
  for (const [name, [sample, read]] of Object.entries(await samples(maker, ours))) {
    await t.test(name, async () => {
      const whole = Buffer.from(sample, 'hex');
      let times = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const bytes = (round === 0 ? whole : damage(whole, random)).toString('hex');
        const [a, b] = await Promise.all([ours, theirs].map((device) => read(device, bytes).catch(() => REFUSED)));
        if (!EXEMPT[name]?.(bytes, b, a)) assert.deepEqual(a, b, bytes);
        if (b !== REFUSED) times += 1;
      }
      assert.ok(times > 0, 'nothing was read');
    });
  }
  [maker, ours, theirs].forEach((device) => device.retire());
});
