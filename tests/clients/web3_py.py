"""web3.py against a node.

The environment says where the node is; see checks.mjs.
"""

import asyncio
import inspect
import json
import os
import sys
import time
import traceback
from pathlib import Path

from eth_account import Account
from web3 import AsyncIPCProvider, AsyncWeb3, IPCProvider, Web3, WebSocketProvider
from web3.exceptions import (
    ContractCustomError,
    ContractLogicError,
    ContractPanicError,
    TransactionNotFound,
    Web3RPCError,
)
from web3.middleware import SignAndSendRawMiddlewareBuilder

DEADLINE = 60
POLL = 0.05
SOMEBODY = Web3.to_checksum_address("0x" + "33" * 20)

ARTIFACTS = json.loads((Path(__file__).parent / "contracts/artifacts.json").read_text())
w3 = Web3(Web3.HTTPProvider(os.environ["ZKOS_RPC_URL"]))
account = Account.from_key(os.environ["ZKOS_KEY"])
w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
w3.eth.default_account = account.address
state = {}


def mined(tx_hash):
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=DEADLINE, poll_latency=POLL)


def refused(kind, call):
    """The error of this kind that a call must end with."""
    try:
        value = call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}, but {value!r}")


def network():
    assert w3.is_connected()
    assert w3.eth.chain_id == 270
    assert w3.net.version == "270"
    assert w3.eth.block_number >= 1
    assert w3.eth.get_balance(account.address) > 10**18
    assert w3.eth.gas_price > 0
    assert w3.eth.max_priority_fee >= 0
    assert w3.eth.syncing is False
    assert w3.eth.accounts == []
    assert w3.client_version
    assert w3.keccak(text="a").hex() == w3.provider.make_request("web3_sha3", ["0x61"])["result"][2:]


def deploys():
    artifact = ARTIFACTS["Probe"]
    factory = w3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
    receipt = mined(factory.constructor(7).transact({"value": 3}))
    assert receipt.status == 1 and receipt.to is None
    state["probe"] = w3.eth.contract(address=receipt.contractAddress, abi=artifact["abi"])
    assert state["probe"].functions.value().call() == 7
    assert w3.eth.get_balance(receipt.contractAddress) == 3
    assert w3.eth.get_code(receipt.contractAddress).hex() in artifact["bytecode"]
    assert w3.eth.get_code(receipt.contractAddress, receipt.blockNumber - 1) == b""
    assert int.from_bytes(w3.eth.get_storage_at(receipt.contractAddress, 0)) == 7


def calls():
    functions = state["probe"].functions
    before = w3.eth.block_number
    was = functions.value().call()
    assert functions.store(99, "not stored").call() == was
    receipt = mined(functions.store(42, "calls").transact())
    assert functions.value().call() == 42
    assert functions.value().call(block_identifier=before) == was
    assert functions.value().call(block_identifier=receipt.blockHash) == 42
    assert functions.value().call(block_identifier="pending") == 42
    slot = "0x" + "00" * 32
    override = {state["probe"].address: {"stateDiff": {slot: "0x" + "00" * 31 + "4d"}}}
    assert functions.value().call(state_override=override) == 77
    assert functions.store(1, "estimated").estimate_gas() > 21_000


def sends(request, kind):
    """Sends a transaction; compares response, receipt and signed form."""
    tx_hash = w3.eth.send_transaction(request)
    receipt = mined(tx_hash)
    assert receipt.status == 1 and receipt.type == kind, receipt
    found = w3.eth.get_transaction(tx_hash)
    assert found.type == kind and found["from"] == account.address
    assert found.blockHash == receipt.blockHash
    raw = w3.eth.get_raw_transaction(tx_hash)
    assert w3.keccak(raw) == tx_hash
    assert Account.recover_transaction(raw) == account.address
    assert w3.eth.get_transaction_by_block(receipt.blockNumber, receipt.transactionIndex).hash == tx_hash
    return found, receipt


