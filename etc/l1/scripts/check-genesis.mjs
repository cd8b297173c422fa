// Recomputes the root of genesis files and compares it with the recorded one:
//   node scripts/check-genesis.mjs FILE..
import { readFileSync } from "node:fs";
import { genesisRoot } from "./lib/genesis.mjs";

let failed = false;
for (const file of process.argv.slice(2)) {
  const genesis = JSON.parse(readFileSync(file, "utf8"));
  const computed = genesisRoot(genesis);
  const ok = computed === genesis.genesis_root.toLowerCase();
  failed ||= !ok;
  console.log(`${ok ? "ok  " : "FAIL"} ${file} ${computed}`);
}
process.exit(failed ? 1 : 0);
