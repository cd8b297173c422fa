// viem against a node.
import assert from "node:assert/strict";
import {
  BaseError,
  ContractFunctionRevertedError,
  createPublicClient,
  createWalletClient,
  decodeFunctionResult,
  defineChain,
  encodeFunctionData,
  getContractAddress,
  http,
  keccak256,
  pad,
  parseEther,
  parseGwei,
  parseTransaction,
  toHex,
  webSocket,
} from "viem";
import { generatePrivateKey, privateKeyToAccount } from "viem/accounts";
import { ipc } from "viem/node";
import { artifacts, environment, refused, run, until } from "./checks.mjs";

const chain = defineChain({
  id: 270,
  name: "local",
  nativeCurrency: { name: "Ether", symbol: "ETH", decimals: 18 },
  rpcUrls: { default: { http: [environment.rpcUrl], webSocket: [environment.wsUrl] } },
});
// viem polls every 4 s by default, and keeps the head for as long.
const options = { chain, pollingInterval: 100, cacheTime: 0 };
const client = createPublicClient({ ...options, transport: http() });
const batched = createPublicClient({ ...options, transport: http(undefined, { batch: true }) });
const subscribed = createPublicClient({ ...options, transport: webSocket() });
const account = privateKeyToAccount(environment.key);
const wallet = createWalletClient({ ...options, account, transport: http() });
const somebody = "0x2222222222222222222222222222222222222222";
const { abi, bytecode } = artifacts.Probe;
let probe;

const slot = (n) => pad(toHex(n), { size: 32 });
const mined = async (hash) => client.waitForTransactionReceipt({ hash: await hash });
const write = (functionName, args, more = {}) => wallet.writeContract({ address: probe, abi, functionName, args, ...more });
const read = (functionName, args, more = {}) => client.readContract({ address: probe, abi, functionName, args, ...more });

async function network() {
  assert.equal(await client.getChainId(), 270);
  assert.ok((await client.getBlockNumber()) >= 1n);
  assert.ok((await client.getBalance({ address: account.address })) > parseEther("1"));
  const fees = await client.estimateFeesPerGas();
  assert.ok(fees.maxFeePerGas > 0n && fees.maxPriorityFeePerGas >= 0n);
  assert.ok((await client.getGasPrice()) > 0n);
  assert.equal(await client.estimateMaxPriorityFeePerGas(), 0n);
  assert.ok((await client.getBlobBaseFee()) >= 0n);
}

async function deploys() {
  const nonce = BigInt(await client.getTransactionCount({ address: account.address }));
  const receipt = await mined(wallet.deployContract({ abi, bytecode, args: [7n], value: 3n }));
  assert.equal(receipt.status, "success");
  assert.equal(receipt.to, null);
  const expected = getContractAddress({ from: account.address, nonce });
  assert.equal(receipt.contractAddress, expected.toLowerCase());
  probe = expected;
  assert.ok(bytecode.includes((await client.getCode({ address: probe })).slice(2)));
  assert.equal(await client.getBalance({ address: probe }), 3n);
  assert.equal(await client.getStorageAt({ address: probe, slot: slot(0) }), slot(7));
  assert.equal(await client.getCode({ address: probe, blockNumber: receipt.blockNumber - 1n }), undefined);
}

async function calls() {
  const blockNumber = await client.getBlockNumber();
  const { result, request } = await client.simulateContract({ account, address: probe, abi, functionName: "store", args: [42n, "calls"] });
  assert.equal(result, 7n);
  await mined(wallet.writeContract(request));
  assert.equal(await read("value"), 42n);
  assert.equal(await read("value", [], { blockNumber }), 7n);
  for (const blockTag of ["latest", "pending"]) assert.equal(await read("value", [], { blockTag }), 42n);
  const overridden = await client.call({
    to: probe,
    data: encodeFunctionData({ abi, functionName: "value" }),
    stateOverride: [{ address: probe, stateDiff: [{ slot: slot(0), value: slot(77) }] }],
  });
  assert.equal(decodeFunctionResult({ abi, functionName: "value", data: overridden.data }), 77n);
  const gas = await client.estimateContractGas({ account, address: probe, abi, functionName: "store", args: [1n, "estimated"] });
  assert.ok(gas > 21_000n);
}

