// Finds and names faces, off the page's own thread so that its video never waits.
//
// Takes { start: { backend } } once, then { id, image: ImageData, isFace, isVideo } for each picture; gives
// { ready } and { id, faces: [{ box, probabilities }], detectMs, classifyMs }, or { id, error }.

import { HaarDetector } from "./detector.js";
import { fromImageData } from "./pixels.js";
import { cropFace, toInput, toProbabilities } from "./preprocess.js";

let model, detector, ort, session;
let last = Promise.resolve();

// One after another: a session on WebGPU runs once at a time.
self.onmessage = ({ data }) => {
  last = last.then(() => answer(data));
};

async function answer(data) {
  try {
    if (data.start) self.postMessage({ ready: await start(data.start) });
    else self.postMessage({ id: data.id, ...(await analyse(data)) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message ?? String(error) });
  }
}

async function start({ backend }) {
  model = await fetchedJson("model.json");
  const [cascade, weights] = await Promise.all([
    fetchedJson("cascade.json"),
    fetched(model.files.model, model.files.integrity).then((response) => response.arrayBuffer()),
    loadRuntime(model.runtime[backend]),
  ]);
  detector = new HaarDetector(cascade, model.detector);
  try {
    session = await ort.InferenceSession.create(new Uint8Array(weights), {
      executionProviders: backend === "webgpu" ? ["webgpu", "wasm"] : ["wasm"],
    });
    await logits(new Float32Array(inputLength()), 1); // warm
  } catch (error) {
    throw new Error(`the model cannot be run here (${error.message}): choose another way to run it`);
  }
  return { backend };
}

// A file of the page's own, or a sentence that says which one is missing or damaged.
async function fetched(url, integrity, name = url) {
  let response;
  try {
    response = await fetch(url, integrity ? { integrity } : {});
  } catch {
    throw problem(name, integrity ? "is damaged or cannot be reached" : "cannot be reached");
  }
  if (!response.ok) throw problem(name, "is missing");
  return response;
}

async function fetchedJson(url) {
  const response = await fetched(url);
  return response.json().catch(() => {
    throw problem(url, "is damaged");
  });
}

const problem = (url, why) => new Error(`${url} ${why}: copy the whole folder to the server again`);

// ONNX Runtime, checked against the hashes that the export wrote down.
async function loadRuntime({ script, binary }) {
  const [url, wasm] = await Promise.all([
    checkedScript(script),
    fetched(binary.url, binary.integrity).then((response) => response.arrayBuffer()),
  ]);
  ort = await import(url);
  URL.revokeObjectURL(url);
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // more need headers that plain web servers do not send
  ort.env.logLevel = "error";
}

// A script as a blob's address. Its hash is that of plain line ends: Git on Windows gives text others.
async function checkedScript({ url, integrity }) {
  const text = await (await fetched(url)).text();
  const plain = new Blob([text.replaceAll("\r\n", "\n")], { type: "text/javascript" });
  const checked = URL.createObjectURL(plain);
  await fetched(checked, integrity, url);
  return checked;
}

async function analyse({ image, isFace, isVideo }) {
  const rgb = fromImageData(image);
  const started = performance.now();
  const whole = { x: 0, y: 0, width: rgb.width, height: rgb.height };
  const search = () => (isVideo ? detector.detectFrame(rgb) : detector.detect(rgb));
  const boxes = isFace ? [whole] : search();
  const detected = performance.now();
  const crops = isFace ? [rgb] : boxes.map((box) => cropFace(rgb, box, model.input_spec.face_margin));
  const rows = await classify(crops);
  return {
    faces: boxes.map((box, i) => ({ box, probabilities: rows[i] })),
    detectMs: detected - started,
    classifyMs: performance.now() - detected,
  };
}

// Probabilities of each crop; all of them go through the network together.
async function classify(crops) {
  if (!crops.length) return [];
  const length = inputLength(), input = new Float32Array(crops.length * length);
  crops.forEach((crop, i) => input.set(toInput(crop, model.input_spec), i * length));
  const values = await logits(input, crops.length), classes = model.emotions.length;
  return crops.map((_, i) =>
    toProbabilities(values.subarray(i * classes, (i + 1) * classes), model.temperature));
}

async function logits(input, count) {
  const { size, channels } = model.input_spec;
  const tensor = new ort.Tensor("float32", input, [count, channels, size, size]);
  const output = await session.run({ [model.input]: tensor });
  return output[model.output].data;
}

const inputLength = () => model.input_spec.channels * model.input_spec.size ** 2;
