// State of a chain before its first block: accounts, tree, commitment.
import { blake2s } from "@noble/hashes/blake2s";
import { keccak_256 } from "@noble/hashes/sha3";
import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils";

const blake = (bytes) => blake2s(bytes, { dkLen: 32 });
export const fromHex = (hex) => hexToBytes(hex.replace(/^0x/, ""));
export const toHex = (bytes) => `0x${bytesToHex(bytes)}`;
export const blakeHex = (bytes) => toHex(blake(bytes));
export const keccakHex = (bytes) => toHex(keccak_256(bytes));

/** Integer as `length` big-endian bytes. */
export function uint(value, length) {
  return hexToBytes(BigInt(value).toString(16).padStart(2 * length, "0"));
}

const ACCOUNT_PROPERTIES_ADDRESS = 0x8003;
const DEPLOYED_EVM_CONTRACT = fromHex("0x0101010000000000");
// Hash of the header of block 0, which is the same for every chain.
const GENESIS_BLOCK_HASH = "0xef97917ce9bd9fa7d12ad6a8d81ea26c80ac1d727acc37cbb9799ae199788dc5";

/** Key of a slot in the state tree. */
function flatKey(address, slot) {
  return blake(concatBytes(new Uint8Array(12), address, slot));
}

/** One bit per code byte, set at jump destinations; 64-bit words, lowest bit first. */
function jumpDestinations(code) {
  const bitmap = new Uint8Array(8 * Math.ceil(code.length / 64));
  for (let i = 0; i < code.length; i++) {
    const opcode = code[i];
    if (opcode === 0x5b) bitmap[i >> 3] |= 1 << (i & 7);
    // PUSH1 to PUSH32: what follows is data.
    if (opcode >= 0x60 && opcode <= 0x7f) i += opcode - 0x5f;
  }
  return bitmap;
}

/** The 124-byte record of a genesis contract. */
function accountProperties(code) {
  const padding = new Uint8Array((8 - (code.length % 8)) % 8);
  const artifacts = jumpDestinations(code);
  return concatBytes(
    DEPLOYED_EVM_CONTRACT,
    uint(1, 8), // nonce
    uint(0, 32), // balance
    blake(concatBytes(code, padding, artifacts)),
    uint(code.length, 4),
    uint(artifacts.length, 4),
    keccak_256(code),
    uint(code.length, 4),
  );
}

/** Entries of the genesis state by hex key. */
function entries(genesis) {
  const state = new Map();
  const add = (key, value) => {
    const name = toHex(key);
    if (state.has(name)) throw new Error(`genesis: key ${name} appears twice`);
    state.set(name, value);
  };
  for (const [address, code] of genesis.initial_contracts) {
    const slot = concatBytes(new Uint8Array(12), fromHex(address));
    add(flatKey(uint(ACCOUNT_PROPERTIES_ADDRESS, 20), slot), blake(accountProperties(fromHex(code))));
  }
  for (const [key, value] of genesis.additional_storage_raw ?? []) add(fromHex(key), fromHex(value));
  for (const [address, slots] of Object.entries(genesis.additional_storage ?? {})) {
    for (const [slot, value] of Object.entries(slots)) add(flatKey(fromHex(address), fromHex(slot)), fromHex(value));
  }
  return state;
}

/** Root of the tree and number of its leaves, guards included. */
function tree(state) {
  const keys = [...state.keys()].sort();
  const position = (index) => (index < keys.length ? index + 2 : 1);
  const little = (value) => uint(value, 8).reverse();
  const leaf = (key, value, next) => blake(concatBytes(key, value, little(next)));
  const zero = new Uint8Array(32);
  let level = [
    leaf(zero, zero, position(0)),
    leaf(new Uint8Array(32).fill(0xff), zero, 1),
    ...keys.map((key, index) => leaf(fromHex(key), state.get(key), position(index + 1))),
  ];
  const leaves = level.length;
  let empty = blake(new Uint8Array(72));
  for (let height = 0; height < 64; height++) {
    const next = [];
    for (let i = 0; i < level.length; i += 2) next.push(blake(concatBytes(level[i], level[i + 1] ?? empty)));
    level = next;
    empty = blake(concatBytes(empty, empty));
  }
  return { root: level[0], leaves };
}

/** Commitment to the state after block 0: what L1 knows as the hash of batch 0. */
export function genesisRoot(genesis) {
  const { root, leaves } = tree(entries(genesis));
  const blockHashes = blake(concatBytes(new Uint8Array(255 * 32), fromHex(GENESIS_BLOCK_HASH)));
  return blakeHex(concatBytes(root, uint(leaves, 8), uint(0, 8), blockHashes, uint(0, 8)));
}
