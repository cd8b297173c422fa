//! Tracers that are JavaScript source.

use super::*;
use std::time::{Duration, Instant};

const CALLER: Address = Address::repeat_byte(0xc0);
const CALLEE: Address = Address::repeat_byte(0xc1);
const REVERTER: Address = Address::repeat_byte(0xc2);
/// Sets slot 0 to 7, loads it, returns 42.
const CALLEE_CODE: &[u8] =
    &[0x60, 0x07, 0x5f, 0x55, 0x5f, 0x54, 0x50, 0x60, 0x2a, 0x5f, 0x52, 0x60, 0x20, 0x5f, 0xf3];
/// geth's example of a tracer that lists opcodes.
const OPCODES: &str = "{data: [], fault: function(log) {}, \
    step: function(log) { this.data.push(log.op.toString()) }, \
    result: function() { return this.data }}";

fn scripted() -> TestRpc {
    TestRpc::with_args(RpcServerArgs { js_tracer: true, ..Default::default() })
}

/// Three transactions: a call that pays 3 wei to a contract, the same once more, and a creation.
fn with_block(rpc: &TestRpc) -> ExecutedBlock {
    let signer = signer(1);
    rpc.node.fund(signer.address(), 0, ETHER);
    rpc.node.provider.set_code(CALLER, &calls(CALLEE, 0));
    rpc.node.provider.set_code(CALLEE, CALLEE_CODE);
    rpc.node.provider.set_code(REVERTER, &reverts(&[1]));
    let block = rpc.node.execute(vec![
        invoke(&signer, 0, TxKind::Call(CALLER), vec![0x12, 0x34, 0x56, 0x78, 9]),
        invoke(&signer, 1, TxKind::Call(CALLER), vec![]),
        invoke(&signer, 2, TxKind::Create, deploys(&[0x60, 0x01])),
    ]);
    assert!(block.receipts.iter().all(|receipt| receipt.success));
    block
}

fn hash(block: &ExecutedBlock, index: usize) -> B256 {
    *block.block.body().transactions[index].hash()
}

async fn trace(rpc: &TestRpc, block: &ExecutedBlock, tracer: &str) -> Value {
    rpc.ok("debug_traceTransaction", json!([hash(block, 0), {"tracer": tracer}])).await
}

async fn failure(rpc: &TestRpc, block: &ExecutedBlock, tracer: &str) -> (i64, String) {
    let options = json!({"tracer": tracer});
    let (code, message, _) =
        rpc.err("debug_traceTransaction", json!([hash(block, 0), options])).await;
    (code, message)
}

#[tokio::test]
async fn opcodes_are_listed() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let names = trace(&rpc, &block, OPCODES).await;
    let options = json!([hash(&block, 0), {}]);
    let logger = rpc.ok("debug_traceTransaction", options).await;
    let logged = logger["structLogs"].as_array().unwrap().iter().map(|log| log["op"].clone());
    assert_eq!(names, Value::Array(logged.collect()));
    assert_eq!(names.as_array().unwrap().iter().filter(|op| **op == "SSTORE").count(), 1);
}

#[tokio::test]
async fn every_method_that_traces_takes_scripts() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let names = trace(&rpc, &block, OPCODES).await;
    let options = json!({"tracer": OPCODES});
    let by_number = rpc.ok("debug_traceBlockByNumber", json!(["0x1", options])).await;
    let traces = by_number.as_array().unwrap();
    assert_eq!(traces.len(), 3);
    // Each transaction has a fresh `data`.
    assert_eq!((&traces[0]["result"], &traces[1]["result"]), (&names, &names));
    assert_eq!(traces[2]["txHash"], json!(hash(&block, 2)));
    let by_hash = rpc.ok("debug_traceBlockByHash", json!([block.hash(), options])).await;
    assert_eq!(by_hash, by_number);
    let rlp = rpc.ok("debug_getRawBlock", json!(["0x1"])).await;
    assert_eq!(rpc.ok("debug_traceBlock", json!([rlp, options])).await, by_number);
    let call = json!([{"to": CALLER}, "latest", options]);
    assert_eq!(rpc.ok("debug_traceCall", call).await, names);
    let bundle = json!([[{"transactions": [{"to": CALLER}, {"to": CALLEE}]}], null, options]);
    let many = rpc.ok("debug_traceCallMany", bundle).await;
    assert_eq!(many[0][0], names);
    assert_eq!(many[0][1].as_array().unwrap().len(), 12);
    // revm-inspectors has no scripts inside of a mux tracer.
    let mux = json!({"tracer": "muxTracer", "tracerConfig": {OPCODES: null}});
    let params = json!([hash(&block, 0), mux]);
    assert_eq!(rpc.err("debug_traceTransaction", params).await.0, -32602);
}

