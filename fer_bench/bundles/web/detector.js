// The default face detector of FER Bench (`fer_bench/inference/detectors`: haar.py, search.py):
// OpenCV's cascade on gray images of evened light. The page, the Python folder and `predict` find
// the same boxes.

import { Cascade } from "./cascade.js";
import {
  cut, equalised, inverse, resizeArea, rotation, roundHalfEven, spreadEvenly, toGray, warp, withBorder,
} from "./pixels.js";

const asItIs = (gray) => gray;
// Ways to even out the light; a thorough look takes all of them, others the first.
const LIGHTS = [spreadEvenly, equalised, asItIs];

export class HaarDetector {
  // cascade: what `cascade.json` holds; settings: the `detector` of `model.json`.
  constructor(cascade, settings) {
    this.cascade = new Cascade(cascade);
    this.settings = settings;
  }

  // Faces of a video's frame, by one quick look, as boxes { x, y, width, height, turn } in the
  // image's pixels, largest first. turn: degrees, clockwise, that the head is turned by.
  detectFrame(image) {
    const { small, factor } = this.#shrunk(toGray(image));
    return this.#merged(scaled(this.#look(small, "frame"), factor));
  }

  // Faces of a photo, small ones too and, where none is surely upright, turned ones.
  detect(picture) {
    const set = this.settings, image = toGray(picture);
    const { small: quick, factor: share } = this.#shrunk(image);
    let found = scaled(this.#look(quick, "quick"), share);
    if (Math.max(image.width, image.height) > set.coarse_side) {
      const { width, height } = image;
      const long = Math.max(width, height) * Math.sqrt(set.fine_pixels / (height * width));
      const { small, factor } = shrunkTo(image, Math.max(set.fine_side, long));
      found = [...found, ...scaled(this.#look(small, "fine"), factor)];
    }
    if (!found.length) found = scaled(this.#look(quick, "thorough"), share);
    if (found.every((face) => face.certainty < 1)) {
      const turned = set.turns.flatMap((degrees) => this.#turned(quick, degrees));
      turned.sort((a, b) => b.certainty - a.certainty);
      if (turned.length) found = scaled(turned, share);
    }
    return this.#merged(found);
  }

  #shrunk(image) {
    const { shortest_shrunk, longest_shrunk } = this.settings;
    const half = Math.max(image.width, image.height) / 2;
    return shrunkTo(image, Math.min(Math.max(half, shortest_shrunk), longest_shrunk));
  }

  // Upright faces of a gray image at its own size, the likeliest first. certainty: from 1 on, no
  // turned head is likelier.
  #look(image, effort) {
    const set = this.settings;
    const longer = Math.max(image.width, image.height);
    const isCrop = longer <= set.crop_side;
    const border = isCrop ? roundHalfEven(longer * set.border) : 0;
    const gray = withBorder(image, border);
    const found = (effort === "thorough" ? LIGHTS : LIGHTS.slice(0, 1)).flatMap((light) => {
      const even = light(gray, set.light_share);
      const boxes = this.cascade.detect(even, {
        scaleFactor: ["frame", "quick"].includes(effort) && !isCrop ? set.step : set.fine_step,
        minNeighbors: set.agreeing[effort],
        minSize: set.min_face,
      });
      const needed = set.confirmed * (boxes.some((box) => box.agreeing > set.doubtful) ? 2 : 1);
      return boxes.filter((box) => isCrop || box.agreeing > set.doubtful
        || box.agreeing * this.#votesNearby(even, box) >= needed);
    });
    found.sort((a, b) => b.agreeing - a.agreeing);
    return found.map(({ x, y, width, height, agreeing }) => ({
      x: x - border, y: y - border, width, height, turn: 0, certainty: agreeing / set.sure[effort],
    }));
  }

  // How many windows agree on a face where a doubtful box is, in a closer look.
  #votesNearby(even, { x, y, width: side }) {
    const set = this.settings;
    const margin = roundHalfEven(side * set.closer_margin);
    const part = cut(even, Math.max(x - margin, 0), Math.max(y - margin, 0),
      x + side + margin, y + side + margin);
    const closer = this.cascade.detect(part, {
      scaleFactor: set.closer_step, minNeighbors: 1, minSize: roundHalfEven(side * set.closer_face),
    });
    return Math.max(0, ...closer.map((box) => box.agreeing));
  }

  // Faces of heads that are turned clockwise by so much, where they are in the image.
  #turned(image, degrees) {
    const there = rotation((image.width - 1) / 2, (image.height - 1) / 2, degrees);
    const cosine = Math.abs(there[0]), sine = Math.abs(there[1]);
    const width = roundHalfEven(image.width * cosine + image.height * sine);
    const height = roundHalfEven(image.width * sine + image.height * cosine);
    there[2] += (width - image.width) / 2;
    there[5] += (height - image.height) / 2;
    const back = inverse(there);
    return this.#look(warp(image, back, width, height), "turned")
      .map((face) => {
        const x = face.x + face.width / 2, y = face.y + face.height / 2;
        return {
          ...face,
          x: roundHalfEven(back[0] * x + back[1] * y + back[2] - face.width / 2),
          y: roundHalfEven(back[3] * x + back[4] * y + back[5] - face.height / 2),
          turn: degrees,
        };
      })
      .filter(({ x, y, width: side }) => x + side / 2 >= 0 && x + side / 2 < image.width
        && y + side / 2 >= 0 && y + side / 2 < image.height); // not in the new corners
  }

  #merged(bestFirst) {
    const chosen = [];
    for (const face of bestFirst) {
      if (chosen.every((other) => overlap(face, other) <= this.settings.max_overlap)) {
        chosen.push(face);
      }
    }
    return largestFirst(chosen);
  }
}

function shrunkTo(image, side) {
  const factor = side / Math.max(image.width, image.height);
  if (factor >= 1) return { small: image, factor: 1 };
  const width = Math.max(roundHalfEven(image.width * factor), 1);
  const height = Math.max(roundHalfEven(image.height * factor), 1);
  return { small: resizeArea(image, width, height), factor };
}

function scaled(faces, factor) {
  const scale = (value) => roundHalfEven(value * (1 / factor));
  return faces.map(({ x, y, width, height, ...rest }) =>
    ({ x: scale(x), y: scale(y), width: scale(width), height: scale(height), ...rest }));
}

// The area that two boxes share, as a share of the smaller one's.
function overlap(a, b) {
  const width = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
  const height = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
  const smaller = Math.min(a.width * a.height, b.width * b.height);
  return Math.max(width, 0) * Math.max(height, 0) / Math.max(smaller, 1);
}

function largestFirst(faces) {
  return faces.sort((a, b) => b.width * b.height - a.width * a.height || a.x - b.x || a.y - b.y);
}
