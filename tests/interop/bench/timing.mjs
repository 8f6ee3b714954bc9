// Measures durations. The best of many short rounds counts, because other work disturbs it the least.
const ROUNDS = 150;
const ROUND_NS = 2e6;
const LONGEST_NS = 2e9;
const LEAST_ROUNDS = 10;

const now = () => Number(process.hrtime.bigint());

/** The overhead of Node in nanoseconds: of a synchronous call, and of an asynchronous one. */
const empty = { call: 0, asyncCall: 0 };

/** Measures a call into the library that does nothing. */
export function measureEmpty(call) {
  empty.call = bestOf(call);
  print('an empty call', empty.call, 0);
}

/** Measures an asynchronous call into the library that does nothing. */
export async function measureEmptyAsync(call) {
  empty.asyncCall = await bestOfAsync(call);
  print('an empty asynchronous call', empty.asyncCall, 0);
}

/** Prints the duration of `work`, which makes this number of `calls` into the library. */
export function row(name, work, { calls = 1 } = {}) {
  const best = bestOf(work);
  print(name, best, best - calls * empty.call);
}

/**
 * Prints the duration of the asynchronous `work` for each of its `count` operations, which make this number of `calls`.
 * `prepare` runs before each round and is not measured.
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
