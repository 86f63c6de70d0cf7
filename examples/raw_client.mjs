// The same client as raw_client.py in JavaScript, from docs/protocol.md alone. Node 18 or later.
//
// npm install zeromq@6 @msgpack/msgpack@3
// node examples/raw_client.mjs "a red mug" [folder=result] [mesh=mug.obj] [steps=100] [address=tcp://127.0.0.1:5577]

import { createHash, randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { decode, encode } from "@msgpack/msgpack";
import { Dealer } from "zeromq";

const [HELLO, PING, SUBMIT, CHUNK, PULL, FAULT, JOB_STATE, NEED, GOT, PIECE] = [1, 2, 3, 4, 13, 66, 67, 68, 69, 72];
const PART = 2 ** 20; // bytes of a chunk or a piece
const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((i) => [i & 4 ? 1 : -1, i & 2 ? 1 : -1, i & 1 ? 1 : -1]);
const SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]; // of a cube
const JOB = randomBytes(16).toString("hex");
const socket = new Dealer({ linger: 0, receiveTimeout: 1000 });
let sent = 0;
const sha256 = (data) => createHash("sha256").update(data).digest("hex");
const end = (sentence) => (console.error(sentence), process.exit(1));

async function send(kind, body, raw = [], job = JOB) {
  await socket.send([Uint8Array.of(kind), encode({ v: [1, 0], id: ++sent, job }), encode(body), ...raw]);
}

// The next message. A second of silence is broken by a ping, three of them end the program.
async function receive() {
  for (let silent = 0; silent < 3; silent++) {
    const frames = await socket.receive().catch(() => null);
    if (frames) {
      const body = decode(frames[2]);
      if (frames[0][0] === FAULT) end(`${body.sentence} ${body.hint}`);
      return { kind: frames[0][0], body, raw: frames[3] };
    }
    await send(PING, {}, [], "");
  }
  end("The server does not answer. Start it with: sketchbridge serve");
}

// The next message of this kind; others are passed over.
async function answer(kind) {
  const message = await receive();
  return message.kind === kind ? message : answer(kind);
}

// Points and triangles of an .obj file, its longest side scaled to 1.6 around the origin; a cube without a file.
function readMesh(path) {
  const lines = path ? readFileSync(path, "utf8").split("\n").map((line) => line.trim().split(/\s+/)) : [];
  const points = path ? lines.filter((w) => w[0] === "v").map((w) => w.slice(1, 4).map(Number)) : CORNERS;
  const polygons = path ? lines.filter((w) => w[0] === "f").map((w) => w.slice(1).map((c) => parseInt(c) - 1)) : SIDES;
  const ends = [0, 1, 2].map((axis) => points.reduce(([a, b], p) => [Math.min(a, p[axis]), Math.max(b, p[axis])], [Infinity, -Infinity]));
  const scale = 1.6 / Math.max(...ends.map(([low, high]) => high - low));
  const placed = points.map((p) => p.map((x, axis) => (x - (ends[axis][0] + ends[axis][1]) / 2) * scale));
  return [placed, polygons.flatMap((f) => f.slice(2).map((_, i) => [f[0], f[i + 1], f[i + 2]]))];
}

// Submits the job, sends what the server lacks, and waits for the end: the artefacts that it left.
async function run(job, arrays) {
  const inputs = arrays.map(({ name, dtype, shape, data }) => ({ name, dtype, shape, digest: sha256(data) }));
  await send(SUBMIT, { job, inputs, label: "raw client" });
  for (;;) {
    const { kind, body } = await receive();
    for (const { digest, offset: first } of kind === NEED ? body.missing : []) {
      const { data } = arrays[inputs.findIndex((spec) => spec.digest === digest)];
      for (let offset = first; offset < data.length; offset = (await answer(GOT)).body.offset)
        await send(CHUNK, { digest, offset, total: data.length }, [data.subarray(offset, offset + PART)]);
    }
    if (kind !== JOB_STATE) continue;
    console.log(`${body.state.padEnd(10)} ${body.phase.padEnd(12)} ${(100 * body.fraction).toFixed(0).padStart(3)} %`);
    if (["done", "failed", "cancelled"].includes(body.state)) return body.results.length ? body.results : end(body.reason);
  }
}

async function pull(results, name) {
  const { bytes, digest } = results.find((artefact) => artefact.name === name);
  const parts = [];
  for (let offset = 0; offset < bytes; offset += parts.at(-1).length) {
    await send(PULL, { name, offset, count: Math.min(PART, bytes - offset) });
    parts.push((await answer(PIECE)).raw);
  }
  const data = Buffer.concat(parts);
  return sha256(data) === digest ? data : end(`${name} arrived damaged.`);
}

const bytes = (type, rows) => new Uint8Array(type.from(rows.flat()).buffer);
const rows = (array) => Array.from({ length: array.length / 3 }, (_, i) => Array.from(array.subarray(3 * i, 3 * i + 3)));
const options = { folder: "result", mesh: "", steps: "-1", address: "tcp://127.0.0.1:5577" };
for (const word of process.argv.slice(3)) options[word.split("=")[0]] = word.slice(word.indexOf("=") + 1);
const [points, faces] = readMesh(options.mesh);
const vertices = { name: "vertices", dtype: "float32", shape: [points.length, 3], data: bytes(Float32Array, points) };
const triangles = { name: "faces", dtype: "int32", shape: [faces.length, 3], data: bytes(Int32Array, faces) };
socket.connect(options.address);
await send(HELLO, { low: [1, 0], high: [1, 0], client: "raw client", token: randomBytes(16).toString("hex") }, [], "");
const results = await run({ prompt: process.argv[2], mode: "sketch", steps: Number(options.steps) }, [vertices, triangles]);
mkdirSync(options.folder, { recursive: true });
writeFileSync(`${options.folder}/base_colour.png`, await pull(results, "base_colour.png"));
const back = async (name, type) => rows(new type(Uint8Array.from(await pull(results, name)).buffer));
const lines = (await back("vertices", Float32Array)).map((p) => `v ${p.map((x) => x.toFixed(6)).join(" ")}`);
const sides = (await back("faces", Int32Array)).map((f) => `f ${f.map((i) => i + 1).join(" ")}`);
writeFileSync(`${options.folder}/asset.obj`, lines.concat(sides).join("\n") + "\n");
socket.close();
