// Parse an AsyncAPI document; print what the official parser finds, and fail on errors and warnings.
const { readFileSync } = require("node:fs");
const { Parser } = require("@asyncapi/parser");

const INFORMATION = 2;

async function main(path) {
  const { document, diagnostics } = await new Parser().parse(readFileSync(path, "utf8"));
  const found = diagnostics.filter((each) => each.severity < INFORMATION);
  for (const each of found) {
    console.log(`${path}: ${each.path.join(".")}: ${each.message} (${each.code})`);
  }
  if (found.length > 0 || document === undefined) {
    process.exit(1);
  }
}

main(process.argv[2]);
