// A program that answers one JSON line for each JSON line.
import { spawn } from 'node:child_process';
import { after } from 'node:test';
import { createInterface } from 'node:readline';

export class LineProcess {
  #child;
  #waiting = [];

  constructor(program, args) {
    this.name = [program, ...args].join(' ');
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child.on('error', (error) => this.#fail(error));
    this.#child.on('exit', (code, signal) => this.#fail(new Error(`${program} ended: ${signal ?? code}`)));
    this.#child.stdin.on('error', () => {}); // The handler of the exit reports the reason.
    createInterface({ input: this.#child.stdout }).on('line', (line) => this.#waiting.shift().resolve(line));
  }

  /** Writes a line of input, and returns the next line of output. */
  ask(line) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${line}\n`);
    });
  }

  stop() {
    this.#child.stdin.end();
  }

  #fail(error) {
    this.#waiting.splice(0).forEach(({ reject }) => reject(error));
  }
}

const all = [];
const idle = new Map();

/** A process that an earlier test has released, or a new one. They are reused because some take long to start. */
export function takeProcess(program, args) {
  const process = idle.get([program, ...args].join(' '))?.pop();
  if (process) return process;
  all.push(new LineProcess(program, args));
  return all.at(-1);
}

/** Releases a process for later tests. */
export function giveBack(process) {
  if (!idle.has(process.name)) idle.set(process.name, []);
  idle.get(process.name).push(process);
}

// This includes processes that a failed test has not released.
after(() => all.forEach((process) => process.stop()));
