// Generator of the local chain: see generate.sh.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { blakeHex, fromHex, genesisRoot, keccakHex, toHex, uint } from "./lib/genesis.mjs";
import { concatBytes } from "@noble/hashes/utils";

const L1_DIR = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const ROOT_DIR = path.resolve(L1_DIR, "../..");
const BUILD_DIR = path.join(L1_DIR, "build");
const GENESIS_FILE = path.join(ROOT_DIR, "genesis.json");
const STATE_FILE = path.join(L1_DIR, "zkos-l1-state.json");
const DEPLOYMENT_FILE = path.join(L1_DIR, "deployment.json");

const ANVIL_VERSION = "1.7.1";
const HARDFORK = "prague";
const L1_CHAIN_ID = 31337;
const L2_CHAIN_ID = 270;
const PROTOCOL_VERSION = "0.30.2";
const EXECUTION_VERSION = 5;
// Fixed, and in the past of every machine: L1 time must not run ahead of the node's.
const L1_GENESIS_TIMESTAMP = 1_760_000_000;

// anvil's own mnemonic and the accounts taken from it.
const MNEMONIC = "test test test test test test test test test test test junk";
const GOVERNOR_INDEX = 0;
const OPERATOR_INDEX = { commit: 7, prove: 8, execute: 9 };
const RICH = {
  address: "0x36615Cf349d7F6344891B1e7CA7C72883F5dc049",
  privateKey: "0x7726827caac94a7f9e1b160f7ea819f172f7b6f9d2a97f992c38edeab82d4110",
};
const ETHER = 10n ** 18n;
const RICH_L1_BALANCE = 5_000n * ETHER;
const DEPOSITS = [100n, 100n, 100n, 100n, 100n].map((amount) => amount * ETHER);

function fail(message) {
  console.error(`l1-state: ${message}`);
  process.exit(1);
}

function run(tool, args, options = {}) {
  const result = spawnSync(path.join(L1_DIR, "bin", tool), args, {
    cwd: L1_DIR,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    ...options,
  });
  if (result.error) fail(`${tool}: ${result.error.message}`);
  if (result.status !== 0) fail(`${tool} ${args[0]} failed:\n${result.stdout}\n${result.stderr}`);
  return result.stdout;
}

const privateKey = (index) =>
  run("cast", ["wallet", "private-key", "--mnemonic", MNEMONIC, "--mnemonic-index", String(index)]).trim();
const addressOf = (key) => run("cast", ["wallet", "address", "--private-key", key]).trim();

// ---------------------------------------------------------------------------------------- L2 genesis

/** Runtime code of a compiled contract; must be complete, since no constructor runs on L2. */
function runtimeCode(contract, file) {
  const artifact = JSON.parse(readFileSync(path.join(L1_DIR, "out", file, `${contract}.json`), "utf8"));
  const { object, linkReferences, immutableReferences } = artifact.deployedBytecode;
  if (Object.keys(linkReferences ?? {}).length || Object.keys(immutableReferences ?? {}).length) {
    fail(`${contract} has immutables or libraries: its code is not complete without a constructor`);
  }
  return fromHex(object);
}

/** Address of an implementation behind a system proxy. */
const implementationAddress = (info) => `0x${keccakHex(concatBytes(new Uint8Array(32), info)).slice(26)}`;
const addressWord = (address) => `0x${address.replace(/^0x/, "").padStart(64, "0")}`;

/** abi.encode(bytes32 blake2s, uint32 length, bytes32 keccak) */
const bytecodeInfo = (code) => concatBytes(fromHex(blakeHex(code)), uint(code.length, 32), fromHex(keccakHex(code)));
/** abi.encode(bytes, bytes) of two infos */
const infoPair = (implementation, proxy) =>
  toHex(concatBytes(uint(0x40, 32), uint(0xc0, 32), uint(0x60, 32), implementation, uint(0x60, 32), proxy));

