// OpenCV's Haar cascade in JavaScript: the same boxes as `cv2.CascadeClassifier` gives.
//
// Viola & Jones, "Rapid Object Detection using a Boosted Cascade of Simple Features", CVPR 2001.
// What decides on a box is computed as OpenCV 4 does, in single precision where it does so and with
// its rounding. The trained numbers are OpenCV's own: `cascade.json` is converted from the file
// that comes with opencv-python.

import { resizeLinear, roundHalfEven } from "./pixels.js";

const fround = Math.fround;
// Boxes whose corners lie within this share of their size are one face.
const GROUP_EPS = 0.2;
const STAGE_EPS = fround(1e-5);
// A window with less contrast than this is no face.
const LEAST_CONTRAST = 0.1;
// Numbers that stand for each node in `plan`.
const NODE = 16;

export class Cascade {
  // json: what `cascade.json` holds.
  constructor(json) {
    this.window = json.window;
    this.stageTrees = Int32Array.from(json.stages, (stage) => stage.trees);
    this.stageThresholds = Float32Array.from(
      json.stages, (stage) => fround(stage.threshold) - STAGE_EPS);
    this.treeNodes = Int32Array.from(json.trees);
    this.thresholds = Float32Array.from(json.nodes, (node) => node[3]);
    this.leaves = Float32Array.from(json.leaves);
    this.nodes = json.nodes;
    this.features = json.features; // of rectangles [x, y, width, height, weight]
    this.plan = new Int32Array(NODE * json.nodes.length); // filled for a row length
    this.stride = 0;
  }

  // Boxes [{x, y, width, height, agreeing}] on a gray image; `agreeing` raw boxes became one.
  detect(gray, { scaleFactor, minNeighbors, minSize }) {
    const scales = this.#scales(gray, scaleFactor, minSize);
    if (!scales.length) return [];
    this.#setStride(scaled(gray.width, scales[0]) + 1);
    const tall = scaled(gray.height, scales[0]) + 1;
    const sum = new Int32Array(this.stride * tall);
    const squares = new Int32Array(this.stride * tall);
    // OpenCV shares the rows out in stripes, which may leave out the very last one.
    const stripes = Math.ceil(Math.max(this.stride - this.window, 0) / 32);
    const found = [];
    for (const scale of scales) {
      const small = resizeLinear(gray, scaled(gray.width, scale), scaled(gray.height, scale));
      integrate(small, this.stride, sum, squares);
      this.#scan(small, scale, stripes, sum, squares, found);
    }
    return clipped(grouped(found, minNeighbors), gray.width, gray.height);
  }

  #scales(gray, scaleFactor, minSize) {
    const scales = [];
    for (let factor = 1; ; factor *= scaleFactor) {
      const side = roundHalfEven(this.window * factor);
      if (side > gray.width || side > gray.height) return scales;
      if (side >= minSize) scales.push(fround(factor));
    }
  }

  // For each node, side by side: where the corners of its feature's rectangles lie in an integral
  // image of this row length, the weights of the second and third one (the first one's is -1; where
  // there are two, the third weighs 0), and what comes next on either side of its threshold.
  #setStride(stride) {
    if (stride === this.stride) return;
    this.stride = stride;
    this.nodes.forEach(([left, right, feature], node) => {
      const rectangles = this.features[feature], start = NODE * node;
      rectangles.forEach(([x, y, width, height], r) => {
        const corner = x + stride * y, below = stride * height;
        this.plan.set([corner, corner + width, corner + below, corner + below + width], start + 4 * r);
      });
      this.plan.set([rectangles[1][4], rectangles[2]?.[4] ?? 0, left, right], start + 12);
    });
  }

  #scan(small, scale, stripes, sum, squares, found) {
    const step = scale >= 2 ? 1 : 2;
    const wide = Math.max(small.width + 1 - this.window, 0);
    const tall = Math.max(small.height + 1 - this.window, 0);
    const perStripe = Math.max(Math.trunc((Math.trunc(tall / step) + stripes - 1) / stripes), 1);
    const rows = Math.min(stripes * perStripe * step, tall);
    const side = roundHalfEven(fround(this.window * scale));
    for (let y = 0; y < rows; y += step) {
      for (let x = 0; x < wide; x += step) {
        const passed = this.#passes(y * this.stride + x, sum, squares);
        if (passed === this.stageTrees.length) {
          const left = roundHalfEven(fround(x * scale)), top = roundHalfEven(fround(y * scale));
          found.push({ x: left, y: top, width: side, height: side });
        } else if (passed === 0) {
          x += step; // nothing like a face: nor is the next window
        }
      }
    }
  }

  // How many stages the window at `at` passes; -1 where it is too even to be asked.
  #passes(at, sum, squares) {
    const deviation = this.#normaliser(at, sum, squares);
    if (deviation === 0) return -1;
    const { plan, thresholds, leaves, treeNodes, stageTrees, stageThresholds } = this;
    let tree = 0, root = 0, leaf = 0;
    for (let stage = 0; stage < stageTrees.length; stage++) {
      let score = 0;
      for (let left = stageTrees[stage]; left > 0; left--) {
        let index = 0;
        do {
          const node = root + index, n = NODE * node;
          // Whole numbers: exact in any order, and fast.
          let value = Math.imul(plan[n + 12],
            (sum[at + plan[n + 4]] - sum[at + plan[n + 5]]
              - sum[at + plan[n + 6]] + sum[at + plan[n + 7]]) | 0)
            - ((sum[at + plan[n]] - sum[at + plan[n + 1]]
              - sum[at + plan[n + 2]] + sum[at + plan[n + 3]]) | 0) | 0;
          const third = plan[n + 13];
          if (third !== 0) {
            value = value + Math.imul(third,
              (sum[at + plan[n + 8]] - sum[at + plan[n + 9]]
                - sum[at + plan[n + 10]] + sum[at + plan[n + 11]]) | 0) | 0;
          }
          index = fround(fround(value) * deviation) < thresholds[node] ? plan[n + 14] : plan[n + 15];
        } while (index > 0);
        score += leaves[leaf - index];
        const nodes = treeNodes[tree++];
        root += nodes;
        leaf += nodes + 1;
      }
      if (score < stageThresholds[stage]) return stage;
    }
    return stageTrees.length;
  }

  // 1 / (area x standard deviation) of the window without its rim; 0 where it is too even.
  #normaliser(at, sum, squares) {
    const side = this.window - 2;
    const a = at + 1 + this.stride, b = a + side, c = a + side * this.stride, d = c + side;
    const total = sum[a] - sum[b] - sum[c] + sum[d];
    const square = (squares[a] - squares[b] - squares[c] + squares[d]) >>> 0;
    const area = side * side;
    const variance = area * square - total * total;
    if (variance <= 0) return 0;
    const factor = fround(1 / Math.sqrt(variance));
    return area * factor < LEAST_CONTRAST ? factor : 0;
  }
}