def legacy_transactions():
    price = w3.eth.gas_price * 2
    _, receipt = sends({"to": SOMEBODY, "value": 1, "gasPrice": price}, 0)
    assert receipt.effectiveGasPrice == price and receipt.gasUsed == 21_000


def access_list_transactions():
    probe = state["probe"]
    data = probe.encode_abi("store", [5, "2930"])
    asked = w3.eth.create_access_list({"from": account.address, "to": probe.address, "data": data})
    access_list = [{"address": entry.address, "storageKeys": entry.storageKeys} for entry in asked.accessList]
    assert any(entry["storageKeys"] for entry in access_list), asked
    price = w3.eth.gas_price * 2
    request = {"to": probe.address, "data": data, "gasPrice": price, "accessList": access_list, "type": 1}
    found, _ = sends(request, 1)
    assert len(found.accessList) == len(access_list)


def dynamic_fee_transactions():
    request = {"to": SOMEBODY, "value": 2, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1}
    found, receipt = sends(request, 2)
    assert found.maxFeePerGas == 10**10
    assert receipt.effectiveGasPrice == w3.eth.get_block(receipt.blockNumber).baseFeePerGas + 1


def delegating_transactions():
    probe = state["probe"]
    authority = Account.create()
    authorization = authority.sign_authorization({"chainId": 270, "address": probe.address, "nonce": 0})
    request = {
        "to": authority.address,
        "data": probe.encode_abi("store", [11, "7702"]),
        "authorizationList": [authorization],
        "gas": 500_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 1,
    }
    found, receipt = sends(request, 4)
    assert found.authorizationList[0].address == probe.address
    assert receipt.logs[0].address == authority.address
    assert w3.eth.get_code(authority.address).hex() == "ef0100" + probe.address[2:].lower()


def reverts():
    functions = state["probe"].functions
    custom = refused(ContractCustomError, lambda: functions.failCustom(5).call())
    selector = Web3.keccak(text="Refused(address,uint256)")[:4].hex()
    assert custom.data.startswith("0x" + selector), custom.data
    assert custom.data.endswith(f"{5:064x}")
    text = refused(ContractLogicError, lambda: functions.failString("no such thing").call())
    assert text.message == "execution reverted: no such thing", text.message
    panic = refused(ContractPanicError, lambda: functions.failPanic(0).call())
    assert "zero" in panic.message, panic.message
    refused(ContractLogicError, lambda: functions.failSilently().call())
    refused(ContractCustomError, lambda: functions.failNested(9).call())
    refused(ContractCustomError, lambda: functions.failCustom(6).estimate_gas())
    failed = mined(functions.failNested(10).transact({"gas": 300_000}))
    assert failed.status == 0 and failed.logs == []


def logs():
    probe = state["probe"]
    first = mined(probe.functions.store(100, "first").transact())
    second = mined(probe.functions.store(101, "second").transact())
    blocks = {"from_block": first.blockNumber, "to_block": second.blockNumber}
    assert [log.args.note for log in probe.events.Stored().get_logs(**blocks)] == ["first", "second"]
    one = probe.events.Stored().get_logs(**blocks, argument_filters={"value": 101})
    assert [log.transactionHash for log in one] == [second.transactionHash]
    assert len(probe.events.Stored().get_logs(block_hash=first.blockHash)) == 1
    assert probe.events.Stored().process_receipt(first)[0].args.by == account.address


def filters():
    probe = state["probe"]
    events = probe.events.Stored().create_filter(from_block="latest")
    blocks = w3.eth.filter("latest")
    pending = w3.eth.filter("pending")
    receipt = mined(probe.functions.store(200, "filtered").transact())
    assert [log.args.note for log in events.get_new_entries()] == ["filtered"]
    assert events.get_new_entries() == []
    assert receipt.blockHash in blocks.get_new_entries()
    assert receipt.transactionHash in pending.get_new_entries()
    ranged = probe.events.Stored().create_filter(from_block=receipt.blockNumber)
    assert len(ranged.get_all_entries()) == 1
    for installed in (events, blocks, pending, ranged):
        assert w3.eth.uninstall_filter(installed.filter_id)
    assert "filter not found" in str(refused(Web3RPCError, events.get_new_entries))