function buildGenesis() {
  const proxy = runtimeCode("SystemContractProxy", "SystemProxy.sol");
  const upgrader = runtimeCode("ComplexUpgrader", "ComplexUpgrader.sol");
  const upgraderAddress = implementationAddress(bytecodeInfo(upgrader));
  const UPGRADER = "0x000000000000000000000000000000000000800f";
  const PROXY_ADMIN = "0x000000000000000000000000000000000001000c";
  const genesis = {
    initial_contracts: [
      [UPGRADER, toHex(proxy)],
      ["0x0000000000000000000000000000000000010001", toHex(runtimeCode("GenesisUpgrade", "GenesisUpgrade.sol"))],
      ["0x0000000000000000000000000000000000010007", toHex(runtimeCode("WrappedBaseToken", "WrappedBaseToken.sol"))],
      [PROXY_ADMIN, toHex(runtimeCode("SystemContractProxyAdmin", "SystemProxy.sol"))],
      [upgraderAddress, toHex(upgrader)],
    ],
    additional_storage: {
      [UPGRADER]: {
        // EIP-1967 implementation and admin
        "0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc": addressWord(upgraderAddress),
        "0xb53127684a568b3173ae13b9f8a6016e243e63b6e8ee1178d6a717850b5d6103": addressWord(PROXY_ADMIN),
      },
      [PROXY_ADMIN]: {
        // owner
        [addressWord("0x0")]: addressWord(UPGRADER),
      },
    },
    additional_storage_raw: [],
    execution_version: EXECUTION_VERSION,
  };
  genesis.genesis_root = genesisRoot(genesis);
  return genesis;
}

/** What the deploy script needs to know about the L2 system contracts. */
function systemContracts() {
  const proxy = runtimeCode("SystemContractProxy", "SystemProxy.sol");
  const implementations = {
    bridgehub: runtimeCode("L2Bridgehub", "SystemContracts.sol"),
    assetRouter: runtimeCode("L2AssetRouter", "L2AssetRouter.sol"),
    nativeTokenVault: runtimeCode("L2NativeTokenVault", "L2NativeTokenVault.sol"),
    messageRoot: runtimeCode("L2MessageRoot", "SystemContracts.sol"),
    beaconDeployer: runtimeCode("NTVBeaconDeployer", "BridgedToken.sol"),
    chainAssetHandler: runtimeCode("L2ChainAssetHandler", "SystemContracts.sol"),
  };
  const info = {};
  for (const [name, code] of Object.entries(implementations)) {
    info[name] = infoPair(bytecodeInfo(code), bytecodeInfo(proxy));
  }
  return {
    info,
    tokenProxyHash: keccakHex(runtimeCode("TokenProxy", "BridgedToken.sol")),
    factoryDeps: [...Object.values(implementations), proxy].map(toHex),
  };
}

// ---------------------------------------------------------------------------------------- anvil

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