const scaled = (length, scale) => roundHalfEven(fround(length / scale));

// Integral images of the pixels and of their squares (modulo 2^32), with a row and column of zeros.
function integrate({ width, height, data }, stride, sum, squares) {
  sum.fill(0, 0, width + 1);
  squares.fill(0, 0, width + 1);
  for (let y = 0, pixel = 0; y < height; y++) {
    let row = 0, rowOfSquares = 0;
    let at = (y + 1) * stride;
    sum[at] = squares[at] = 0;
    for (let x = 0; x < width; x++) {
      const value = data[pixel++];
      row += value;
      rowOfSquares += value * value;
      at++;
      sum[at] = sum[at - stride] + row;
      squares[at] = squares[at - stride] + rowOfSquares;
    }
  }
}

// `cv2.groupRectangles`: boxes that are alike become their mean, where more than `threshold` are;
// with a threshold of 0 they stay as they are.
function grouped(boxes, threshold) {
  if (threshold <= 0) return boxes.map((box) => ({ ...box, agreeing: 1 }));
  const groups = partition(boxes).map((members) => {
    const share = fround(1 / members.length);
    const mean = (part) => {
      const total = members.reduce((sum, box) => sum + box[part], 0);
      return roundHalfEven(fround(total * share));
    };
    return {
      x: mean("x"), y: mean("y"), width: mean("width"), height: mean("height"),
      agreeing: members.length,
    };
  });
  const strong = groups.filter((group) => group.agreeing > threshold);
  return strong.filter((box) => !strong.some((other) => other !== box && isWithin(box, other)));
}

// Whether a box lies in a larger one that more raw boxes agree on.
function isWithin(box, other) {
  const dx = roundHalfEven(other.width * GROUP_EPS), dy = roundHalfEven(other.height * GROUP_EPS);
  return box.x >= other.x - dx && box.y >= other.y - dy
    && box.x + box.width <= other.x + other.width + dx
    && box.y + box.height <= other.y + other.height + dy
    && (other.agreeing > Math.max(3, box.agreeing) || box.agreeing < 3);
}

// Groups of boxes that are connected by being alike, in the order of their first ones.
function partition(boxes) {
  const parent = boxes.map((_, i) => i);
  const root = (i) => {
    while (parent[i] !== i) i = parent[i] = parent[parent[i]];
    return i;
  };
  for (let i = 0; i < boxes.length; i++) {
    for (let j = 0; j < i; j++) if (areAlike(boxes[i], boxes[j])) parent[root(i)] = root(j);
  }
  const groups = new Map();
  boxes.forEach((box, i) => {
    const key = root(i);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(box);
  });
  return [...groups.values()];
}

function areAlike(a, b) {
  const near = GROUP_EPS * (Math.min(a.width, b.width) + Math.min(a.height, b.height)) * 0.5;
  return Math.abs(a.x - b.x) <= near && Math.abs(a.y - b.y) <= near
    && Math.abs(a.x + a.width - b.x - b.width) <= near
    && Math.abs(a.y + a.height - b.y - b.height) <= near;
}

function clipped(boxes, width, height) {
  return boxes.map((box) => {
    const x = Math.max(box.x, 0), y = Math.max(box.y, 0);
    return {
      x, y, width: Math.min(box.x + box.width, width) - x,
      height: Math.min(box.y + box.height, height) - y, agreeing: box.agreeing,
    };
  }).filter((box) => box.width > 0 && box.height > 0);
}