async def listens(provider):
    """Subscriptions over a provider that keeps its connection."""
    probe = state["probe"]
    async with AsyncWeb3(provider) as connected:
        assert await connected.eth.chain_id == 270
        kinds = {
            await connected.eth.subscribe("newHeads"): "heads",
            await connected.eth.subscribe("newPendingTransactions"): "pending",
            await connected.eth.subscribe("logs", {"address": probe.address}): "logs",
        }
        receipt = mined(probe.functions.store(300, "listened").transact())
        seen = {kind: [] for kind in kinds.values()}

        def complete():
            return (
                any(head.hash == receipt.blockHash for head in seen["heads"])
                and receipt.transactionHash in seen["pending"]
                and any(log.transactionHash == receipt.transactionHash for log in seen["logs"])
            )

        async with asyncio.timeout(DEADLINE):
            async for message in connected.socket.process_subscriptions():
                seen[kinds[message["subscription"]]].append(message["result"])
                if complete():
                    break
        assert len(seen["logs"]) == 1
        for subscription in kinds:
            assert await connected.eth.unsubscribe(subscription)


async def subscriptions():
    await listens(WebSocketProvider(os.environ["ZKOS_WS_URL"]))


def waiting():
    unknown = "0x" + "12" * 32
    refused(TransactionNotFound, lambda: w3.eth.get_transaction(unknown))
    refused(TransactionNotFound, lambda: w3.eth.get_transaction_receipt(unknown))
    sent = w3.eth.send_transaction({"to": SOMEBODY, "value": 3})
    assert mined(sent).transactionHash == sent


