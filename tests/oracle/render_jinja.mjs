// The same as render_jinja.py by npm's @huggingface/jinja: each line of stdin {"template",
// "variables"}, each line of stdout the text or {"error": ...}. Its folder is the argument.
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import { Buffer } from "node:buffer";
import process from "node:process";

const Clock = globalThis.Date;
globalThis.Date = class extends Clock { // strftime_now
    constructor(...args) { args.length ? super(...args) : super(2024, 6, 26); }
};
const { Template } = await import(pathToFileURL(process.argv[2] + "/dist/index.js"));
for await (const line of createInterface({ input: process.stdin, crlfDelay: Infinity })) {
    const { template, variables } = JSON.parse(line);
    let answer;
    try {
        answer = new Template(template).render(variables);
    } catch (e) {
        answer = { error: `${e}` };
    }
    process.stdout.write(Buffer.from(JSON.stringify(answer) + "\n"));
}
