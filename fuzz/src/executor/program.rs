//! Programs: sequences of steps that mean something, and opcodes that need not.

use alloy_consensus::crypto::secp256k1::{recover_signer_unchecked, sign_message};
use alloy_primitives::{Address, B256, U256};
use arbitrary::{Arbitrary, Unstructured};
use std::sync::LazyLock;
use zkos_primitives::{
    ACCOUNT_PROPERTIES_STORAGE_ADDRESS, BASE_TOKEN_ADDRESS, BOOTLOADER_FORMAL_ADDRESS,
    COMPLEX_UPGRADER_ADDRESS, CONTRACT_DEPLOYER_ADDRESS, FORCE_DEPLOYER_ADDRESS,
    L1_MESSENGER_ADDRESS, blake2s,
};

/// Something that spoils a transaction or a block: one time in sixteen, else most would be refused at once.
#[derive(Debug, Clone, Copy)]
pub struct Rare<T>(pub Option<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Rare<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        Ok(Self(if u.arbitrary::<u8>()? >= 240 { Some(u.arbitrary()?) } else { None }))
    }
}

/// Number of accounts with a key.
pub const USERS: u8 = 4;
/// Number of contracts; the last one stands at the address of the complex upgrader.
pub const CONTRACTS: u8 = 4;
/// Longest program in bytes.
const MAX_PROGRAM: usize = 12_000;

/// Secret key of a user.
pub fn secret(user: u8) -> B256 {
    B256::with_last_byte(user % USERS + 1)
}

/// Address of a user.
pub fn user(user: u8) -> Address {
    static USERS_ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| {
        (0..USERS)
            .map(|user| {
                let message = B256::repeat_byte(1);
                let signature = sign_message(secret(user), message).expect("a valid key");
                recover_signer_unchecked(&signature, message).expect("own signature")
            })
            .collect()
    });
    USERS_ADDRESSES[usize::from(user % USERS)]
}

/// Address of a contract.
pub fn contract(contract: u8) -> Address {
    match contract % CONTRACTS {
        3 => COMPLEX_UPGRADER_ADDRESS,
        other => Address::repeat_byte(0xc0 + other),
    }
}

/// An address that something stands at, or any.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Place {
    User(u8),
    Contract(u8),
    Precompile(u8),
    P256,
    Deployer,
    Messenger,
    BaseToken,
    Records,
    Bootloader,
    ForceDeployer,
    Coinbase,
    /// What a contract creates first.
    Child(u8),
    Any([u8; 20]),
}

/// Receiver of the fees unless the context names another.
pub const COINBASE: Address = Address::repeat_byte(0xcb);

impl Place {
    pub fn address(self) -> Address {
        match self {
            Self::User(n) => user(n),
            Self::Contract(n) => contract(n),
            Self::Precompile(n) => Address::with_last_byte(n % 20),
            Self::P256 => Address::from_word(B256::from(U256::from(0x100))),
            Self::Deployer => CONTRACT_DEPLOYER_ADDRESS,
            Self::Messenger => L1_MESSENGER_ADDRESS,
            Self::BaseToken => BASE_TOKEN_ADDRESS,
            Self::Records => ACCOUNT_PROPERTIES_STORAGE_ADDRESS,
            Self::Bootloader => BOOTLOADER_FORMAL_ADDRESS,
            Self::ForceDeployer => FORCE_DEPLOYER_ADDRESS,
            Self::Coinbase => COINBASE,
            Self::Child(n) => contract(n).create(1),
            Self::Any(bytes) => bytes.into(),
        }
    }
}

/// Calldata: for hooks and precompiles in their forms, or any.
#[derive(Debug, Clone, Arbitrary)]
pub enum Input {
    Raw(Vec<u8>),
    Empty,
    Message(Vec<u8>),
    Withdraw(Place),
    WithdrawWithMessage(Place, Vec<u8>),
    ForceDeploy { place: Place, code: u8, shift: i8, observable: [u8; 32] },
    Selector { which: u8, arguments: Vec<u8> },
    ModExp { lengths: [u8; 3], wide: bool, data: Vec<u8> },
    Words(Vec<Number>),
}

