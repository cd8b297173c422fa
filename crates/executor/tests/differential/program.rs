//! Generator of programs that mostly get somewhere.

use alloy_primitives::{Address, U256, address};
use proptest::prelude::*;
use revm::bytecode::opcode as op;

pub(crate) const SENDER: Address = Address::repeat_byte(0x11);
pub(crate) const EOA: Address = Address::repeat_byte(0x33);
pub(crate) const COINBASE: Address = Address::repeat_byte(0xcb);
pub(crate) const CONTRACTS: [Address; 3] =
    [Address::repeat_byte(0xa1), Address::repeat_byte(0xb2), Address::repeat_byte(0xc3)];

/// Addresses that programs name by number.
const POOL: [Address; 19] = [
    CONTRACTS[0],
    CONTRACTS[1],
    CONTRACTS[2],
    CONTRACTS[1],
    CONTRACTS[2],
    SENDER,
    EOA,
    COINBASE,
    // Does not exist.
    Address::repeat_byte(0xee),
    address!("0x0000000000000000000000000000000000000001"),
    address!("0x0000000000000000000000000000000000000002"),
    address!("0x0000000000000000000000000000000000000004"),
    address!("0x0000000000000000000000000000000000000005"),
    address!("0x0000000000000000000000000000000000000006"),
    address!("0x0000000000000000000000000000000000000008"),
    address!("0x000000000000000000000000000000000000000b"),
    address!("0x0000000000000000000000000000000000000000"),
    // Precompiles that differ.
    address!("0x0000000000000000000000000000000000000009"),
    address!("0x0000000000000000000000000000000000000100"),
];
pub(crate) const ADDRESSES: usize = POOL.len();
pub(crate) const INITCODES: usize = 9;

pub(crate) fn address_of(n: usize) -> Address {
    POOL[n % POOL.len()]
}

/// Part of a program.
#[derive(Debug, Clone)]
pub(crate) enum Piece {
    Code(Vec<u8>),
    /// The condition, and what runs if it is zero.
    Unless(u8, Vec<Piece>),
    /// Runs the body a few times.
    Repeat(u8, Vec<Piece>),
}

pub(crate) fn push(value: U256) -> Vec<u8> {
    let bytes = value.to_be_bytes_trimmed_vec();
    if bytes.is_empty() {
        return vec![op::PUSH0];
    }
    let mut out = vec![op::PUSH0 + bytes.len() as u8];
    out.extend_from_slice(&bytes);
    out
}

fn push_address(n: usize) -> Vec<u8> {
    push(U256::from_be_slice(address_of(n).as_slice()))
}

/// Bytecode of the pieces.
pub(crate) fn assemble(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    append(pieces, &mut out);
    out
}

fn push_position(at: usize, out: &mut [u8], position: usize) {
    out[at..at + 2].copy_from_slice(&(position as u16).to_be_bytes());
}

fn append(pieces: &[Piece], out: &mut Vec<u8>) {
    for piece in pieces {
        match piece {
            Piece::Code(code) => out.extend_from_slice(code),
            Piece::Unless(condition, body) => {
                out.extend([op::PUSH1, *condition, op::PUSH2, 0, 0, op::JUMPI]);
                let at = out.len() - 3;
                append(body, out);
                let end = out.len();
                push_position(at, out, end);
                out.push(op::JUMPDEST);
            }
            Piece::Repeat(times, body) => {
                // The counter stands in transient storage, out of the body's way.
                let counter = U256::from(0xc0 + usize::from(*times));
                out.push(op::JUMPDEST);
                let start = out.len() - 1;
                append(body, out);
                out.extend(push(counter));
                out.extend([op::TLOAD, op::PUSH1, 1, op::ADD, op::DUP1]);
                out.extend(push(counter));
                out.extend([op::TSTORE, op::PUSH1, *times, op::GT, op::PUSH2, 0, 0, op::JUMPI]);
                let at = out.len() - 3;
                push_position(at, out, start);
            }
        }
    }
}

/// Small creation codes.
pub(crate) fn initcode(n: usize) -> Vec<u8> {
    let selfdestruct_to = |address: usize| [push_address(address), vec![op::SELFDESTRUCT]].concat();
    match n % INITCODES {
        0 => vec![],
        // Deploys STOP JUMPDEST.
        1 => vec![
            op::PUSH2,
            0x00,
            0x5b,
            op::PUSH0,
            op::MSTORE,
            op::PUSH1,
            2,
            op::PUSH1,
            30,
            op::RETURN,
        ],
        2 => vec![op::PUSH1, 4, op::PUSH0, op::REVERT],
        3 => selfdestruct_to(6),
        4 => vec![op::PUSH1, 0xef, op::PUSH0, op::MSTORE8, op::PUSH1, 1, op::PUSH0, op::RETURN],
        // Hands over to a contract's code.
        5 => [
            vec![op::PUSH0; 4],
            push_address(1),
            vec![op::GAS, op::DELEGATECALL, op::PUSH0, op::SSTORE],
        ]
        .concat(),
        // Deploys code that destroys itself.
        6 => vec![
            op::PUSH1,
            0xff,
            op::PUSH1,
            30,
            op::MSTORE8,
            op::PUSH1,
            1,
            op::PUSH1,
            30,
            op::RETURN,
        ],
        7 => vec![op::INVALID],
        _ => vec![op::PUSH1, 1, op::PUSH0, op::SSTORE, op::CALLVALUE, op::PUSH1, 1, op::SSTORE],
    }
}