async function simulates() {
  const { results } = await client.simulateCalls({
    account,
    calls: [
      { to: probe, abi, functionName: "store", args: [50n, "simulated"] },
      { to: probe, abi, functionName: "value" },
      { to: probe, abi, functionName: "failCustom", args: [1n] },
    ],
  });
  assert.deepEqual(results.map((call) => call.status), ["success", "success", "failure"]);
  assert.equal(results[1].result, 50n);
  const [block] = await client.simulateBlocks({ blocks: [{ calls: [{ to: probe, abi, functionName: "value" }] }] });
  assert.equal(block.calls[0].result, 42n);
}

// Every type of transaction that a user can send, its response, its receipt and its signed form.
async function sends(request, type) {
  const hash = await wallet.sendTransaction(request);
  const receipt = await mined(hash);
  assert.equal(receipt.status, "success");
  assert.equal(receipt.type, type);
  const found = await client.getTransaction({ hash });
  assert.equal(found.type, type);
  assert.equal(found.from, account.address.toLowerCase());
  assert.equal(found.blockHash, receipt.blockHash);
  assert.equal(found.chainId, 270);
  const raw = await client.getRawTransaction({ hash });
  assert.equal(keccak256(raw), hash);
  const signed = parseTransaction(raw);
  assert.equal(signed.type, type);
  assert.deepEqual([BigInt(signed.r), BigInt(signed.s)], [BigInt(found.r), BigInt(found.s)]);
  return { found, receipt };
}

async function legacyTransactions() {
  const gasPrice = (await client.getGasPrice()) * 2n;
  const { receipt } = await sends({ to: somebody, value: 1n, gasPrice, type: "legacy" }, "legacy");
  assert.equal(receipt.effectiveGasPrice, gasPrice);
  assert.equal(receipt.gasUsed, 21_000n);
}

async function accessListTransactions() {
  const data = encodeFunctionData({ abi, functionName: "store", args: [5n, "2930"] });
  const asked = await client.createAccessList({ account, to: probe, data });
  assert.ok(asked.accessList.some((entry) => entry.storageKeys.includes(slot(0))));
  const gasPrice = (await client.getGasPrice()) * 2n;
  const accessList = [{ address: probe.toLowerCase(), storageKeys: [slot(0)] }];
  const { found } = await sends({ to: probe, data, accessList, gasPrice, type: "eip2930" }, "eip2930");
  assert.deepEqual(found.accessList, accessList);
}

async function dynamicFeeTransactions() {
  const maxFeePerGas = parseGwei("10");
  const { found, receipt } = await sends({ to: somebody, value: 2n, maxFeePerGas, maxPriorityFeePerGas: 1n }, "eip1559");
  assert.equal(found.maxFeePerGas, maxFeePerGas);
  const { baseFeePerGas } = await client.getBlock({ blockNumber: receipt.blockNumber });
  assert.equal(receipt.effectiveGasPrice, baseFeePerGas + 1n);
}

async function delegatingTransactions() {
  const authority = privateKeyToAccount(generatePrivateKey());
  const authorization = await wallet.signAuthorization({ account: authority, contractAddress: probe });
  const data = encodeFunctionData({ abi, functionName: "store", args: [11n, "7702"] });
  const { found, receipt } = await sends({ to: authority.address, data, authorizationList: [authorization] }, "eip7702");
  assert.equal(found.authorizationList[0].address, probe.toLowerCase());
  assert.equal(receipt.logs[0].address, authority.address.toLowerCase());
  assert.equal(await client.getDelegation({ address: authority.address }), probe);
  assert.equal(await client.getStorageAt({ address: authority.address, slot: slot(0) }), slot(11));
}

async function decoded(promise) {
  const error = await refused(promise);
  assert.ok(error instanceof BaseError, error);
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(reverted, error);
  return reverted;
}