/// Selectors of the three hooks.
const SELECTORS: [[u8; 4]; 4] = [
    [0x62, 0xf8, 0x4b, 0x24],
    [0x51, 0xcf, 0xf8, 0xd9],
    [0x84, 0xbc, 0x3e, 0xb0],
    [0xf6, 0xec, 0xa0, 0xb0],
];

fn word(out: &mut Vec<u8>, value: impl Into<U256>) {
    out.extend_from_slice(&value.into().to_be_bytes::<32>());
}

fn bytes_tail(out: &mut Vec<u8>, data: &[u8]) {
    word(out, U256::from(data.len()));
    out.extend_from_slice(data);
    out.resize(out.len() + data.len().next_multiple_of(32) - data.len(), 0);
}

impl Input {
    /// The bytes; `codes` are what force deployments can name.
    pub fn bytes(&self, codes: &[Vec<u8>]) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Raw(bytes) => out.extend_from_slice(bytes),
            Self::Empty => {}
            Self::Message(message) => {
                out.extend(SELECTORS[0]);
                word(&mut out, U256::from(32));
                bytes_tail(&mut out, message);
            }
            Self::Withdraw(to) => {
                out.extend(SELECTORS[1]);
                out.extend(to.address().into_word());
            }
            Self::WithdrawWithMessage(to, message) => {
                out.extend(SELECTORS[2]);
                out.extend(to.address().into_word());
                word(&mut out, U256::from(64));
                bytes_tail(&mut out, message);
            }
            Self::ForceDeploy { place, code, shift, observable } => {
                out.extend(SELECTORS[3]);
                out.extend(place.address().into_word());
                let code = codes.get(usize::from(*code) % codes.len().max(1));
                let code = code.map_or(&[][..], Vec::as_slice);
                out.extend(blake2s(code));
                word(&mut out, U256::from(code.len().saturating_add_signed((*shift).into())));
                out.extend(observable);
            }
            Self::Selector { which, arguments } => {
                out.extend(SELECTORS[usize::from(*which) % SELECTORS.len()]);
                out.extend_from_slice(arguments);
            }
            Self::ModExp { lengths, wide, data } => {
                for len in lengths {
                    let len = U256::from(*len);
                    word(&mut out, if *wide { len << 56 } else { len });
                }
                out.extend_from_slice(data);
            }
            Self::Words(words) => words.iter().for_each(|number| word(&mut out, number.value())),
        }
        out.truncate(4096);
        out
    }
}

/// Numbers at borders, or any.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub enum Number {
    Small(u8),
    Medium(u16),
    Max,
    HighBit,
    PowerOfTwo(u8),
    BeforePowerOfTwo(u8),
    Any([u8; 32]),
}

impl Number {
    pub fn value(self) -> U256 {
        match self {
            Self::Small(n) => U256::from(n),
            Self::Medium(n) => U256::from(n),
            Self::Max => U256::MAX,
            Self::HighBit => U256::ONE << 255,
            Self::PowerOfTwo(n) => U256::ONE << usize::from(n),
            Self::BeforePowerOfTwo(n) => (U256::ONE << usize::from(n)) - U256::ONE,
            Self::Any(bytes) => U256::from_be_bytes(bytes),
        }
    }
}

/// One step of a program.
#[derive(Debug, Clone, Arbitrary)]
pub enum Step {
    Op(u8),
    Push(Number),
    PushPlace(Place),
    Own,
    Store {
        slot: u8,
        value: Number,
    },
    Load(u8),
    Transient {
        slot: u8,
        value: u8,
    },
    Log {
        topics: u8,
        len: u16,
    },
    Memory {
        offset: u16,
        value: Number,
    },
    Call {
        kind: u8,
        to: Place,
        value: Option<Number>,
        gas: Option<u16>,
        input: Input,
        output: u8,
    },
    Create {
        salt: Option<u8>,
        value: Option<Number>,
        init: Vec<Step>,
    },
    Deploy(Vec<Step>),
    Destruct(Place),
    /// Back to the start while more than so much gas (in thousands) is left.
    Loop(u8),
    Return(u16),
    Revert(u16),
}

const PUSH0: u8 = 0x5f;
const MSTORE: u8 = 0x52;

struct Assembler<'a> {
    out: Vec<u8>,
    codes: &'a [Vec<u8>],
}

