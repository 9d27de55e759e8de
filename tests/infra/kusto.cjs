// Reads {"tables": {name: {column: type}}, "queries": {name: text}} and writes, by name,
// {"findings": [...], "columns": [...]}: what Microsoft's own language service says of each query.
"use strict";

const path = require("node:path");

const service = path.resolve(__dirname, "../../local/node_modules/@kusto/language-service-next");
require(path.join(service, "bridge.min.js"));
require(path.join(service, "Kusto.Language.Bridge.min.js"));

const { KustoCode, GlobalState, Symbols } = Kusto.Language;
const asked = JSON.parse(require("node:fs").readFileSync(0, "utf8"));

const tables = Object.entries(asked.tables).map(([name, columns]) => {
  const shape = Object.entries(columns).map(([column, type]) => `${column}: ${type}`).join(", ");
  return new Symbols.TableSymbol.$ctor7(name, `(${shape})`, null);
});
const workspace = new Symbols.DatabaseSymbol.$ctor1("workspace", tables, false);
const globals = GlobalState.Default.WithDatabase(workspace);

const answer = {};
for (const [name, text] of Object.entries(asked.queries)) {
  const code = KustoCode.ParseAndAnalyze(text, globals);
  const found = Bridge.toArray(code.GetDiagnostics());
  const result = code.ResultType;
  answer[name] = {
    findings: found.map((d) => `${d.Code} ${d.Severity}: ${d.Message} (at ${d.Start})`),
    columns: result && result.Columns ? Bridge.toArray(result.Columns).map((c) => c.Name) : [],
  };
}
process.stdout.write(JSON.stringify(answer));