async function reverts() {
  const custom = await decoded(read("failCustom", [5n], { account }));
  assert.deepEqual([custom.data.errorName, custom.data.args], ["Refused", [account.address, 5n]]);
  assert.equal((await decoded(read("failString", ["no such thing"]))).reason, "no such thing");
  const panic = await decoded(read("failPanic", [0n]));
  assert.deepEqual([panic.data.errorName, panic.data.args], ["Panic", [18n]]);
  assert.ok(await decoded(read("failSilently")));
  const nested = await decoded(client.simulateContract({ account, address: probe, abi, functionName: "failNested", args: [9n] }));
  assert.deepEqual(nested.data.args, [probe, 9n]);
  const estimate = await decoded(client.estimateContractGas({ account, address: probe, abi, functionName: "failCustom", args: [6n] }));
  assert.equal(estimate.data.errorName, "Refused");
  // Included, and failed.
  const failed = await mined(write("failNested", [10n], { gas: 300_000n }));
  assert.deepEqual([failed.status, failed.logs], ["reverted", []]);
}

async function logs() {
  const first = await mined(write("store", [100n, "first"]));
  const second = await mined(write("store", [101n, "second"]));
  const range = { fromBlock: first.blockNumber, toBlock: second.blockNumber };
  const all = await client.getContractEvents({ address: probe, abi, eventName: "Stored", ...range });
  assert.deepEqual(all.map((log) => log.args.note), ["first", "second"]);
  const one = await client.getContractEvents({ address: probe, abi, eventName: "Stored", args: { value: 101n }, ...range });
  assert.deepEqual(one.map((log) => log.transactionHash), [second.transactionHash]);
  const byHash = await client.getLogs({ address: probe, blockHash: first.blockHash });
  assert.equal(byHash.length, 1);
  assert.ok(byHash[0].blockTimestamp > 0n);
}

async function filters() {
  const filter = await client.createContractEventFilter({ address: probe, abi, eventName: "Stored" });
  const blocks = await client.createBlockFilter();
  const pending = await client.createPendingTransactionFilter();
  const receipt = await mined(write("store", [200n, "filtered"]));
  const seen = await client.getFilterChanges({ filter });
  assert.deepEqual(seen.map((log) => [log.args.note, log.transactionHash]), [["filtered", receipt.transactionHash]]);
  assert.deepEqual(await client.getFilterChanges({ filter }), []);
  assert.ok((await client.getFilterChanges({ filter: blocks })).includes(receipt.blockHash));
  assert.ok((await client.getFilterChanges({ filter: pending })).includes(receipt.transactionHash));
  const ranged = await client.createContractEventFilter({ address: probe, abi, fromBlock: receipt.blockNumber });
  assert.equal((await client.getFilterLogs({ filter: ranged })).length, 1);
  for (const installed of [filter, blocks, pending, ranged]) {
    assert.equal(await client.uninstallFilter({ filter: installed }), true);
  }
}

// What watches by polling and what watches by subscription sees the same.
async function watches(source) {
  const seen = { numbers: [], blocks: [], events: [], pending: new Set(), errors: [] };
  const onError = (error) => seen.errors.push(error);
  const stop = [
    source.watchBlockNumber({ onBlockNumber: (number) => seen.numbers.push(number), onError }),
    source.watchBlocks({ onBlock: (block) => seen.blocks.push(block.number), onError, includeTransactions: true }),
    source.watchPendingTransactions({ onTransactions: (hashes) => hashes.forEach((hash) => seen.pending.add(hash)), onError }),
    source.watchContractEvent({
      address: probe,
      abi,
      eventName: "Stored",
      onLogs: (logs) => seen.events.push(...logs.map((log) => log.args.note)),
      onError,
    }),
  ];
  try {
    // The watchers are there when they have seen something.
    await until("the watchers", async () => {
      await mined(wallet.sendTransaction({ to: somebody, value: 1n }));
      return seen.numbers.length > 0 && seen.blocks.length > 0 && seen.pending.size > 0;
    });
    await until("an event", async () => {
      await mined(write("store", [300n, "watched"]));
      return seen.events.length > 0;
    });
    const receipt = await mined(write("store", [301n, "last"]));
    await until("the last event", () => seen.events.includes("last"));
    await until("the last block", () => seen.blocks.includes(receipt.blockNumber));
    assert.equal(seen.events.filter((note) => note === "last").length, 1);
    assert.deepEqual(seen.errors, []);
  } finally {
    stop.forEach((unwatch) => unwatch());
  }
}

