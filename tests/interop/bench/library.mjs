// Loads the newest published version.
import * as library from 'libsignal-0.103.0';

export const S = library.default?.PrivateKey ? library.default : library;
