// llama.cpp, through node-llama-cpp, as a second reader of our GGUF files.
//   llama.mjs MODEL.gguf [LORA.gguf] < lines
// Each line of stdin is a JSON object and gives a line of stdout, numbers with blanks between:
//   {"text": "..."}      -> its tokens as llama.cpp makes them, special ones not read, and BOS where it puts one
//   a row of `shard head --json` (ids, prompt_length)
//                        -> -log p of each id but the first, then how many of the ids after the
//                           prompt are not the most likely there
import {createInterface} from "node:readline";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";

const [model_path, lora] = process.argv.slice(2);
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error, progressLogs: false});
const model = await llama.loadModel({modelPath: model_path});
const context = await model.createContext({
    contextSize: 512, flashAttention: false, threads: 1, ...(lora ? {lora} : {}),
    experimentalKvCacheKeyType: "F32", experimentalKvCacheValueType: "F32",
});

async function next_logits(sequence, ids) { // of every position
    const want = {generateNext: {logits: true}};
    const out = await sequence.controlledEvaluate(ids.map((id) => [id, want]));
    return out.map((o) => o.next.logits);
}

function log_p(logits, id) {
    let most = -Infinity, sum = 0;
    for (const z of logits.values()) most = Math.max(most, z);
    for (const z of logits.values()) sum += Math.exp(z - most);
    return logits.get(id) - most - Math.log(sum);
}

function mostLikely(logits) {
    let best = -1, most = -Infinity;
    for (const [id, z] of logits) if (z > most || (z === most && id < best)) [best, most] = [id, z];
    return best;
}

async function answer(sequence, row) {
    const {bos, shouldPrependBosToken} = model.tokens;
    if (row.text !== undefined)
        return [...(shouldPrependBosToken ? [bos] : []), ...model.tokenize(row.text, false)];
    const logits = await next_logits(sequence, row.ids);
    const nll = row.ids.slice(1).map((id, i) => -log_p(logits[i], id));
    const unlike = row.ids.filter((id, i) => i >= row.prompt_length && i > 0 && mostLikely(logits[i - 1]) !== id);
    return [...nll, unlike.length];
}

const sequence = context.getSequence();
for await (const line of createInterface({input: process.stdin})) {
    await sequence.clearHistory();
    console.log((await answer(sequence, JSON.parse(line))).join(" "));
}
process.exit(0);