def nonces():
    start = w3.eth.get_transaction_count(account.address, "pending")
    request = {"to": SOMEBODY, "value": 1, "gas": 21_000, "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 1}
    sent = [w3.eth.send_transaction({**request, "nonce": start + i}) for i in range(8)]
    assert all(mined(tx_hash).status == 1 for tx_hash in sent)
    assert w3.eth.get_transaction_count(account.address) == start + 8

    def message(more, error=Web3RPCError):
        return str(refused(error, lambda: w3.eth.send_transaction({**request, **more})))

    assert "nonce too low" in message({"nonce": start})
    assert "intrinsic gas too low" in message({"gas": 20_000})
    assert "insufficient funds" in message({"value": 10**30})
    waits = w3.eth.send_transaction({**request, "nonce": start + 9})
    assert w3.eth.get_transaction(waits).blockHash is None
    pool = w3.geth.txpool.content()
    assert str(start + 9) in pool.queued[account.address]
    assert w3.geth.txpool.status().queued == "0x1"
    # web3.py's own way to replace a transaction: same nonce, higher fees.
    replacement = w3.eth.replace_transaction(
        waits, {**request, "nonce": start + 9, "maxFeePerGas": 2 * 10**10, "maxPriorityFeePerGas": 2, "from": account.address}
    )
    w3.eth.send_transaction({**request, "nonce": start + 8})
    assert mined(replacement).status == 1


def every_block():
    types = set()
    for number in range(w3.eth.block_number + 1):
        block = w3.eth.get_block(number, full_transactions=True)
        assert block.number == number
        receipts = w3.eth.get_block_receipts(number)
        assert [receipt.transactionHash for receipt in receipts] == [tx.hash for tx in block.transactions]
        for tx, receipt in zip(block.transactions, receipts, strict=True):
            types.add(tx.type)
            assert w3.eth.get_transaction(tx.hash) == tx
            assert w3.eth.get_transaction_receipt(tx.hash) == receipt
            assert receipt.type == tx.type
    missing = {0, 1, 2, 4, 0x7E, 0x7F} - types
    assert not missing, f"no transactions of types {missing}"


def tags():
    numbers = [w3.eth.get_block(tag).number for tag in ("earliest", "finalized", "safe", "latest", "pending")]
    assert numbers == sorted(numbers) and numbers[0] == 0


def fee_history():
    history = w3.eth.fee_history(3, "latest", [25, 75])
    assert len(history.baseFeePerGas) == 4 and len(history.gasUsedRatio) == 3
    assert [len(row) for row in history.reward] == [2, 2, 2]
    assert history.baseFeePerGas[0] == w3.eth.get_block(history.oldestBlock).baseFeePerGas


def traces():
    receipt = mined(state["probe"].functions.storeNested(400).transact())
    trace = w3.geth.debug.trace_transaction(receipt.transactionHash, {"tracer": "callTracer"})
    assert len(trace.calls) == 1 and trace.gasUsed == receipt.gasUsed
    parity = w3.tracing.trace_transaction(receipt.transactionHash)
    assert [list(frame.traceAddress) for frame in parity] == [[], [0]]
    block = w3.tracing.trace_block(receipt.blockNumber)
    assert any(frame.transactionHash == receipt.transactionHash for frame in block)
    filtered = w3.tracing.trace_filter({"fromBlock": receipt.blockNumber, "toBlock": receipt.blockNumber})
    assert filtered == block
    replayed = w3.tracing.trace_replay_transaction(receipt.transactionHash, ["trace", "stateDiff"])
    assert state["probe"].address in {Web3.to_checksum_address(key) for key in replayed.stateDiff}


def simulates():
    data = state["probe"].encode_abi("value")
    payload = {"blockStateCalls": [{"calls": [{"to": state["probe"].address, "input": data}]}]}
    block = w3.eth.simulate_v1(payload, "latest")[0]
    assert block.calls[0].status == 1


def synchronous_send():
    request = {
        "to": SOMEBODY,
        "value": 4,
        "gas": 21_000,
        "maxFeePerGas": 10**10,
        "maxPriorityFeePerGas": 0,
        "nonce": w3.eth.get_transaction_count(account.address),
        "chainId": 270,
    }
    signed = account.sign_transaction(request).raw_transaction
    answer = w3.provider.make_request("eth_sendRawTransactionSync", [Web3.to_hex(signed)])
    assert answer["result"]["transactionHash"] == Web3.to_hex(w3.keccak(signed)), answer


async def through_socket():
    path = os.environ["ZKOS_IPC_PATH"]
    local = Web3(IPCProvider(path))
    assert local.eth.chain_id == 270
    assert local.eth.get_block("latest").number >= 1
    await listens(AsyncIPCProvider(path))


CHECKS = [
    ("network, balances and fees", network),
    ("deploys contracts", deploys),
    ("calls at any block, overrides", calls),
    ("legacy transactions", legacy_transactions),
    ("EIP-2930 transactions", access_list_transactions),
    ("EIP-1559 transactions", dynamic_fee_transactions),
    ("EIP-7702 transactions", delegating_transactions),
    ("reverts are decoded", reverts),
    ("logs", logs),
    ("polled filters", filters),
    ("subscriptions over WebSocket", subscriptions),
    ("waits for transactions", waiting),
    ("nonces, replacement, refusals", nonces),
    ("every block, transaction and receipt parses", every_block),
    ("tags", tags),
    ("fee history", fee_history),
    ("traces", traces),
    ("simulates", simulates),
    ("synchronous send", synchronous_send),
]
if os.environ.get("ZKOS_IPC_PATH"):
    CHECKS.append(("Unix socket", through_socket))


def main():
    failed = 0
    for name, check in CHECKS:
        if len(sys.argv) > 1 and sys.argv[1] not in name:
            continue
        started = time.monotonic()
        try:
            result = check()
            if inspect.isawaitable(result):
                asyncio.run(asyncio.wait_for(result, DEADLINE))
            print(f"ok      {name} ({(time.monotonic() - started) * 1000:.0f} ms)")
        except Exception:
            failed += 1
            print(f"FAILED  {name}\n{traceback.format_exc()}")
    print(f"{failed} of {len(CHECKS)} checks failed" if failed else f"all {len(CHECKS)} checks passed")
    sys.exit(1 if failed else 0)


main()
