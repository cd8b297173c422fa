// zksync-ethers against a node and its settlement layer.
//
// The library was made for chains whose transactions and receipts name their batch (`l1BatchNumber`, `l1BatchTxIndex`).
// ZKsync OS chains have no such fields, so that what it takes from there, comes from the log proof and the receipt here.
import assert from "node:assert/strict";
import { AbiCoder, JsonRpcProvider, dataSlice, formatEther, id, parseEther } from "ethers";
import { Provider, Wallet, utils } from "zksync-ethers";
import { IL1Nullifier__factory } from "zksync-ethers/build/typechain/index.js";
import { environment, refused, run, until } from "./checks.mjs";

// Polls often, and does not remember answers.
const options = { pollingInterval: 100, cacheTimeout: -1 };
const l1 = new JsonRpcProvider(environment.l1Url, undefined, options);
const provider = new Provider(environment.rpcUrl, undefined, options);
const wallet = new Wallet(environment.key, provider, l1);
// The library's default is a type of transaction that ZKsync OS does not have.
const overrides = { type: 2 };
const receiver = "0x4444444444444444444444444444444444444444";
let withdrawal;

async function network() {
  assert.equal((await provider.getNetwork()).chainId, 270n);
  const bridgehub = await provider.getBridgehubContractAddress();
  assert.notEqual(await l1.getCode(bridgehub), "0x");
  assert.equal(await (await wallet.getBridgehubContract()).baseToken(270), utils.ETH_ADDRESS_IN_CONTRACTS);
  // The library's default tag, `committed`, is not one of Ethereum's.
  assert.ok((await provider.getBalance(wallet.address, "latest")) > parseEther("1"));
  assert.ok((await provider.getGasPrice()) > 0n);
}

async function transfers() {
  const sent = await wallet.transfer({ to: receiver, amount: 5n, overrides });
  const receipt = await sent.wait();
  assert.equal(receipt.status, 1);
  assert.equal(await provider.getBalance(receiver, "latest"), 5n);
}

async function everyBlock() {
  const types = new Set();
  const head = await provider.getBlockNumber();
  for (let number = 0; number <= head; number += 1) {
    const block = await provider.getBlock(number, true);
    for (const tx of block.prefetchedTransactions) {
      types.add(tx.type);
      const receipt = await provider.getTransactionReceipt(tx.hash);
      assert.equal(receipt.type, tx.type);
      if (tx.type === 0x7f) {
        assert.equal(receipt.l2ToL1Logs[0].sender, utils.BOOTLOADER_FORMAL_ADDRESS);
        assert.equal(receipt.l2ToL1Logs[0].key, tx.hash);
      }
    }
  }
  for (const type of [2, 0x7e, 0x7f]) assert.ok(types.has(type), `no transaction of type ${type}`);
}

async function deposits() {
  const before = await provider.getBalance(receiver, "latest");
  const deposit = await wallet.deposit({
    token: utils.ETH_ADDRESS,
    amount: parseEther("0.5"),
    to: receiver,
    l2GasLimit: 300_000n,
  });
  const onL1 = await deposit.waitL1Commit();
  const hash = utils.getL2HashFromPriorityOp(onL1, await diamond());
  const receipt = await until("the deposit on L2", () => provider.getTransactionReceipt(hash));
  assert.deepEqual([receipt.status, receipt.type], [1, 0x7f]);
  assert.equal(formatEther((await provider.getBalance(receiver, "latest")) - before), "0.5");
}

/** The chain's contract on L1. */
async function diamond() {
  const bridgehub = await wallet.getBridgehubContract();
  return bridgehub.getZKChain(270);
}

async function withdraws() {
  withdrawal = await wallet.withdraw({ token: utils.L2_BASE_TOKEN_ADDRESS, amount: parseEther("0.25"), to: receiver, overrides });
  const receipt = await withdrawal.wait();
  assert.equal(receipt.status, 1);
  const [message] = receipt.l2ToL1Logs;
  assert.equal(message.sender, utils.L1_MESSENGER_ADDRESS);
  assert.equal(BigInt(message.key), BigInt(utils.L2_BASE_TOKEN_ADDRESS));
  // L1 refuses a proof before it has executed the batch, and so does the node.
  const early = await refused(provider.getLogProof(withdrawal.hash, 0));
  assert.match(early.error.message, /has not been (included in an L1 batch|executed) yet/);
  const finalized = await withdrawal.waitFinalize();
  assert.equal(finalized.blockHash, receipt.blockHash);
}

async function finalizes() {
  const receipt = await provider.getTransactionReceipt(withdrawal.hash);
  const proof = await provider.getLogProof(withdrawal.hash, 0);
  const log = receipt.logs.find((entry) => entry.topics[0] === id("L1MessageSent(address,bytes32,bytes)"));
  const params = {
    chainId: 270,
    l2BatchNumber: proof.batch_number,
    l2MessageIndex: proof.id,
    l2Sender: dataSlice(log.topics[1], 12),
    l2TxNumberInBatch: receipt.index,
    message: AbiCoder.defaultAbiCoder().decode(["bytes"], log.data)[0],
    merkleProof: proof.proof,
  };
  const before = await l1.getBalance(receiver);
  const nullifier = IL1Nullifier__factory.connect(await wallet.getL1NullifierAddress(), wallet.ethWallet());
  const finalized = await (await nullifier.finalizeDeposit(params)).wait();
  assert.equal(finalized.status, 1);
  assert.equal(formatEther((await l1.getBalance(receiver)) - before), "0.25");
  assert.equal(await nullifier.isWithdrawalFinalized(270, proof.batch_number, proof.id), true);
  await refused(nullifier.finalizeDeposit(params));
}

async function batches() {
  const number = await provider.getL1BatchNumber();
  assert.ok(number >= 1);
  const [first, last] = await provider.getL1BatchBlockRange(1);
  assert.ok(first === 1 && last >= first);
  const details = await provider.send("zks_getL1BatchDetails", [1]);
  assert.equal(details.status, "executed");
  assert.equal(await l1.call({ to: await diamond(), data: `0xb22dd78e${"1".padStart(64, "0")}` }), details.storedBatchHash);
}

await run([
  ["network, bridgehub, balances", network],
  ["transfers", transfers],
  ["deposits", deposits],
  ["withdraws", withdraws],
  ["finalizes the withdrawal on L1", finalizes],
  ["batches", batches],
  ["every block, transaction and receipt parses", everyBlock],
]);
