// ethers v6 against a node.
import assert from "node:assert/strict";
import {
  Contract,
  ContractFactory,
  JsonRpcProvider,
  NonceManager,
  Transaction,
  Wallet,
  WebSocketProvider,
  getCreateAddress,
  keccak256,
  parseEther,
  parseUnits,
  toBeHex,
  zeroPadValue,
} from "ethers";
import { artifacts, environment, refused, run, until, within } from "./checks.mjs";

// Polls often (every 4 s is its default), and does not remember answers.
const options = { pollingInterval: 100, cacheTimeout: -1 };
const provider = new JsonRpcProvider(environment.rpcUrl, undefined, options);
const websocket = new WebSocketProvider(environment.wsUrl);
const wallet = new Wallet(environment.key, provider);
const somebody = "0x1111111111111111111111111111111111111111";
let probe;
let token;

const slot = (n) => zeroPadValue(toBeHex(n), 32);
const mined = async (sent) => (await sent).wait();

async function network() {
  const { chainId } = await provider.getNetwork();
  assert.equal(chainId, 270n);
  assert.ok((await provider.getBlockNumber()) >= 1);
  assert.ok((await provider.getBalance(wallet.address)) > parseEther("1"));
  const fees = await provider.getFeeData();
  assert.ok(fees.gasPrice > 0n && fees.maxFeePerGas >= fees.gasPrice && fees.maxPriorityFeePerGas !== null);
  assert.match(await provider.send("web3_clientVersion", []), /^zksync-os\/|^zkos\//);
  assert.equal(await provider.send("net_version", []), "270");
}

async function deploys() {
  const nonce = await wallet.getNonce();
  const { abi, bytecode } = artifacts.Probe;
  const deployed = await new ContractFactory(abi, bytecode, wallet).deploy(7, { value: 3n });
  const receipt = await deployed.deploymentTransaction().wait();
  assert.equal(receipt.status, 1);
  assert.equal(receipt.to, null);
  assert.equal(receipt.contractAddress, getCreateAddress({ from: wallet.address, nonce }));
  assert.equal(receipt.contractAddress, await deployed.getAddress());
  assert.equal(await provider.getBalance(deployed), 3n);
  assert.equal(await deployed.value(), 7n);
  assert.equal(await provider.getStorage(deployed, 0), slot(7));
  assert.ok(bytecode.includes((await provider.getCode(deployed)).slice(2)));
  assert.equal(await provider.getCode(deployed, receipt.blockNumber - 1), "0x");
  probe = new Contract(await deployed.getAddress(), abi, wallet);

  const factory = new ContractFactory(artifacts.Token.abi, artifacts.Token.bytecode, wallet);
  token = await (await factory.deploy(parseEther("1000"))).waitForDeployment();
  assert.equal(await token.symbol(), "CTT");
  assert.equal(await token.balanceOf(wallet), parseEther("1000"));
}

async function calls() {
  const before = await provider.getBlockNumber();
  const was = await probe.value();
  assert.equal(await probe.store.staticCall(99, "not stored"), was);
  const receipt = await mined(probe.store(42, "calls"));
  assert.equal(await probe.value(), 42n);
  assert.equal(await probe.value({ blockTag: before }), was);
  assert.equal(await probe.value({ blockTag: receipt.blockNumber }), 42n);
  for (const blockTag of ["latest", "pending"]) assert.equal(await probe.value({ blockTag }), 42n);
  const blockTag = { blockHash: receipt.blockHash };
  const call = { to: probe.target, data: probe.interface.encodeFunctionData("value") };
  assert.equal(BigInt(await provider.send("eth_call", [call, blockTag])), 42n);
  assert.ok((await probe.store.estimateGas(43, "estimated")) > 21_000n);
}

// Every type of transaction that a user can send, its response, its receipt and its signed form.
async function sends(request, type) {
  const response = await wallet.sendTransaction({ ...request, type });
  const receipt = await response.wait();
  assert.equal(receipt.status, 1);
  assert.equal(receipt.type, type);
  const found = await provider.getTransaction(response.hash);
  assert.equal(found.type, type);
  assert.equal(found.blockNumber, receipt.blockNumber);
  assert.equal(found.index, receipt.index);
  assert.equal(found.from, wallet.address);
  assert.equal(found.chainId, 270n);
  // Signature and fields are those that were signed.
  const signed = Transaction.from(await provider.send("eth_getRawTransactionByHash", [response.hash]));
  assert.equal(signed.hash, response.hash);
  assert.equal(Transaction.from(found).serialized, signed.serialized);
  assert.equal(keccak256(signed.serialized), response.hash);
  return { found, receipt };
}

async function legacyTransactions() {
  const { gasPrice } = await provider.getFeeData();
  const { receipt } = await sends({ to: somebody, value: 1n, gasPrice: gasPrice * 2n }, 0);
  assert.equal(receipt.gasPrice, gasPrice * 2n);
  assert.equal(receipt.gasUsed, 21_000n);
}

async function accessListTransactions() {
  const accessList = [{ address: probe.target, storageKeys: [slot(0)] }];
  const data = probe.interface.encodeFunctionData("store", [5, "2930"]);
  const { found } = await sends({ to: probe.target, data, accessList }, 1);
  assert.deepEqual(found.accessList, accessList);
  const asked = await provider.send("eth_createAccessList", [{ from: wallet.address, to: probe.target, data }]);
  assert.ok(asked.accessList.some((entry) => entry.storageKeys.includes(slot(0))));
}

async function dynamicFeeTransactions() {
  const maxFeePerGas = parseUnits("10", "gwei");
  const { found, receipt } = await sends(
    { to: somebody, value: 2n, maxFeePerGas, maxPriorityFeePerGas: 1n },
    2,
  );
  assert.equal(found.maxFeePerGas, maxFeePerGas);
  const block = await provider.getBlock(receipt.blockNumber);
  assert.equal(receipt.gasPrice, block.baseFeePerGas + 1n);
}

async function delegatingTransactions() {
  const authority = Wallet.createRandom(provider);
  const authorization = await authority.authorize({ address: probe.target, nonce: 0, chainId: 270 });
  const data = probe.interface.encodeFunctionData("store", [11, "7702"]);
  const { found, receipt } = await sends(
    { to: authority.address, data, authorizationList: [authorization], gasLimit: 500_000n },
    4,
  );
  assert.equal(found.authorizationList.length, 1);
  assert.equal(found.authorizationList[0].address, probe.target);
  assert.equal(receipt.logs[0].address, authority.address);
  assert.equal(await provider.getStorage(authority.address, 0), slot(11));
  const delegation = `0xef0100${probe.target.slice(2)}`.toLowerCase();
  assert.equal(await provider.getCode(authority.address), delegation);
  assert.equal(await authority.getNonce(), 1);
}

async function reverts() {
  const custom = await refused(probe.failCustom.staticCall(5));
  assert.equal(custom.code, "CALL_EXCEPTION");
  assert.equal(custom.revert.name, "Refused");
  assert.deepEqual([...custom.revert.args], [wallet.address, 5n]);
  const text = await refused(probe.failString.staticCall("no such thing"));
  assert.equal(text.reason, "no such thing");
  const panic = await refused(probe.failPanic.staticCall(0));
  assert.equal(panic.revert.name, "Panic");
  // Division by zero.
  assert.equal(BigInt(panic.revert.args[0]), 18n);
  const silent = await refused(probe.failSilently.staticCall());
  assert.equal(silent.code, "CALL_EXCEPTION");
  const nested = await refused(probe.failNested.staticCall(9));
  assert.deepEqual([...nested.revert.args], [probe.target, 9n]);
  // Gas can't be estimated for what fails, and the reason is the same.
  const estimate = await refused(probe.failCustom.estimateGas(6));
  assert.equal(estimate.code, "CALL_EXCEPTION");
  assert.equal(probe.interface.parseError(estimate.data).name, "Refused");
  // Included, and failed.
  const failed = await refused(mined(probe.failNested(10, { gasLimit: 300_000n })));
  assert.equal(failed.code, "CALL_EXCEPTION");
  assert.equal(failed.receipt.status, 0);
  assert.equal(failed.receipt.logs.length, 0);
  assert.notEqual(await probe.value(), 10n);
}

async function logs() {
  const first = await mined(probe.store(100, "first"));
  const second = await mined(probe.store(101, "second"));
  const range = [first.blockNumber, second.blockNumber];
  const all = await probe.queryFilter("Stored", ...range);
  assert.deepEqual(all.map((log) => log.args.note), ["first", "second"]);
  const one = await probe.queryFilter(probe.filters.Stored(null, 101), ...range);
  assert.deepEqual(one.map((log) => log.args.value), [101n]);
  assert.equal((await probe.queryFilter(probe.filters.Stored(somebody), ...range)).length, 0);
  const either = await probe.queryFilter([["0x" + "00".repeat(32), probe.interface.getEvent("Stored").topicHash]], ...range);
  assert.equal(either.length, 2);
  const byHash = await provider.getLogs({ blockHash: second.blockHash, address: probe.target });
  assert.equal(byHash.length, 1);
  assert.equal(byHash[0].transactionHash, second.hash);
  assert.equal(byHash[0].index, second.logs[0].index);
  assert.equal((await byHash[0].getBlock()).number, second.blockNumber);
  const backwards = await refused(provider.getLogs({ fromBlock: range[1] + 1, toBlock: range[0] }));
  assert.ok(backwards.error, "an upside-down range is an error of the node");
}

async function filters() {
  const install = (filter) => provider.send("eth_newFilter", [filter]);
  const id = await install({ address: probe.target });
  const blocks = await provider.send("eth_newBlockFilter", []);
  const pending = await provider.send("eth_newPendingTransactionFilter", []);
  const receipt = await mined(probe.store(200, "filtered"));
  const changes = (filter) => provider.send("eth_getFilterChanges", [filter]);
  const seen = await changes(id);
  assert.deepEqual(seen.map((log) => log.transactionHash), [receipt.hash]);
  assert.deepEqual(await changes(id), []);
  assert.ok((await changes(blocks)).includes(receipt.blockHash));
  assert.ok((await changes(pending)).includes(receipt.hash));
  // A log filter without a range starts at the head, as a query does.
  const ranged = await install({ address: probe.target, fromBlock: toBeHex(receipt.blockNumber) });
  assert.equal((await provider.send("eth_getFilterLogs", [ranged])).length, 1);
  for (const filter of [id, blocks, pending, ranged]) {
    assert.equal(await provider.send("eth_uninstallFilter", [filter]), true);
    assert.equal(await provider.send("eth_uninstallFilter", [filter]), false);
  }
  const gone = await refused(changes(id));
  assert.match(gone.error.message, /filter not found/);
}

// The listeners of a provider that polls and of one that subscribes behave alike.
async function listens(source) {
  const contract = probe.connect(source);
  const events = [];
  const blocks = [];
  const block = new Promise((resolve) => {
    source.on("block", (number) => {
      blocks.push(number);
      resolve();
    });
  });
  const pending = new Set();
  await source.on("pending", (hash) => pending.add(hash));
  await contract.on("Stored", (by, value, note) => events.push(`${by} ${value} ${note}`));
  // A block that comes tells that the listeners are there.
  await mined(wallet.sendTransaction({ to: somebody, value: 1n }));
  await within("a block", block);
  const receipt = await mined(probe.store(300, "listened"));
  await until("the event", () => events.length > 0);
  await until("the block", () => blocks.includes(receipt.blockNumber));
  await until("the pending transaction", () => pending.has(receipt.hash));
  assert.deepEqual(events, [`${wallet.address} 300 listened`]);
  assert.deepEqual(blocks, [...new Set(blocks)].sort((a, b) => a - b));
  await contract.removeAllListeners();
  await source.removeAllListeners();
}

async function subscriptions() {
  assert.equal(await websocket.send("eth_chainId", []), "0x10e");
  await listens(websocket);
}

async function waiting() {
  const sent = await wallet.sendTransaction({ to: somebody, value: 3n });
  const receipt = await provider.waitForTransaction(sent.hash, 1, 30_000);
  assert.equal(receipt.hash, sent.hash);
  // Confirmations come only with blocks, and blocks only with transactions.
  const confirmed = provider.waitForTransaction(sent.hash, 2, 30_000);
  await mined(wallet.sendTransaction({ to: somebody, value: 3n }));
  assert.equal((await confirmed).blockNumber, receipt.blockNumber);
  assert.ok((await receipt.confirmations()) >= 2);
  const unknown = "0x" + "12".repeat(32);
  assert.equal(await provider.getTransaction(unknown), null);
  assert.equal(await provider.getTransactionReceipt(unknown), null);
  assert.equal((await refused(provider.waitForTransaction(unknown, 1, 300))).code, "TIMEOUT");
}

async function nonces() {
  const manager = new NonceManager(wallet);
  const start = await wallet.getNonce("pending");
  const sent = await Promise.all(
    Array.from({ length: 8 }, () => manager.sendTransaction({ to: somebody, value: 1n, gasLimit: 21_000n })),
  );
  assert.deepEqual(sent.map((tx) => tx.nonce).sort((a, b) => a - b), Array.from({ length: 8 }, (_, i) => start + i));
  for (const tx of sent) assert.equal((await tx.wait()).status, 1);
  assert.equal(await wallet.getNonce(), start + 8);

  const used = await refused(wallet.sendTransaction({ to: somebody, nonce: start, gasLimit: 21_000n }));
  assert.equal(used.code, "NONCE_EXPIRED");
  // Ahead of the account's nonce: waits in the pool, and can be replaced for more money only.
  const ahead = { to: somebody, nonce: start + 9, gasLimit: 21_000n, maxPriorityFeePerGas: 10n };
  const { maxFeePerGas } = await provider.getFeeData();
  const waits = await wallet.sendTransaction({ ...ahead, maxFeePerGas });
  assert.equal((await provider.getTransaction(waits.hash)).blockNumber, null);
  assert.equal(await provider.getTransactionReceipt(waits.hash), null);
  assert.equal(await wallet.getNonce("pending"), start + 8);
  const cheap = await refused(wallet.sendTransaction({ ...ahead, maxFeePerGas, value: 1n }));
  assert.equal(cheap.code, "REPLACEMENT_UNDERPRICED");
  const dear = { ...ahead, maxFeePerGas: maxFeePerGas * 2n, maxPriorityFeePerGas: 20n };
  const replacement = await wallet.sendTransaction(dear);
  const gap = await wallet.sendTransaction({ to: somebody, nonce: start + 8, gasLimit: 21_000n });
  assert.equal((await gap.wait()).status, 1);
  assert.equal((await replacement.wait()).status, 1);
  assert.equal(await provider.getTransaction(waits.hash), null);
  const poor = Wallet.createRandom(provider);
  const broke = await refused(poor.sendTransaction({ to: somebody, value: 1n, gasLimit: 21_000n }));
  assert.equal(broke.code, "INSUFFICIENT_FUNDS");
  const estimate = await refused(poor.estimateGas({ to: somebody, value: parseEther("1") }));
  assert.equal(estimate.code, "INSUFFICIENT_FUNDS");
}

async function everyBlock() {
  const types = new Set();
  const head = await provider.getBlockNumber();
  for (let number = 0; number <= head; number += 1) {
    const block = await provider.getBlock(number, true);
    assert.equal(block.number, number);
    assert.equal(block.length, block.prefetchedTransactions.length);
    if (number > 0) {
      assert.equal(block.parentHash, (await provider.getBlock(number - 1)).hash);
      assert.equal((await provider.getBlock(block.hash)).number, number);
    }
    for (const tx of block.prefetchedTransactions) {
      types.add(tx.type);
      assert.equal((await provider.getTransaction(tx.hash)).hash, tx.hash);
      const receipt = await provider.getTransactionReceipt(tx.hash);
      assert.equal(receipt.type, tx.type);
      assert.equal(receipt.index, tx.index);
      assert.equal(receipt.from, tx.from);
      assert.equal(receipt.blockHash, block.hash);
    }
    const receipts = await provider.send("eth_getBlockReceipts", [toBeHex(number)]);
    assert.deepEqual(receipts.map((receipt) => receipt.transactionHash), [...block.transactions]);
  }
  // Users' transactions, deposits and the upgrade of genesis.
  for (const type of [0, 1, 2, 4, 0x7e, 0x7f]) assert.ok(types.has(type), `no transaction of type ${type}`);
}

async function transactionsFromL1() {
  const first = await provider.getBlock(1, true);
  const upgrade = first.prefetchedTransactions[0];
  assert.equal(upgrade.type, 0x7e);
  assert.equal((await provider.getTransactionReceipt(upgrade.hash)).status, 1);
  const second = await provider.getBlock(2, true);
  const deposit = second.prefetchedTransactions[0];
  assert.equal(deposit.type, 0x7f);
  const receipt = await provider.getTransactionReceipt(deposit.hash);
  assert.equal(receipt.status, 1);
  assert.ok(receipt.gasUsed > 0n);
  const raw = await provider.send("eth_getTransactionReceipt", [deposit.hash]);
  assert.equal(raw.l2ToL1Logs[0].key, deposit.hash);
}

async function tags() {
  const [earliest, finalized, safe, latest] = await Promise.all(
    ["earliest", "finalized", "safe", "latest"].map((tag) => provider.getBlock(tag)),
  );
  assert.equal(earliest.number, 0);
  assert.ok(finalized.number <= safe.number && safe.number <= latest.number);
  assert.ok((await provider.getBlock("pending")).number >= latest.number);
  assert.equal(await provider.getBlock(latest.number + 1_000_000), null);
}

async function feeHistory() {
  const head = await provider.getBlockNumber();
  const history = await provider.send("eth_feeHistory", ["0x3", "latest", [25, 75]]);
  assert.equal(history.baseFeePerGas.length, 4);
  assert.equal(history.gasUsedRatio.length, 3);
  assert.deepEqual(history.reward.map((row) => row.length), [2, 2, 2]);
  assert.ok(Number(history.oldestBlock) >= head - 3);
  const block = await provider.getBlock(Number(history.oldestBlock));
  assert.equal(BigInt(history.baseFeePerGas[0]), block.baseFeePerGas);
}

async function traces() {
  const receipt = await mined(probe.storeNested(400));
  const call = await provider.send("debug_traceTransaction", [receipt.hash, { tracer: "callTracer", tracerConfig: { withLog: true } }]);
  assert.equal(call.type, "CALL");
  assert.equal(call.calls.length, 1);
  assert.equal(call.calls[0].logs.length, 1);
  assert.equal(BigInt(call.gasUsed), receipt.gasUsed);
  const opcodes = await provider.send("debug_traceTransaction", [receipt.hash]);
  assert.ok(opcodes.structLogs.some((step) => step.op === "SSTORE"));
  const diff = await provider.send("debug_traceTransaction", [receipt.hash, { tracer: "prestateTracer", tracerConfig: { diffMode: true } }]);
  assert.equal(diff.post[probe.target.toLowerCase()].storage[slot(0)], slot(400));
  const parity = await provider.send("trace_transaction", [receipt.hash]);
  assert.deepEqual(parity.map((trace) => trace.traceAddress), [[], [0]]);
  const created = await mined(probe.spawn(5));
  const traced = await provider.send("trace_block", [toBeHex(created.blockNumber)]);
  assert.ok(traced.some((trace) => trace.type === "create"));
  const reverted = { from: wallet.address, to: probe.target, data: probe.interface.encodeFunctionData("failString", ["why"]) };
  const failed = await provider.send("debug_traceCall", [reverted, "latest", { tracer: "callTracer" }]);
  assert.equal(failed.revertReason, "why");
  assert.equal(failed.error, "execution reverted");
}

async function tokens() {
  const receipt = await mined(token.transfer(somebody, 5n));
  assert.equal(await token.balanceOf(somebody), 5n);
  const [event] = await token.queryFilter(token.filters.Transfer(null, somebody), receipt.blockNumber);
  assert.deepEqual([event.args.from, event.args.to, event.args.value], [wallet.address, somebody, 5n]);
  const failed = await refused(token.transfer(somebody, parseEther("5000")));
  assert.equal(token.interface.parseError(failed.data).name, "InsufficientBalance");
}

async function batches() {
  // ethers sends what is asked in one turn as one JSON-RPC batch.
  const head = await provider.getBlockNumber();
  const numbers = Array.from({ length: 60 }, (_, i) => i % (head + 1));
  const blocks = await Promise.all(numbers.map((number) => provider.getBlock(number)));
  assert.deepEqual(blocks.map((block) => block.number), numbers);
}

async function synchronousSend() {
  const populated = await wallet.populateTransaction({ to: somebody, value: 4n });
  const signed = await wallet.signTransaction(populated);
  const receipt = await provider.send("eth_sendRawTransactionSync", [signed]);
  assert.equal(receipt.transactionHash, keccak256(signed));
  assert.equal(receipt.status, "0x1");
  const again = await refused(provider.broadcastTransaction(signed));
  assert.ok(["NONCE_EXPIRED", "UNKNOWN_ERROR"].includes(again.code), again.code);
}

await run([
  ["network, balances and fees", network],
  ["deploys contracts", deploys],
  ["calls at any block", calls],
  ["legacy transactions", legacyTransactions],
  ["EIP-2930 transactions", accessListTransactions],
  ["EIP-1559 transactions", dynamicFeeTransactions],
  ["EIP-7702 transactions", delegatingTransactions],
  ["reverts are decoded", reverts],
  ["logs", logs],
  ["polled filters", filters],
  ["listeners that poll", () => listens(provider)],
  ["subscriptions over WebSocket", subscriptions],
  ["waits for transactions", waiting],
  ["nonces, replacement, refusals", nonces],
  ["transactions and receipts from L1", transactionsFromL1],
  ["every block, transaction and receipt parses", everyBlock],
  ["tags", tags],
  ["fee history", feeHistory],
  ["traces", traces],
  ["ERC-20", tokens],
  ["JSON-RPC batches", batches],
  ["synchronous send", synchronousSend],
]);