async function waiting() {
  const hash = await wallet.sendTransaction({ to: somebody, value: 3n });
  const confirmed = client.waitForTransactionReceipt({ hash, confirmations: 2 });
  const first = await client.waitForTransactionReceipt({ hash });
  await mined(wallet.sendTransaction({ to: somebody, value: 3n }));
  assert.equal((await confirmed).blockHash, first.blockHash);
  assert.ok((await client.getTransactionConfirmations({ hash })) >= 2n);
  const unknown = "0x" + "12".repeat(32);
  assert.equal((await refused(client.getTransaction({ hash: unknown }))).name, "TransactionNotFoundError");
  assert.equal((await refused(client.getTransactionReceipt({ hash: unknown }))).name, "TransactionReceiptNotFoundError");
  assert.equal((await refused(client.getBlock({ blockNumber: 1_000_000_000n }))).name, "BlockNotFoundError");
}

async function refusals() {
  const cause = async (promise) => (await refused(promise)).walk((error) => error.name !== "TransactionExecutionError").name;
  const nonce = await client.getTransactionCount({ address: account.address });
  const request = { to: somebody, gas: 21_000n };
  assert.equal(await cause(wallet.sendTransaction({ ...request, nonce: nonce - 1 })), "NonceTooLowError");
  const poor = createWalletClient({ ...options, account: privateKeyToAccount(generatePrivateKey()), transport: http() });
  assert.equal(await cause(poor.sendTransaction({ ...request, value: 1n })), "InsufficientFundsError");
  assert.equal(await cause(wallet.sendTransaction({ ...request, gas: 20_000n })), "IntrinsicGasTooLowError");
  const tip = { maxFeePerGas: parseGwei("1"), maxPriorityFeePerGas: 1n };
  const fees = [tip, { maxFeePerGas: parseGwei("2"), maxPriorityFeePerGas: 2n }];
  // The first one waits for the nonce before it, so that there is something to replace.
  const hashes = [];
  for (const fee of fees) hashes.push(await wallet.sendTransaction({ ...request, nonce: nonce + 1, ...fee }));
  const cheap = await refused(wallet.sendTransaction({ ...request, nonce: nonce + 1, ...tip, value: 1n }));
  assert.match(cheap.details, /replacement transaction underpriced/);
  await mined(wallet.sendTransaction({ ...request, nonce }));
  assert.equal((await mined(hashes[1])).status, "success");
}

async function everyBlock() {
  const types = new Set();
  const head = await client.getBlockNumber();
  for (let blockNumber = 0n; blockNumber <= head; blockNumber += 1n) {
    const block = await client.getBlock({ blockNumber, includeTransactions: true });
    assert.equal(block.number, blockNumber);
    for (const tx of block.transactions) {
      types.add(tx.typeHex);
      assert.equal((await client.getTransaction({ hash: tx.hash })).blockHash, block.hash);
      assert.equal((await client.getTransaction({ blockNumber, index: tx.transactionIndex })).hash, tx.hash);
    }
    const receipts = await client.getBlockReceipts({ blockNumber });
    assert.deepEqual(receipts.map((receipt) => receipt.transactionHash), block.transactions.map((tx) => tx.hash));
    for (const receipt of receipts) {
      assert.deepEqual(await client.getTransactionReceipt({ hash: receipt.transactionHash }), receipt);
    }
    assert.equal(await client.getBlockTransactionCount({ blockNumber }), block.transactions.length);
  }
  for (const type of ["0x0", "0x1", "0x2", "0x4", "0x7e", "0x7f"]) assert.ok(types.has(type), `no transaction of type ${type}`);
}