fn word() -> impl Strategy<Value = U256> {
    prop_oneof![
        6 => (0u64..70).prop_map(U256::from),
        2 => any::<u64>().prop_map(U256::from),
        1 => Just(U256::MAX),
        1 => any::<[u8; 32]>().prop_map(U256::from_be_bytes),
    ]
}

fn small() -> impl Strategy<Value = U256> {
    (0u64..70).prop_map(U256::from)
}

fn code(parts: impl IntoIterator<Item = Vec<u8>>, opcode: u8) -> Piece {
    let mut out = parts.into_iter().collect::<Vec<_>>().concat();
    out.push(opcode);
    Piece::Code(out)
}

/// An instruction with arguments, the first one on top of the stack.
fn with_arguments(arguments: Vec<U256>, opcode: u8) -> Piece {
    code(arguments.into_iter().rev().map(push), opcode)
}

fn arithmetic() -> impl Strategy<Value = Piece> {
    let opcode = prop_oneof![0x01u8..=0x0b, 0x10u8..=0x1d];
    (word(), word(), word(), opcode)
        .prop_map(|(a, b, c, opcode)| with_arguments(vec![a, b, c], opcode))
}

fn memory() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (small(), word()).prop_map(|(at, value)| with_arguments(vec![at, value], op::MSTORE)),
        (small(), word()).prop_map(|(at, value)| with_arguments(vec![at, value], op::MSTORE8)),
        small().prop_map(|at| with_arguments(vec![at], op::MLOAD)),
        word().prop_map(|at| with_arguments(vec![at], op::MLOAD)),
        (small(), small(), small())
            .prop_map(|(to, from, len)| { with_arguments(vec![to, from, len], op::MCOPY) }),
        (small(), small()).prop_map(|(at, len)| with_arguments(vec![at, len], op::KECCAK256)),
        (small(), word(), small(), prop_oneof![Just(op::CALLDATACOPY), Just(op::CODECOPY)])
            .prop_map(|(to, from, len, opcode)| with_arguments(vec![to, from, len], opcode)),
        (small(), 0u64..3, 0u64..3).prop_map(|(to, from, len)| {
            with_arguments(vec![to, U256::from(from), U256::from(len)], op::RETURNDATACOPY)
        }),
        (0..ADDRESSES, small(), word(), small()).prop_map(|(address, to, from, len)| {
            code([push(len), push(from), push(to), push_address(address)], op::EXTCODECOPY)
        }),
    ]
}

fn storage() -> impl Strategy<Value = Piece> {
    let key = || (0u64..5).prop_map(U256::from);
    prop_oneof![
        3 => (key(), prop_oneof![Just(U256::ZERO), small()])
            .prop_map(|(key, value)| with_arguments(vec![key, value], op::SSTORE)),
        2 => key().prop_map(|key| with_arguments(vec![key], op::SLOAD)),
        1 => (key(), small()).prop_map(|(key, value)| with_arguments(vec![key, value], op::TSTORE)),
        1 => key().prop_map(|key| with_arguments(vec![key], op::TLOAD)),
    ]
}

fn environment() -> impl Strategy<Value = Piece> {
    let without = prop_oneof![
        Just(op::ADDRESS),
        Just(op::ORIGIN),
        Just(op::CALLER),
        Just(op::CALLVALUE),
        Just(op::CALLDATASIZE),
        Just(op::CODESIZE),
        Just(op::GASPRICE),
        Just(op::RETURNDATASIZE),
        Just(op::COINBASE),
        Just(op::TIMESTAMP),
        Just(op::NUMBER),
        Just(op::DIFFICULTY),
        Just(op::GASLIMIT),
        Just(op::CHAINID),
        Just(op::SELFBALANCE),
        Just(op::BASEFEE),
        Just(op::BLOBBASEFEE),
        Just(op::PC),
        Just(op::MSIZE),
        Just(op::GAS),
    ];
    let with_word = prop_oneof![
        Just(op::CALLDATALOAD),
        Just(op::BLOCKHASH),
        Just(op::BLOBHASH),
        Just(op::ISZERO),
        Just(op::NOT),
    ];
    let with_address =
        prop_oneof![Just(op::BALANCE), Just(op::EXTCODESIZE), Just(op::EXTCODEHASH),];
    prop_oneof![
        without.prop_map(|opcode| Piece::Code(vec![opcode])),
        (word(), with_word).prop_map(|(word, opcode)| with_arguments(vec![word], opcode)),
        (0..ADDRESSES, with_address)
            .prop_map(|(address, opcode)| code([push_address(address)], opcode)),
    ]
}