#[tokio::test]
async fn frames_and_context_are_shown() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let script = "{frames: [], fault: function() {}, \
        enter: function(f) { this.frames.push([f.getType(), toHex(f.getFrom()), toHex(f.getTo()), f.getValue().toString()]) }, \
        exit: function(r) { this.frames.push(toHex(r.getOutput())) }, \
        result: function(ctx) { return {frames: this.frames, type: ctx.type, from: toHex(ctx.from), to: toHex(ctx.to), input: toHex(ctx.input), \
            gasUsed: ctx.gasUsed, block: ctx.block, hash: toHex(ctx.txHash), index: ctx.txIndex} }}";
    let trace = trace(&rpc, &block, script).await;
    let lower = |address: Address| json!(address.to_string().to_lowercase());
    assert_eq!(
        trace,
        json!({
            "frames": [["CALL", lower(CALLER), lower(CALLEE), "0"], word(42)],
            "type": "CALL",
            "from": lower(signer(1).address()),
            "to": lower(CALLER),
            "input": "0x1234567809",
            "gasUsed": block.receipts[0].cumulative_gas_used,
            "block": 1,
            "hash": hash(&block, 0),
            "index": 0,
        })
    );
}

/// What `db` shows at each step is the state before the instruction, in `result` that after the transaction.
#[tokio::test]
async fn state_is_that_of_the_step() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let script = |address: Address| {
        format!(
            "{{seen: [], a: toAddress('{address}'), \
            slot: function(db) {{ return parseInt(toHex(db.getState(this.a, '0x00')), 16) }}, \
            fault: function() {{}}, \
            step: function(log, db) {{ this.seen.push([log.op.toString(), this.slot(db)]) }}, \
            result: function(ctx, db) {{ return {{seen: this.seen, slot: this.slot(db), \
                nonce: db.getNonce(ctx.from), code: toHex(db.getCode(this.a)), \
                exists: [db.exists(this.a), db.exists('0x1234')]}} }}}}"
        )
    };
    let trace = trace(&rpc, &block, &script(CALLEE)).await;
    let at = |op: &str, nth: usize| {
        let seen = trace["seen"].as_array().unwrap();
        seen.iter().filter(|step| step[0] == op).nth(nth).unwrap()[1].clone()
    };
    assert_eq!((at("CALL", 0), at("SSTORE", 0)), (json!(0), json!(0)));
    assert_eq!((at("SLOAD", 0), at("STOP", 0)), (json!(7), json!(7)));
    assert_eq!(trace["slot"], 7);
    assert_eq!(trace["nonce"], 1);
    assert_eq!(trace["code"], json!(Bytes::from_static(CALLEE_CODE)));
    assert_eq!(trace["exists"], json!([true, false]));
    // The second transaction begins where the first one ended.
    let options = json!({"tracer": script(CALLEE)});
    let second = rpc.ok("debug_traceTransaction", json!([hash(&block, 1), options])).await;
    assert_eq!((&second["seen"][0][1], &second["nonce"]), (&json!(7), &json!(2)));
}

#[tokio::test]
async fn balances_follow_transfers_and_reverts() {
    let rpc = scripted();
    with_block(&rpc);
    // Pays 3 wei to the contract that reverts, then 2 wei to the one that does not.
    let pays = |to: Address, value: u8| {
        [&[0x5f, 0x5f, 0x5f, 0x5f, 0x60, value, 0x73], to.as_slice(), &[0x5a, 0xf1, 0x50]].concat()
    };
    let code = [pays(REVERTER, 3), pays(CALLEE, 2), vec![0x00]].concat();
    let script = format!(
        "{{seen: [], fault: function(log, db) {{ this.step(log, db) }}, \
        step: function(log, db) {{ var op = log.op.toString(); \
            if (op == 'POP' || op == 'REVERT' || op == 'SSTORE' || op == 'STOP') \
            this.seen.push([op, log.getDepth()].concat(['{CALLER}', '{REVERTER}', '{CALLEE}'].map(function(a) {{ return Number(db.getBalance(toAddress(a))) }}))) }}, \
        result: function() {{ return this.seen }}}}"
    );
    let options = json!({
        "tracer": script,
        "stateOverrides": {CALLER.to_string(): {"code": Bytes::from(code), "balance": "0x64"}},
    });
    let seen = rpc.ok("debug_traceCall", json!([{"to": CALLER}, "latest", options])).await;
    assert_eq!(
        seen,
        json!([
            ["REVERT", 2, 97, 3, 0],
            ["POP", 1, 100, 0, 0],
            ["SSTORE", 2, 98, 0, 2],
            ["POP", 2, 98, 0, 2],
            ["POP", 1, 98, 0, 2],
            ["STOP", 1, 98, 0, 2],
        ])
    );
}

