// Group messages.
import { S, address, hex, unhex } from './library.mjs';

const local = (device) => address(device.name, device.device);

/** Encrypts for everyone who has received our chain. */
export const seal = (device, dist, pt) => S.groupEncrypt(local(device), dist, device.senderKeys, unhex(pt));

export const commands = {
  async skdmCreate(device, c) {
    const message = await S.SenderKeyDistributionMessage.create(local(device), c.dist, device.senderKeys);
    return { skdm: hex(message.serialize()) };
  },

  async skdmProcess(device, c) {
    const message = S.SenderKeyDistributionMessage.deserialize(unhex(c.skdm));
    await S.processSenderKeyDistributionMessage(address(c.remote, c.remoteDev), message, device.senderKeys);
    return {};
  },

  async groupEncrypt(device, c) {
    const message = await seal(device, c.dist, c.pt);
    return { type: message.type(), ct: hex(message.serialize()) };
  },

  async groupDecrypt(device, c) {
    return { pt: hex(await S.groupDecrypt(address(c.remote, c.remoteDev), device.senderKeys, unhex(c.ct))) };
  },
};
