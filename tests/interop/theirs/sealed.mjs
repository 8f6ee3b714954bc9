// Sealed sender and its certificates.
import { S, address, hex, privateKey, publicKey, since, unhex } from './library.mjs';
import { seal as sealForDevice } from './sessions.mjs';
import { seal as sealForGroup } from './groups.mjs';

const content = (usmc) => S.UnidentifiedSenderMessageContent.deserialize(unhex(usmc));

function describe(usmc) {
  const groupId = usmc.groupId();
  return {
    contents: hex(usmc.contents()),
    type: usmc.msgType(),
    hint: usmc.contentHint(),
    groupId: groupId ? hex(groupId) : null,
    sender: usmc.senderCertificate().senderUuid(),
  };
}

function message(device, c) {
  if (c.group) return sealForGroup(device, c.group, c.pt);
  if (c.plaintext) return S.CiphertextMessage.from(S.PlaintextContent.deserialize(unhex(c.plaintext)));
  return sealForDevice(device, c, c.pt);
}

export const commands = {
  serverCert(_device, c) {
    return { cert: hex(S.ServerCertificate.new(c.id, publicKey(c.pub), privateKey(c.root)).serialize()) };
  },

  senderCert(_device, c) {
    const server = S.ServerCertificate.deserialize(unhex(c.server));
    const who = [c.uuid, c.e164 ?? null, c.dev, publicKey(c.pub)];
    return { cert: hex(S.SenderCertificate.new(...who, c.expires, server, privateKey(c.serverPriv)).serialize()) };
  },

  certValidate(_device, c) {
    return { ok: S.SenderCertificate.deserialize(unhex(c.cert)).validate(publicKey(c.root), c.time) };
  },

  async usmc(device, c) {
    const sealed = await message(device, c);
    const certificate = S.SenderCertificate.deserialize(unhex(c.cert));
    const groupId = c.groupId ? unhex(c.groupId) : null;
    const usmc = S.UnidentifiedSenderMessageContent.new(sealed, certificate, c.hint ?? 0, groupId);
    return { usmc: hex(usmc.serialize()), ct: hex(sealed.serialize()), type: sealed.type() };
  },

  usmcParse: (_device, c) => describe(content(c.usmc)),

  async ssEncryptUsmc(device, c) {
    const to = address(c.remote, c.remoteDev);
    return { ct: hex(await S.sealedSenderEncrypt(content(c.usmc), to, device.identities)) };
  },

  async ssMulti(device, c) {
    const recipients = c.recipients.map(([name, dev]) => address(name, dev));
    const stores = { identityStore: device.identities, sessionStore: device.sessions };
    const excludedRecipients = (c.excluded ?? []).map((id) => S.ServiceId.parseFromServiceIdString(id));
    const options = { content: content(c.usmc), recipients, excludedRecipients, ...stores };
    return { ct: hex(await S.sealedSenderMultiRecipientEncrypt(options)) };
  },

  ssMultiSingle: (_device, c) => ({ ct: hex(S.sealedSenderMultiRecipientMessageForSingleRecipient(unhex(c.ct))) }),

  async ssDecryptUsmc(device, c) {
    const usmc = await S.sealedSenderDecryptToUsmc(unhex(c.ct), device.identities);
    return { usmc: hex(usmc.serialize()), ...describe(usmc) };
  },

  async ssDecrypt(device, c) {
    const us = [c.e164 ?? null, device.name, device.device];
    const stores = [device.sessions, device.identities, device.preKeys, device.signedPreKeys];
    if (since(27)) stores.push(device.kemPreKeys);
    const opened = await S.sealedSenderDecryptMessage(unhex(c.ct), publicKey(c.root), c.time, ...us, ...stores);
    return { pt: hex(opened.message()), uuid: opened.senderUuid(), dev: opened.deviceId(), e164: opened.senderE164() };
  },
};
