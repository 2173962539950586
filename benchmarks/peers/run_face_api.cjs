// The expression network of @vladmandic/face-api by its own FaceExpressionNet (112 px, RGB).
"use strict";
const { SIZE, answer, folder, packages, tensorflow } = require("./faces.cjs");

const CLASSES = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"];

async function main() {
  const tf = await tensorflow();
  const faceapi = packages("@vladmandic/face-api/dist/face-api.node-wasm.js");
  const network = new faceapi.FaceExpressionNet();
  await network.loadFromDisk(folder("@vladmandic/face-api/model"));
  const parameters = [...network.getParamList(), ...network.faceFeatureExtractor.getParamList()];
  const classify = async (face) => {
    const image = tf.tidy(() => tf.tensor3d(face, [SIZE, SIZE, 1], "int32").tile([1, 1, 3]));
    const answer = await network.forward(image);
    const probabilities = answer.dataSync();
    tf.dispose([image, answer]);
    return probabilities;
  };
  await answer(CLASSES, parameters.reduce((sum, one) => sum + one.tensor.size, 0), classify);
}

main();
