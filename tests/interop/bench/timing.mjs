// The clock. The best of many short rounds counts: one that nobody else disturbed.
const ROUNDS = 150;
const ROUND_NS = 2e6;
const LONGEST_NS = 2e9;
const LEAST_ROUNDS = 10;

const now = () => Number(process.hrtime.bigint());

/** What the way through Node takes by itself, in nanoseconds: a call, and one that is waited for. */
const empty = { call: 0, asyncCall: 0 };

/** Measures a call into the library that does nothing. */
export function measureEmpty(call) {
  empty.call = bestOf(call);
  print('an empty call', empty.call, 0);
}

/** Measures a call into the library that does nothing and is waited for. */
export async function measureEmptyAsync(call) {
  empty.asyncCall = await bestOfAsync(call);
  print('an empty asynchronous call', empty.asyncCall, 0);
}

/** Prints what `work` takes, which is so many `calls` into the library. */
export function row(name, work, { calls = 1 } = {}) {
  const best = bestOf(work);
  print(name, best, best - calls * empty.call);
}

/**
 * Prints what the asynchronous `work` takes, each of the `count` things that it does with so many `calls`. `prepare` comes
 * before each time, and is not measured.
 */
export async function asyncRow(name, work, { prepare = () => {}, count = 1, calls = 1 } = {}) {
  const best = await bestOfAsync(work, prepare);
  print(name, best / count, (best - calls * empty.asyncCall) / count);
}

function bestOf(work) {
  let best = Infinity;
  for (const left = rounds(); left(); ) {
    const start = now();
    let [times, elapsed] = [0, 0];
    do {
      work();
      times++;
      elapsed = now() - start;
    } while (elapsed < ROUND_NS);
    best = Math.min(best, elapsed / times);
  }
  return best;
}

async function bestOfAsync(work, prepare = () => {}) {
  let best = Infinity;
  for (const left = rounds(); left(); ) {
    let [times, elapsed] = [0, 0];
    do {
      prepare();
      const start = now();
      await work();
      elapsed += now() - start;
      times++;
    } while (elapsed < ROUND_NS);
    best = Math.min(best, elapsed / times);
  }
  return best;
}

/** Whether there is time for another round. */
function rounds() {
  const begin = now();
  let done = 0;
  return () => done++ < LEAST_ROUNDS || (done <= ROUNDS && now() - begin < LONGEST_NS);
}

const print = (name, ns, withoutNode) => console.log(`${name}\t${ns}\t${withoutNode}`);
