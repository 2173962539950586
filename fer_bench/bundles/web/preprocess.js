// From a face in an image to the network's input and from its logits to probabilities, as
// `fer_bench/inference/crop.py` and `fer_bench/data/transform.py` do.

import { inverse, rotation, roundHalfEven, warp } from "./pixels.js";

// Weights of red, green and blue in gray: ITU-R 601.
const LUMA = [0.299, 0.587, 0.114];

// The square about a box, widened by the model's margin and turned upright; beyond the image's edge
// the edge repeats.
export function cropFace(image, box, margin) {
  const side = Math.max(roundHalfEven(Math.max(box.width, box.height) * (1 + margin)), 1);
  const left = roundHalfEven(box.x + (box.width - side) / 2);
  const top = roundHalfEven(box.y + (box.height - side) / 2);
  if (!box.turn) return cut(image, left, top, side);
  const room = Math.ceil(side * (Math.SQRT2 - 1) / 2) + 1;
  const around = cut(image, left - room, top - room, side + 2 * room);
  const middle = (around.height - 1) / 2, turn = rotation(middle, middle, box.turn);
  turn[2] -= room;
  turn[5] -= room;
  return warp(around, inverse(turn), side, side);
}

function cut(image, left, top, side) {
  const { width, height, channels, data } = image;
  const out = new Uint8Array(channels * side * side);
  for (let y = 0, to = 0; y < side; y++) {
    const row = width * Math.min(Math.max(top + y, 0), height - 1);
    for (let x = 0; x < side; x++) {
      const from = channels * (row + Math.min(Math.max(left + x, 0), width - 1));
      for (let c = 0; c < channels; c++) out[to++] = data[from + c];
    }
  }
  return { width: side, height: side, channels, data: out };
}

// An RGB crop as Float32Array (channels, size, size). spec: the `input_spec` of `model.json`.
export function toInput(crop, spec) {
  const planes = spec.channels === 1 ? [grayPlane(crop)] : [0, 1, 2].map((c) => plane(crop, c));
  const area = spec.size * spec.size, out = new Float32Array(spec.channels * area);
  planes.forEach((values, c) => {
    const square = resized(values, crop.width, crop.height, spec);
    for (let i = 0; i < area; i++) out[c * area + i] = (square[i] - spec.mean[c]) / spec.std[c];
  });
  return out;
}

// softmax(logits / temperature).
export function toProbabilities(logits, temperature) {
  const largest = Math.max(...logits);
  const powers = Array.from(logits, (logit) => Math.exp((logit - largest) / temperature));
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function plane({ width, height, data }, channel) {
  const out = new Float32Array(width * height);
  for (let i = 0, at = channel; i < out.length; i++, at += 3) out[i] = data[at] / 255;
  return out;
}

function grayPlane({ width, height, data }) {
  const out = new Float32Array(width * height);
  for (let i = 0, at = 0; i < out.length; i++, at += 3) {
    out[i] = (LUMA[0] * data[at] + LUMA[1] * data[at + 1] + LUMA[2] * data[at + 2]) / 255;
  }
  return out;
}

// A plane at the network's size. Bicubic overshoots at edges: as in Pillow that is clipped after
// each pass, and the result are whole gray levels.
function resized(values, width, height, { size, interpolation }) {
  if (width === size && height === size) return values;
  const isBicubic = interpolation.startsWith("bicubic");
  const pass = (plane, from, count) => {
    const out = resizeRows(plane, from, count, resizeTable(from, size, isBicubic));
    return isBicubic ? out.map((value) => Math.min(Math.max(value, 0), 1)) : out;
  };
  const wide = pass(values, width, height);
  const square = transposed(pass(transposed(wide, size, height), height, size), size, size);
  return isBicubic ? square.map((value) => roundHalfEven(value * 255) / 255) : square;
}

function transposed(values, width, height) {
  const out = new Float32Array(values.length);
  for (let y = 0, from = 0; y < height; y++) {
    for (let x = 0; x < width; x++) out[x * height + y] = values[from++];
  }
  return out;
}

// Each row of an image resized with antialiasing, as PyTorch and Pillow do.
function resizeRows(values, width, height, table) {
  const out = new Float32Array(table.length * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (const { first, weights } of table) {
      let sum = 0;
      for (let i = 0, at = y * width + first; i < weights.length; i++) sum += weights[i] * values[at++];
      out[to++] = sum;
    }
  }
  return out;
}

// For each target pixel the first source pixel and the weights from there on.
function resizeTable(from, to, isBicubic) {
  const [kernel, radius] = isBicubic ? [cubic, 2] : [triangle, 1];
  const scale = from / to, stretch = Math.max(scale, 1), support = radius * stretch;
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - support + 0.5), 0);
    const end = Math.min(Math.trunc(centre + support + 0.5), from);
    const weights = Float64Array.from({ length: end - first }, (_, j) =>
      kernel((first + j - centre + 0.5) / stretch));
    const sum = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((weight) => weight / sum) };
  });
}

const triangle = (x) => Math.max(1 - Math.abs(x), 0);

// Keys' cubic with a = -0.5.
function cubic(value) {
  const x = Math.abs(value);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
}
