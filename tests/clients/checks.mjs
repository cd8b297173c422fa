// Runs named checks one after the other and tells which of them failed, and why.
//
// Where the node is comes from the environment, so that a script can be run by hand against any node:
//   ZKOS_RPC_URL     HTTP endpoint          ZKOS_WS_URL   WebSocket endpoint of the same node
//   ZKOS_L1_RPC_URL  its settlement layer   ZKOS_KEY      key of an account with ether on the chain
//   ZKOS_IPC_PATH    Unix socket
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

/** How long a check may take on a loaded machine, milliseconds. */
const DEADLINE = 60_000;

function required(name) {
  const value = process.env[name];
  if (!value) {
    console.error(`${name} is not set`);
    process.exit(2);
  }
  return value;
}

export const environment = {
  rpcUrl: required("ZKOS_RPC_URL"),
  wsUrl: required("ZKOS_WS_URL"),
  l1Url: required("ZKOS_L1_RPC_URL"),
  key: required("ZKOS_KEY"),
  ipcPath: process.env.ZKOS_IPC_PATH,
};

/** ABI and creation code by contract name. */
export const artifacts = JSON.parse(readFileSync(new URL("contracts/artifacts.json", import.meta.url), "utf8"));

/** What a promise gives, or a failure that names what was waited for. */
export async function within(what, promise, milliseconds = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`gave up waiting for ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Asks until the answer is truthy. */
export async function until(what, ask) {
  const started = Date.now();
  for (;;) {
    const answer = await ask();
    if (answer) return answer;
    if (Date.now() - started > DEADLINE) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The error that a promise must end with. */
export async function refused(promise) {
  try {
    const value = await promise;
    assert.fail(`no error, but ${JSON.stringify(value, (_, v) => (typeof v === "bigint" ? `${v}` : v))}`);
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error;
    return error;
  }
}

/** Runs `[name, function]` pairs in order; ends the process. */
export async function run(checks) {
  const only = process.argv[2];
  let failed = 0;
  for (const [name, check] of checks) {
    if (only && !name.includes(only)) continue;
    const started = Date.now();
    try {
      await within(`check "${name}"`, check());
      console.log(`ok      ${name} (${Date.now() - started} ms)`);
    } catch (error) {
      failed += 1;
      console.log(`FAILED  ${name}\n${error.stack ?? error}`);
      if (error.cause) console.log(`cause: ${error.cause.stack ?? error.cause}`);
    }
  }
  console.log(failed ? `${failed} of ${checks.length} checks failed` : `all ${checks.length} checks passed`);
  // Open connections would keep the process alive.
  process.exit(failed ? 1 : 0);
}