class Anvil {
  static async start(args) {
    const port = await freePort();
    const child = spawn(path.join(L1_DIR, "bin/anvil"), ["--port", String(port), "--silent", ...args], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const anvil = new Anvil(`http://127.0.0.1:${port}`, child);
    const deadline = Date.now() + 30_000;
    for (;;) {
      if (child.exitCode !== null) fail(`anvil ended with code ${child.exitCode}`);
      try {
        await anvil.call("eth_chainId");
        return anvil;
      } catch (error) {
        if (Date.now() > deadline) fail(`anvil does not answer: ${error.message}`);
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  constructor(url, child) {
    this.url = url;
    this.child = child;
    process.on("exit", () => child.kill("SIGKILL"));
  }

  async call(method, ...params) {
    const response = await fetch(this.url, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method, params }),
    });
    const { result, error } = await response.json();
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  stop() {
    const ended = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill("SIGINT");
    return ended;
  }
}

// ---------------------------------------------------------------------------------------- state file

/** Objects with sorted keys: anvil writes hash maps in whatever order they have. */
function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

/** Drops call traces, which triple the size and which nothing here reads, and what differs from run to run. */
function tidy(state) {
  for (const transaction of state.transactions) transaction.info.traces = [];
  state.historical_states = null;
  // Blocks and transactions come out of a hash map as well.
  state.blocks.sort((a, b) => Number(a.header.number) - Number(b.header.number));
  state.transactions.sort(
    (a, b) => Number(a.block_number) - Number(b.block_number) || a.info.transaction_index - b.info.transaction_index,
  );
  return sorted(state);
}

// ---------------------------------------------------------------------------------------- main

async function main() {
  const version = run("anvil", ["--version"]);
  if (!version.includes(ANVIL_VERSION)) fail(`anvil ${ANVIL_VERSION} is needed, found: ${version.split("\n")[0]}`);
  rmSync(BUILD_DIR, { recursive: true, force: true });
  mkdirSync(BUILD_DIR, { recursive: true });

  console.log("l1-state: compiling contracts");
  run("forge", ["build"]);
  const genesis = buildGenesis();
  const operators = {};
  const operatorKeys = {};
  for (const [role, index] of Object.entries(OPERATOR_INDEX)) {
    operatorKeys[role] = privateKey(index);
    operators[role] = addressOf(operatorKeys[role]);
  }
  const governorKey = privateKey(GOVERNOR_INDEX);
  writeFileSync(
    path.join(BUILD_DIR, "deploy-input.json"),
    JSON.stringify({
      chainId: L2_CHAIN_ID,
      governorKey,
      richKey: RICH.privateKey,
      richL1Balance: `0x${RICH_L1_BALANCE.toString(16)}`,
      deposits: DEPOSITS.map((amount) => `0x${amount.toString(16)}`),
      operators,
      genesisRoot: genesis.genesis_root,
      ...systemContracts(),
    }),
  );

  console.log("l1-state: deploying to anvil");
  const dump = path.join(BUILD_DIR, "dump.json");
  const anvil = await Anvil.start([
    "--hardfork", HARDFORK,
    "--chain-id", String(L1_CHAIN_ID),
    "--timestamp", String(L1_GENESIS_TIMESTAMP),
    "--mnemonic", MNEMONIC,
    "--dump-state", dump,
  ]);
  // One second per block, whatever the machine's speed.
  await anvil.call("anvil_setBlockTimestampInterval", 1);
  run("forge", [
    "script", "scripts/Deploy.s.sol:Deploy",
    "--rpc-url", anvil.url,
    "--broadcast", "--slow", "--skip-simulation",
    "--with-gas-price", "2gwei", "--priority-gas-price", "1gwei",
  ]);
  const deployed = JSON.parse(readFileSync(path.join(BUILD_DIR, "deploy-output.json"), "utf8"));
  const head = Number(await anvil.call("eth_blockNumber"));
  await anvil.stop();

  const state = tidy(JSON.parse(readFileSync(dump, "utf8")));
  const { l2_chain_id, ...contracts } = deployed;
  const deployment = {
    anvil_version: ANVIL_VERSION,
    l1_chain_id: L1_CHAIN_ID,
    l1_head_block: head,
    l2_chain_id,
    protocol_version: PROTOCOL_VERSION,
    pubdata_mode: "Calldata",
    genesis_root: genesis.genesis_root,
    contracts,
    governor: { address: addressOf(governorKey), private_key: governorKey },
    operators: Object.fromEntries(
      Object.keys(operators).map((role) => [role, { address: operators[role], private_key: operatorKeys[role] }]),
    ),
    rich_account: { address: RICH.address, private_key: RICH.privateKey },
  };
  writeFileSync(GENESIS_FILE, `${JSON.stringify(genesis, null, 2)}\n`);
  writeFileSync(STATE_FILE, JSON.stringify(state));
  writeFileSync(DEPLOYMENT_FILE, `${JSON.stringify(deployment, null, 2)}\n`);
  console.log(`l1-state: wrote ${[GENESIS_FILE, STATE_FILE, DEPLOYMENT_FILE].join(", ")}`);
}

await main();