fn log() -> impl Strategy<Value = Piece> {
    (0u8..5, small(), small(), prop::collection::vec(word(), 4)).prop_map(|(n, at, len, topics)| {
        let mut arguments = vec![at, len];
        arguments.extend(&topics[..usize::from(n)]);
        with_arguments(arguments, op::LOG0 + n)
    })
}

/// A call, whose result is stored so that it shows.
fn call() -> impl Strategy<Value = Piece> {
    let opcode = prop_oneof![
        3 => Just(op::CALL), 1 => Just(op::CALLCODE), 2 => Just(op::DELEGATECALL), 1 => Just(op::STATICCALL),
    ];
    let gas = prop_oneof![1 => Just(None), 1 => (0u64..60_000).prop_map(Some)];
    let value = prop_oneof![3 => Just(0u64), 1 => 1u64..20, 1 => Just(u64::MAX)];
    (opcode, 0..ADDRESSES, gas, value, small(), small(), any::<bool>()).prop_map(
        |(opcode, address, gas, value, at, len, keep)| {
            let mut out = [push(len), push(at), push(len), push(at)].concat();
            if matches!(opcode, op::CALL | op::CALLCODE) {
                out.extend(push(U256::from(value)));
            }
            out.extend(push_address(address));
            match gas {
                Some(gas) => out.extend(push(U256::from(gas))),
                None => out.push(op::GAS),
            }
            out.push(opcode);
            if keep {
                out.extend([op::PUSH1, 4, op::SSTORE]);
            }
            Piece::Code(out)
        },
    )
}

/// A creation, sometimes with a call of what it made.
fn create() -> impl Strategy<Value = Piece> {
    let value = prop_oneof![6 => Just(0u64), 2 => 1u64..10, 1 => Just(u64::MAX)];
    (0..INITCODES, value, any::<bool>(), 0u64..3, any::<bool>()).prop_map(
        |(n, value, create2, salt, call)| {
            let init = initcode(n);
            let mut out = Vec::new();
            for (i, chunk) in init.chunks(32).enumerate() {
                let mut word = [0u8; 32];
                word[..chunk.len()].copy_from_slice(chunk);
                out.extend(push(U256::from_be_bytes(word)));
                out.extend(push(U256::from(32 * i)));
                out.push(op::MSTORE);
            }
            if create2 {
                out.extend(push(U256::from(salt)));
            }
            out.extend(push(U256::from(init.len())));
            out.extend([push(U256::ZERO), push(U256::from(value))].concat());
            out.push(if create2 { op::CREATE2 } else { op::CREATE });
            if call {
                // The address is on top; call it without arguments.
                out.extend([op::PUSH0, op::PUSH0, op::PUSH0, op::PUSH0, op::PUSH0]);
                out.extend([op::DUP1 + 5, op::GAS, op::CALL]);
            }
            Piece::Code(out)
        },
    )
}

fn end() -> impl Strategy<Value = Piece> {
    prop_oneof![
        (small(), small()).prop_map(|(at, len)| with_arguments(vec![at, len], op::RETURN)),
        (small(), small()).prop_map(|(at, len)| with_arguments(vec![at, len], op::REVERT)),
        Just(Piece::Code(vec![op::STOP])),
        (0..ADDRESSES).prop_map(|address| code([push_address(address)], op::SELFDESTRUCT)),
    ]
}

fn simple() -> BoxedStrategy<Piece> {
    prop_oneof![
        6 => arithmetic(),
        5 => memory(),
        6 => storage(),
        4 => environment(),
        2 => log(),
        4 => call(),
        2 => create(),
        1 => end().prop_map(|end| Piece::Unless(1, vec![end])),
        1 => (0x80u8..=0x9f).prop_map(|opcode| Piece::Code(vec![opcode])),
        1 => Just(Piece::Code(vec![op::POP])),
    ]
    .boxed()
}

/// Programs, a few of which contain an arbitrary byte or end early.
pub(crate) fn program() -> BoxedStrategy<Vec<Piece>> {
    let pieces = || prop::collection::vec(simple(), 1..6);
    let piece = prop_oneof![
        12 => simple(),
        1 => (0u8..2, pieces()).prop_map(|(condition, body)| Piece::Unless(condition, body)),
        1 => (1u8..4, pieces()).prop_map(|(times, body)| Piece::Repeat(times, body)),
    ];
    let stray = prop_oneof![
        10 => Just(None),
        1 => any::<u8>().prop_map(|byte| Some(Piece::Code(vec![byte]))),
    ];
    (prop::collection::vec(piece, 1..14), stray, end())
        .prop_map(|(mut pieces, stray, end)| {
            pieces.extend(stray);
            pieces.push(end);
            pieces
        })
        .boxed()
}
