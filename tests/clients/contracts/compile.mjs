// Compiles the contracts beside this file with the compiler that etc/l1 pins.
//   node compile.mjs          writes artifacts.json
//   node compile.mjs --check  fails when artifacts.json is not what the sources give
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const solc = createRequire(here("../../../etc/l1/package.json"))("solc");

const names = ["Probe", "Token"];
const input = {
  language: "Solidity",
  sources: Object.fromEntries(
    names.map((name) => [`${name}.sol`, { content: readFileSync(here(`${name}.sol`), "utf8") }]),
  ),
  settings: {
    evmVersion: "cancun",
    optimizer: { enabled: true, runs: 200 },
    // Without metadata, comments change nothing.
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const problems = (output.errors ?? []).filter((error) => error.severity === "error");
if (problems.length > 0) {
  console.error(problems.map((error) => error.formattedMessage).join("\n"));
  process.exit(1);
}
const artifacts = Object.fromEntries(
  names.map((name) => {
    const { abi, evm } = output.contracts[`${name}.sol`][name];
    return [name, { abi, bytecode: `0x${evm.bytecode.object}` }];
  }),
);
const text = `${JSON.stringify(artifacts, null, 1)}\n`;
if (process.argv.includes("--check")) {
  if (readFileSync(here("artifacts.json"), "utf8") !== text) {
    console.error("artifacts.json is not what the sources give: run node tests/clients/contracts/compile.mjs");
    process.exit(1);
  }
} else {
  writeFileSync(here("artifacts.json"), text);
}
