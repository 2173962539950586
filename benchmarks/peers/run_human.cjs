// The emotion network of @vladmandic/human, fed as its src/gear/emotion.ts feeds it: 64 px, gray, -1
// to 1. Its rounding of answers to two decimals and its least confidence of 0.1 are left out.
"use strict";
const fs = require("node:fs");
const { SIZE, answer, folder, tensorflow } = require("./faces.cjs");

const CLASSES = ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"];

async function main() {
  const tf = await tensorflow();
  const models = folder("@vladmandic/human/models");
  const described = JSON.parse(fs.readFileSync(`${models}/emotion.json`, "utf8"));
  const weights = fs.readFileSync(`${models}/emotion.bin`);
  const network = await tf.loadGraphModel(
    tf.io.fromMemory({
      modelTopology: described.modelTopology,
      format: described.format,
      weightSpecs: described.weightsManifest.flatMap((part) => part.weights),
      weightData: weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.length),
    }),
  );
  const size = network.inputs[0].shape[2];
  const parameters = Object.values(network.weights).flat();
  const classify = (face) =>
    tf.tidy(() => {
      const image = tf.tensor(Float32Array.from(face, (v) => v / 255), [1, SIZE, SIZE, 1]);
      const gray = tf.image.resizeBilinear(image, [size, size], false);
      return network.execute(gray.sub(0.5).mul(2)).dataSync();
    });
  await answer(CLASSES, parameters.reduce((sum, one) => sum + one.size, 0), classify);
}

main();