async function tags() {
  const numbers = [];
  for (const blockTag of ["earliest", "finalized", "safe", "latest", "pending"]) numbers.push((await client.getBlock({ blockTag })).number);
  assert.equal(numbers[0], 0n);
  assert.deepEqual(numbers, [...numbers].sort((a, b) => Number(a - b)));
}

async function feeHistory() {
  const history = await client.getFeeHistory({ blockCount: 3, rewardPercentiles: [25, 75] });
  assert.deepEqual([history.baseFeePerGas.length, history.gasUsedRatio.length], [4, 3]);
  assert.deepEqual(history.reward.map((row) => row.length), [2, 2, 2]);
  const { baseFeePerGas } = await client.getBlock({ blockNumber: history.oldestBlock });
  assert.equal(history.baseFeePerGas[0], baseFeePerGas);
}

async function traces() {
  const receipt = await mined(write("storeNested", [400n]));
  const hash = receipt.transactionHash;
  const call = await client.request({ method: "debug_traceTransaction", params: [hash, { tracer: "callTracer" }] });
  assert.equal(call.calls.length, 1);
  assert.equal(BigInt(call.gasUsed), receipt.gasUsed);
  const parity = await client.request({ method: "trace_transaction", params: [hash] });
  assert.deepEqual(parity.map((trace) => trace.traceAddress), [[], [0]]);
}

async function batches() {
  const head = await batched.getBlockNumber();
  const numbers = Array.from({ length: 50 }, (_, i) => BigInt(i) % (head + 1n));
  const blocks = await Promise.all(numbers.map((blockNumber) => batched.getBlock({ blockNumber })));
  assert.deepEqual(blocks.map((block) => block.number), numbers);
}

async function synchronousSend() {
  const receipt = await wallet.sendTransactionSync({ to: somebody, value: 4n });
  assert.equal(receipt.status, "success");
  assert.deepEqual(await client.getTransactionReceipt({ hash: receipt.transactionHash }), receipt);
}

async function fills() {
  const request = { from: account.address, to: somebody, value: "0x5" };
  const { raw, tx } = await client.request({ method: "eth_fillTransaction", params: [request] });
  assert.equal(BigInt(tx.value), 5n);
  assert.equal(Number(tx.nonce), await client.getTransactionCount({ address: account.address, blockTag: "pending" }));
  assert.ok(BigInt(tx.gas) >= 21_000n && raw.startsWith("0x02"));
}

async function throughSocket() {
  const socket = createPublicClient({ ...options, transport: ipc(environment.ipcPath) });
  assert.equal(await socket.getChainId(), 270);
  const numbers = Array.from({ length: 100 }, (_, i) => BigInt(i) % 3n);
  const blocks = await Promise.all(numbers.map((blockNumber) => socket.getBlock({ blockNumber })));
  assert.deepEqual(blocks.map((block) => block.number), numbers);
  await watches(socket);
}

await run([
  ["network, balances and fees", network],
  ["deploys contracts", deploys],
  ["calls at any block, overrides", calls],
  ["simulates", simulates],
  ["legacy transactions", legacyTransactions],
  ["EIP-2930 transactions", accessListTransactions],
  ["EIP-1559 transactions", dynamicFeeTransactions],
  ["EIP-7702 transactions", delegatingTransactions],
  ["reverts are decoded", reverts],
  ["logs", logs],
  ["polled filters", filters],
  ["watches by polling", () => watches(client)],
  ["watches by subscription over WebSocket", () => watches(subscribed)],
  ["waits for transactions", waiting],
  ["refusals are told apart", refusals],
  ["every block, transaction and receipt parses", everyBlock],
  ["tags", tags],
  ["fee history", feeHistory],
  ["traces", traces],
  ["JSON-RPC batches", batches],
  ["synchronous send", synchronousSend],
  ["fills transactions", fills],
  ...(environment.ipcPath ? [["Unix socket", throughSocket]] : []),
]);