/// The bytecode of a program.
pub fn assemble(steps: &[Step], codes: &[Vec<u8>]) -> Vec<u8> {
    // A place to jump back to.
    let mut assembler = Assembler { out: vec![0x5b], codes };
    for step in steps {
        if assembler.out.len() > MAX_PROGRAM {
            break;
        }
        assembler.step(step);
    }
    assembler.out.truncate(2 * MAX_PROGRAM);
    assembler.out
}

impl Assembler<'_> {
    fn op(&mut self, op: u8) {
        self.out.push(op);
    }

    fn push(&mut self, value: impl Into<U256>) {
        let value = value.into();
        let len = value.byte_len();
        self.op(PUSH0 + len as u8);
        self.out.extend_from_slice(&value.to_be_bytes::<32>()[32 - len..]);
    }

    fn address(&mut self, address: Address) {
        self.op(PUSH0 + 20);
        self.out.extend_from_slice(address.as_slice());
    }

    /// Writes bytes to memory from 0 on.
    fn write(&mut self, bytes: &[u8]) {
        for (at, chunk) in (0u64..).step_by(32).zip(bytes.chunks(32)) {
            let mut word = [0u8; 32];
            word[..chunk.len()].copy_from_slice(chunk);
            self.push(U256::from_be_bytes(word));
            self.push(U256::from(at));
            self.op(MSTORE);
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Op(op) => self.op(*op),
            Step::Push(number) => self.push(number.value()),
            Step::PushPlace(place) => self.address(place.address()),
            Step::Own => self.op(0x30),
            Step::Store { slot, value } => {
                self.push(value.value());
                self.push(U256::from(slot % 8));
                self.op(0x55);
            }
            Step::Load(slot) => {
                self.push(U256::from(slot % 8));
                self.op(0x54);
            }
            Step::Transient { slot, value } => {
                self.push(U256::from(*value));
                self.push(U256::from(slot % 8));
                self.op(0x5d);
                self.push(U256::from(slot % 8));
                self.op(0x5c);
            }
            Step::Log { topics, len } => {
                let topics = topics % 5;
                (0..topics).for_each(|topic| self.push(U256::from(topic)));
                self.push(U256::from(len % 2048));
                self.push(U256::ZERO);
                self.op(0xa0 + topics);
            }
            Step::Memory { offset, value } => {
                self.push(value.value());
                self.push(U256::from(offset % 4096));
                self.op(MSTORE);
            }
            Step::Call { kind, to, value, gas, input, output } => {
                let input = input.bytes(self.codes);
                self.write(&input);
                let op = [0xf1, 0xf1, 0xf2, 0xf4, 0xfa][usize::from(kind % 5)];
                self.push(U256::from(*output));
                self.push(U256::ZERO);
                self.push(U256::from(input.len()));
                self.push(U256::ZERO);
                if matches!(op, 0xf1 | 0xf2) {
                    self.push(value.map_or(U256::ZERO, Number::value));
                }
                self.address(to.address());
                match gas {
                    Some(gas) => self.push(U256::from(*gas)),
                    None => self.op(0x5a),
                }
                self.op(op);
            }
            Step::Create { salt, value, init } => {
                let init = assemble(init, self.codes);
                self.write(&init);
                if let Some(salt) = salt {
                    self.push(U256::from(*salt));
                }
                self.push(U256::from(init.len()));
                self.push(U256::ZERO);
                self.push(value.map_or(U256::ZERO, Number::value));
                self.op(if salt.is_some() { 0xf5 } else { 0xf0 });
            }
            Step::Deploy(steps) => {
                let code = assemble(steps, self.codes);
                self.write(&code);
                self.push(U256::from(code.len()));
                self.push(U256::ZERO);
                self.op(0xf3);
            }
            Step::Destruct(to) => {
                self.address(to.address());
                self.op(0xff);
            }
            Step::Loop(gas) => {
                // Start, then the condition: gas left > bound.
                self.push(U256::from(u64::from(*gas) * 1000 + 1000));
                self.op(0x5a);
                self.op(0x11);
                self.push(U256::ZERO);
                self.op(0x57);
            }
            Step::Return(len) => {
                self.push(U256::from(len % 2048));
                self.push(U256::ZERO);
                self.op(0xf3);
            }
            Step::Revert(len) => {
                self.push(U256::from(len % 2048));
                self.push(U256::ZERO);
                self.op(0xfd);
            }
        }
    }
}
