// Reproducible random numbers. The seed is printed, and is taken from SEALPOST_SEED if that is set.

const seed = Number(process.env.SEALPOST_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** A random number generator. Each test has its own, so that it can be repeated alone. */
export class Random {
  constructor(t, name) {
    t.diagnostic(`SEALPOST_SEED=${seed}`);
    this.state = [...name].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 0x01000193), seed) >>> 0;
  }

  /** A fraction below 1 (mulberry32). */
  fraction() {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  }

  /** True with this probability. */
  chance(probability) {
    return this.fraction() < probability;
  }

  /** An integer from `least` to `most`. */
  between(least, most) {
    return least + Math.floor(this.fraction() * (most - least + 1));
  }

  /** The same items in another order. */
  shuffle(things) {
    const shuffled = [...things];
    for (let at = shuffled.length - 1; at > 0; at--) {
      const other = this.between(0, at);
      [shuffled[at], shuffled[other]] = [shuffled[other], shuffled[at]];
    }
    return shuffled;
  }
}