/// A created account is there from its first instruction on, and its code at the end.
#[tokio::test]
async fn creations_are_shown() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let created = signer(1).address().create(2);
    let script = format!(
        "{{nonces: [], fault: function() {{}}, \
        step: function(log, db) {{ this.nonces = [Number(db.getNonce(toAddress('{created}'))), \
            Number(db.getNonce(log.contract.getCaller())), toHex(log.contract.getAddress())] }}, \
        result: function(ctx, db) {{ return [this.nonces, ctx.type, toHex(ctx.to), \
            toHex(db.getCode(toAddress('{created}')))] }}}}"
    );
    let params = json!([hash(&block, 2), {"tracer": script}]);
    let created = json!(created.to_string().to_lowercase());
    assert_eq!(
        rpc.ok("debug_traceTransaction", params).await,
        json!([[1, 3, created], "CREATE", created, "0x6001"])
    );
}

#[tokio::test]
async fn configuration_is_an_object_and_json_text() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let script = "{setup: function(c) { this.c = [c.depth, JSON.parse(c)] }, fault: function() {}, \
        result: function() { return this.c }}";
    let config = json!({"depth": 3, "names": ["a"]});
    let options = json!({"tracer": script, "tracerConfig": config});
    let params = json!([hash(&block, 0), options]);
    assert_eq!(rpc.ok("debug_traceTransaction", params).await, json!([3, config]));
    let none = json!([hash(&block, 0), {"tracer": script}]);
    assert_eq!(rpc.ok("debug_traceTransaction", none).await, json!([null, {}]));
}

#[tokio::test]
async fn wrong_scripts_are_refused() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let long = format!("{{/*{}*/}}", "x".repeat(32 * 1024));
    for (script, reason) in [
        ("{data: [, result: function() {}}", "failed to evaluate"),
        ("null + ", "failed to evaluate"),
        ("(5)", "not a JS object"),
        ("{fault: function() {}}", "result()"),
        ("{result: function() {}}", "fault()"),
        ("{setup: 5, result: function() {}, fault: function() {}, a: missing}", "missing"),
        ("{setup: function() { absent.x }, result: function() {}, fault: function() {}}", "absent"),
        (long.as_str(), "more than 32768"),
    ] {
        let (code, message) = failure(&rpc, &block, script).await;
        assert_eq!(code, -32602, "{script:.80}: {message}");
        assert!(message.contains(reason), "{script:.80}: {message}");
    }
    let (code, message) = failure(&rpc, &block, "noSuchTracer").await;
    assert_eq!((code, message.as_str()), (-32602, "tracer `noSuchTracer` is not supported"));
}

#[tokio::test]
async fn errors_of_callbacks_are_told() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let script = |callback: &str, body: &str| {
        format!(
            "{{n: 0, fault: function() {{}}, {callback}: function(a, b) {{ {body} }}, \
            result: function() {{ return this.n }}}}"
        )
    };
    for callback in ["step", "enter", "exit"] {
        let (code, message) = failure(&rpc, &block, &script(callback, "this.n.x.y")).await;
        assert_eq!(code, -32000, "{message}");
        let place = format!("in server-side tracer function '{callback}'");
        assert!(message.starts_with("TypeError") && message.ends_with(&place), "{message}");
    }
    let peek = script("step", "log = a; log.stack.peek(5000)");
    assert!(failure(&rpc, &block, &peek).await.1.contains("out of bound"));
    let result = "{fault: function() {}, result: function() { throw 'no result' }}";
    assert_eq!(
        failure(&rpc, &block, result).await,
        (-32000, "no result in server-side tracer function 'result'".to_owned())
    );
    let huge = "{fault: function() {}, result: function() { throw 'x'.repeat(1e5) }}";
    assert_eq!(failure(&rpc, &block, huge).await.1.len(), 1000);
    // A failed script ends with an error only if it threw: a revert of the transaction is none.
    let options = json!({"tracer": "{f: 0, fault: function() { this.f++ }, step: function() {}, \
        result: function(ctx) { return [this.f, ctx.error] }}"});
    let reverted = rpc.ok("debug_traceCall", json!([{"to": REVERTER}, "latest", options])).await;
    assert_eq!(reverted, json!([1, "execution reverted"]));
}

