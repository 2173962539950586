// One face at a time through a network of TensorFlow.js: WebAssembly with SIMD, one thread.
// node SCRIPT ENVIRONMENT FACES ANSWERS: the folder of node_modules, uint8 (N, 48, 48), a JSON file.
// Milliseconds are the processor's for one face, so that other work on the machine changes little.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { createRequire } = require("node:module");

const SIZE = 48;
const [environment, facesFile, answersFile] = process.argv.slice(2);
const packages = createRequire(path.join(path.resolve(environment), "package.json"));
const folder = (name) => path.join(environment, "node_modules", name);

async function tensorflow() {
  const tf = packages("@tensorflow/tfjs");
  const wasm = packages("@tensorflow/tfjs-backend-wasm");
  wasm.setWasmPaths(path.resolve(folder("@tensorflow/tfjs-backend-wasm/dist")) + path.sep);
  wasm.setThreadsCount(1);
  await tf.setBackend("wasm");
  await tf.ready();
  return tf;
}

// classify: a face, uint8 (48, 48) gray, to the probabilities of `classes`.
async function answer(classes, parameters, classify) {
  const bytes = fs.readFileSync(facesFile);
  const faces = [];
  for (let start = 0; start < bytes.length; start += SIZE * SIZE)
    faces.push(bytes.subarray(start, start + SIZE * SIZE));
  for (const face of faces.slice(0, 20)) await classify(face);
  const probabilities = [];
  const milliseconds = [];
  for (const face of faces) {
    const start = process.cpuUsage();
    probabilities.push(Array.from(await classify(face)));
    const { user, system } = process.cpuUsage(start);
    milliseconds.push((user + system) / 1000);
  }
  fs.writeFileSync(answersFile, JSON.stringify({ classes, parameters, probabilities, milliseconds }));
}

module.exports = { SIZE, answer, folder, packages, tensorflow };