#[tokio::test]
async fn endless_scripts_are_stopped() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let endless = "while (true) {}";
    for callback in ["step", "enter", "exit", "result"] {
        let rest = if callback == "result" { "" } else { "result: function() { return 1 }, " };
        let script =
            format!("{{fault: function() {{}}, {rest}{callback}: function() {{ {endless} }}}}");
        let (code, message) = failure(&rpc, &block, &script).await;
        assert_eq!(code, -32000, "{callback}: {message}");
        assert!(message.to_lowercase().contains("loop"), "{callback}: {message}");
    }
    for script in [
        format!(
            "{{setup: function() {{ {endless} }}, fault: function() {{}}, result: function() {{}}}}"
        ),
        format!("(function() {{ {endless} }})()"),
    ] {
        assert_eq!(failure(&rpc, &block, &script).await.0, -32602);
    }
    let recursive = "{f: function() { this.f() }, fault: function() {}, step: function() { this.f() }, \
        result: function() { return 1 }}";
    let (code, message) = failure(&rpc, &block, recursive).await;
    assert!(code == -32000 && message.contains("recursion"), "{message}");
    assert!(trace(&rpc, &block, OPCODES).await.is_array());
}

/// Loops within the limits of the engine can take any time; the caller is answered in time, and others find their places.
#[tokio::test]
async fn time_is_limited() {
    let args = RpcServerArgs { js_tracer: true, max_concurrent_traces: 2, ..Default::default() };
    let rpc = TestRpc::with_args(args);
    let block = with_block(&rpc);
    let nested = "{f: function() { for (var i = 0; i < 100000; i++) {} }, fault: function() {}, \
        step: function() { for (var i = 0; i < 60; i++) { this.f() } }, \
        result: function() { return 1 }}";
    let started = Instant::now();
    let options = json!({"tracer": nested, "timeout": "100ms"});
    let (code, message, _) =
        rpc.err("debug_traceTransaction", json!([hash(&block, 0), options])).await;
    assert_eq!((code, message.as_str()), (-32000, "execution timeout"));
    let answered = started.elapsed();
    // Its thread still has a place: there is another one for scripts, and all those of traces.
    assert!(trace(&rpc, &block, OPCODES).await.is_array());
    let calls = json!({"tracer": "callTracer"});
    rpc.ok("debug_traceTransaction", json!([hash(&block, 0), calls])).await;
    assert!(answered < Duration::from_secs(5), "answered after {answered:?}");
    // Many short callbacks are stopped in between.
    let options = json!({"tracer": OPCODES, "timeout": "0s"});
    let params = json!([hash(&block, 0), options]);
    assert_eq!(rpc.err("debug_traceTransaction", params).await.1, "execution timeout");
    let options = json!({"tracer": OPCODES, "timeout": "soon"});
    let params = json!([hash(&block, 0), options]);
    assert_eq!(rpc.err("debug_traceTransaction", params).await.0, -32602);
}

/// The deepest nesting that a script's length allows fits on the stack of its thread.
#[tokio::test]
async fn nesting_does_not_overflow_the_stack() {
    let rpc = scripted();
    let block = with_block(&rpc);
    let most = 32_000;
    for (open, middle, close) in
        [("[", "", "]"), ("!", "1", ""), ("1+", "1", ""), ("a?1:", "1", ""), ("new ", "a", "")]
    {
        let levels = most / (open.len() + close.len());
        let script = format!("{}{middle}{}", open.repeat(levels), close.repeat(levels));
        let options = json!({"tracer": format!("({script})"), "timeout": "1m"});
        let params = json!([hash(&block, 0), options]);
        assert_eq!(rpc.err("debug_traceTransaction", params).await.0, -32602, "{open}");
    }
}

#[tokio::test]
async fn scripts_are_off_unless_turned_on() {
    let rpc = TestRpc::new();
    let block = with_block(&rpc);
    let (code, message) = failure(&rpc, &block, OPCODES).await;
    assert_eq!(code, -32004, "{message}");
    assert!(message.contains("--rpc.js-tracer"), "{message}");
}
